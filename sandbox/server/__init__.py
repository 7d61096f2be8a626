"""The API without a model."""
