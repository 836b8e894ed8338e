"""What the HTTP adapters share: who calls, what is called, what rules can name of a request, and what is answered."""
