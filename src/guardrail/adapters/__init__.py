"""Adapters: where calls come in and go out. One file per ecosystem; each imports its own third party and no other."""
