"""One run from press to picture, apart from any browser."""
