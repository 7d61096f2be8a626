"""What can be asked for: the variants, their inputs, the estimate, the same run as code."""
