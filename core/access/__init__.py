"""Who may spend, and how much."""
