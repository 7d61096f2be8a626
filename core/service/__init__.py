"""The thin client, and everything that the service says."""
