"""The host's page: what is spent, by whom, and the switch that stops it."""
