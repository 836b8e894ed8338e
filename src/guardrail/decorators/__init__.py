"""Decorators: rules in code, stacked on one callable and merged into one plan."""
