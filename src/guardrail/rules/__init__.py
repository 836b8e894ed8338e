"""What people write: rules in files or in code, and which of them apply."""
