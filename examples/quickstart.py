"""Limit, break and bulkhead one function; say what a refusal knows.

Prints:
    profile of 7
    profile of 8
    profile of 7
    refused by __main__.profile/limit: rate, come back in 30 s
"""

from guardrail import RateLimited, breaker, bulkhead, limit


@breaker(failure_rate=0.5, min_calls=10, open_for="5s")
@limit("2/min", key="user_id")
@bulkhead(10, max_wait="500ms")
def profile(user_id: int) -> str:
    return f"profile of {user_id}"


for user_id in (7, 8, 7, 7):
    try:
        print(profile(user_id))
    except RateLimited as refused:
        print(f"refused by {refused.rule}: {refused.reason}, come back in {refused.retry_after:.0f} s")
