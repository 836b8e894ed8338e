"""Core: everything that decides. Pure: integers in, integers out."""
