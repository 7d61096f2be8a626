"""Presets, their composing, and the numbers in a prompt."""
