"""Where rules come from, and the live set that follows it."""
