"""What guardrail tells: frozen events, and the listeners they are told to."""
