"""Rules: what people write, and the set of rules it means."""
