"""Stores: state that several processes share."""
