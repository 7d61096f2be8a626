"""The pictures that stand in for a model's."""
