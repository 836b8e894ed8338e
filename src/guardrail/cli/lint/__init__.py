"""`guardrail lint`: rules that can do nothing, or less than they seem to."""
