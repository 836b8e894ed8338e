"""Admission: how one call is decided, from the plan of its resource to the permit it hands back."""
