"""Trials: from pictures to a decision, by the votes of people who know neither names nor prices."""
