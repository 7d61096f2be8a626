"""Comparisons: many runs of one press, which differ in what is to be found out."""
