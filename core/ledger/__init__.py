"""Every run and every cent, durable before it happens."""
