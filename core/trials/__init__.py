"""Comparisons and trials: from pictures to a decision."""
