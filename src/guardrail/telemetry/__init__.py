"""Telemetry: what happened, for whoever listens."""
