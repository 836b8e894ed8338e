"""Adapters: where calls come in and go out. A file or folder for each ecosystem; each imports its own third party and no other."""
