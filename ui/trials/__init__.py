"""Trials on the page and for programs: setting one up, following it, its report."""
