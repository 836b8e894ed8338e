"""`guardrail diff`: what other rules change for whom, and what becomes of the state."""
