"""What the clients share: what a call is named, what the answer advises, and holding a resource back until then."""
