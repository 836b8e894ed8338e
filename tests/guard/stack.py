"""A function with a stack in code, for files to take over."""

LIMIT = {"resource": "r", "kind": "limit"}


def decorated(guard):
    @guard.limit("2/h", key="user", cost="size", mode="enforce")
    @guard.breaker(consecutive_failures=2, open_for="1h")
    @guard.bulkhead(1, name="r")
    def call(user="u1", size=1):
        return user

    return call


def rule(guard, name="r/limit"):
    """A rule as it is in force."""
    return guard.named()[name].rule
