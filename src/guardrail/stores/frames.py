"""Frames: calls as the script reads them, and its answer as calls read it.

Law: a frame is one EVALSHA, whose steps are its keys in order; the answer has a row for each call that waits for one.

How steps and answers are spelled is said at the top of `lua/admit.lua`, their other end. This is on the way of every
decision: pieces are encoded once and kept, up to a bound.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from guardrail.core.fixed_window import FixedWindow
from guardrail.core.leaky_bucket import LeakyBucket
from guardrail.core.limit import LARGEST
from guardrail.core.sliding_log import SlidingLog
from guardrail.core.sliding_window import SlidingWindow
from guardrail.core.token_bucket import TokenBucket
from guardrail.stores import scripts
from guardrail.stores.protocol import Check, Refund, Reply

if TYPE_CHECKING:
    from guardrail.core.limit import Limit, State

MOST_PIECES = 16_384  # keys, and steps of one limit, that are kept encoded
MOST_LIMITS = 1_024
_BEYOND = 2**63  # no state holds such a number, even far past its limit

Steps = dict[tuple[str, int, int, int, bool], bytes]


class Order(NamedTuple):
    """Hold one call, encoded.

    Attributes:
        keys: Its keys, as bulk strings.
        args: Its steps, as bulk strings: one for each key.
        size: How many there are.
        checks: What the answer has a row of; None: nothing comes back.
        peek: Nothing is charged.
        places: Which states change without anybody being told.
    """

    keys: bytes
    args: bytes
    size: int
    checks: Sequence[Check] | None
    peek: bool
    places: Sequence[str] = ()


class Frames:
    """Encode calls for one script, and decode what it answers. Safe from any thread.

    Args:
        prefix: What all keys begin with.
    """

    def __init__(self, prefix: str) -> None:
        self._prefix = prefix
        self._command = b"$7\r\nEVALSHA\r\n" + _bulk(scripts.admit().sha)
        self._keys: dict[str, bytes] = {}
        self._steps: dict[
            int, tuple[Limit[Any], Steps]
        ] = {}  # by identity: hashing a limit takes longer than encoding it

    def admit_order(self, checks: Sequence[Check], *, peek: bool) -> Order:
        """Encode a call: all checks or none."""
        op = "p" if peek else "a"
        if len(checks) == 1:
            check = checks[0]
            return Order(self._key(check.key), self._step(op, 1, check), 1, checks, peek)
        keys, args = [], []
        more = len(checks)
        for check in checks:
            keys.append(self._key(check.key))
            args.append(self._step(op, more, check))
            op, more = "c", 0
        return Order(b"".join(keys), b"".join(args), len(checks), checks, peek)

    def owe_order(self, checks: Sequence[Check]) -> Order:
        """Encode charges that need no room."""
        return self._silent((check.key, self._step("o", 0, check)) for check in checks)

    def refund_order(self, refunds: Sequence[Refund]) -> Order:
        """Encode what is given back."""
        return self._silent((refund.key, _give_back(refund)) for refund in refunds)

    def forget_order(self, keys: Sequence[str]) -> Order:
        """Encode states that are forgotten."""
        return self._silent((key, b"$1\r\nf\r\n") for key in keys)

    def frame(self, orders: Sequence[Order], now_us: int | None) -> bytes:
        """Put calls into one command; *now_us* is an injected time, None that of Redis."""
        size = sum([order.size for order in orders])
        parts = [b"*%d\r\n" % (4 + 2 * size), self._command, _bulk(str(size))]
        parts += [order.keys for order in orders]
        parts.append(_bulk("" if now_us is None else str(now_us)))
        parts += [order.args for order in orders]
        return b"".join(parts)

    def replies(self, text: bytes, orders: Iterable[Order]) -> list[Reply | None]:
        """Read the answer to a frame: for each call what it is told, None where nothing comes back.

        Raises:
            ValueError: It is no answer to these calls.
        """
        numbers = list(map(int, text.split()))
        if max(numbers, default=0) > _BEYOND or min(numbers, default=0) < -_BEYOND:
            raise ValueError(f"an answer with numbers that no state has: {text[:100]!r}")
        try:
            replies, end = _replies(numbers, orders)
        except IndexError as exc:
            raise ValueError(f"an answer that ends too early: {text[:100]!r}") from exc
        if end != len(numbers):
            raise ValueError(f"an answer that goes on for too long: {text[:100]!r}")
        return replies

    def _silent(self, pieces: Iterable[tuple[str, bytes]]) -> Order:
        places, args = [], []
        for key, step in pieces:
            places.append(key)
            args.append(step)
        return Order(b"".join(map(self._key, places)), b"".join(args), len(places), None, False, places)

    def _key(self, key: str) -> bytes:
        piece = self._keys.get(key)
        if piece is None:
            if len(self._keys) >= MOST_PIECES:
                self._keys = {}
            self._keys[key] = piece = _bulk(f"{self._prefix}:{key}")
        return piece

    def _step(self, op: str, checks: int, check: Check) -> bytes:
        _, limit, cost, max_wait_us, watches = check
        known = self._steps.get(id(limit))
        if known is None:
            if len(self._steps) >= MOST_LIMITS:
                self._steps = {}
            self._steps[id(limit)] = known = (limit, {})  # which keeps the limit, and so its identity
        steps = known[1]
        piece = steps.get((op, checks, cost, max_wait_us, watches))
        if piece is None:
            if len(steps) >= MOST_PIECES:
                steps.clear()
            text = f"{op} {checks} {watches:d} {min(cost, LARGEST)} {max_wait_us} {_limit_text(limit)}"
            steps[op, checks, cost, max_wait_us, watches] = piece = _bulk(text)
        return piece


def _bulk(text: str) -> bytes:
    encoded = text.encode()
    return b"$%d\r\n%b\r\n" % (len(encoded), encoded)


def _limit_text(limit: Limit[Any]) -> str:
    match limit:
        case TokenBucket(r=r, p=p, burst=burst, max_wait_us=max_wait_us):
            letter = "q" if isinstance(limit, LeakyBucket) else "b"
            return f"{letter} {r} {p} {burst} {max_wait_us}"
        case SlidingWindow():
            return f"w {limit.limit} {limit.window_us}"
        case FixedWindow():
            return f"f {limit.limit} {limit.window_us}"
        case SlidingLog():
            return f"l {limit.limit} {limit.window_us}"
        case _:
            raise TypeError(f"no limit that a store can keep: {limit!r}")


def _give_back(refund: Refund) -> bytes:
    charge = refund.charge
    debt = charge.state[0] if isinstance(refund.limit, TokenBucket) else 0
    back, charged = min(refund.cost, LARGEST), min(charge.cost, LARGEST)
    return _bulk(f"g {back} {refund.era} {charge.at_us} {charged} {debt} {charge.waited:d} {_limit_text(refund.limit)}")


def _replies(numbers: list[int], orders: Iterable[Order]) -> tuple[list[Reply | None], int]:
    """Read rows, and return them with the place after the last one."""
    now_us, place = numbers[0], 1
    replies: list[Reply | None] = []
    for order in orders:
        checks = order.checks
        if checks is None:
            replies.append(None)
            continue
        allowed = numbers[place] == 1
        place += 1
        states: list[State] = []
        eras: list[int] = []
        for check in checks:
            limit = check.limit
            eras.append(numbers[place])
            number = numbers[place + 1]
            place += 2
            if number < 0:
                raise ValueError(f"a debt, count or length of {number}")
            if isinstance(limit, TokenBucket):
                states.append((number, now_us))
            elif isinstance(limit, FixedWindow):
                states.append((now_us // limit.window_us, number))
            elif number % 2:
                raise ValueError(f"a state of {number} numbers, which come in pairs")
            else:
                states.append(tuple(numbers[place : place + number]))
                place += number
        replies.append(Reply(allowed, now_us, tuple(states), tuple(eras)))
    return replies, place
