"""Guard a stream: the permit lives until the stream is finished, closed or forgotten.

Prints:
    one stream at a time: bulkhead '__main__.tokens/bulkhead' is full (1 at once)
    closed early, and free again: a
"""

from collections.abc import Iterator

from guardrail import BulkheadFull, bulkhead


@bulkhead(1)
def tokens() -> Iterator[str]:
    yield from "abc"


first = tokens()
next(first)
try:
    next(tokens())
except BulkheadFull as refused:
    print(f"one stream at a time: {refused.decision.sentence()}")
first.close()
print(f"closed early, and free again: {next(tokens())}")
