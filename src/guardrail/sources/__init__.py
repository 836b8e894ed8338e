"""Sources: where rules come from, and the live set of them."""
