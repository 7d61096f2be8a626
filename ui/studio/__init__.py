"""The page that makes pictures: inputs, result, history, code."""
