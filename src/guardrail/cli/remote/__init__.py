"""`guardrail top`, `breaker` and `key`: look into running processes, and operate them, through their control endpoints."""
