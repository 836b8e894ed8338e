"""`guardrail replay`: what a rule file would have done to the calls in an access log."""
