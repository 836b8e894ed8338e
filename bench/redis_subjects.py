"""Who is measured against a Redis: a bare script, guardrail in three ways, and the peers as their documentation shows.

Each is a function from a server's URL and a rate to one that takes one token of a user and says whether it was given. The
peers get connections enough for every task, and a limiter for each key where one limiter would make its callers queue.
"""

from collections.abc import Awaitable, Callable, Mapping
from datetime import timedelta
from importlib.util import find_spec
from typing import NamedTuple

import limits
import pyrate_limiter
import redis
import redis.asyncio
import throttled
import throttled.asyncio

from guardrail import Guard, RedisStore
from guardrail.core.token_bucket import TokenBucket
from guardrail.stores.protocol import Check, Reply

CONNECTIONS = 1000
OURS = ("RedisStore.", "guard.", "@guard.")

# What a limiter cannot do without: the time, one value read, one written that expires, a text back.
BARE = """
local time = redis.call('TIME')
local spent = tonumber(redis.call('GET', KEYS[1]) or '0') + tonumber(ARGV[1])
redis.call('SET', KEYS[1], string.format('%.0f', spent), 'PX', ARGV[2])
return time[1] .. time[2] .. ' ' .. string.format('%.0f', spent)
"""


class Rate(NamedTuple):
    """So many in so many seconds, and at once."""

    amount: int
    seconds: int


Take = Callable[[str], bool]
ATake = Callable[[str], Awaitable[bool]]


def guard_of(resource: str, url: str, rate: Rate) -> Guard:
    """Return our guard with one rule. A store that fails must show: it refuses."""
    limit = {"kind": "limit", "rate": f"{rate.amount}/{rate.seconds}s", "burst": rate.amount, "key": "user"}
    return Guard([{"resource": resource, "on_store_error": "deny", **limit}], store=store_url(url))


def store_url(url: str) -> str:
    return f"{url}?timeout=2s"


def bare(url: str, _: Rate) -> Take:
    client = redis.Redis.from_url(url)
    sha = client.script_load(BARE)
    return lambda user: client.evalsha(sha, 1, f"bare:{user}", 1, 60_000) is not None


def abare(url: str, _: Rate) -> ATake:
    client = redis.asyncio.Redis.from_url(url, max_connections=CONNECTIONS)
    sha = redis.Redis.from_url(url).script_load(BARE)

    async def take(user: str) -> bool:
        return await client.evalsha(sha, 1, f"bare:{user}", 1, 60_000) is not None

    return take


def check_of(rate: Rate) -> Callable[[str], tuple[Check]]:
    bucket = TokenBucket(rate.amount, rate.seconds * 1_000_000, rate.amount)
    return lambda user: (Check(f"{{{user}}}:work", bucket, 1),)


def granted(reply: object) -> bool:
    assert isinstance(reply, Reply), reply
    return reply.allowed


def our_store(url: str, rate: Rate) -> Take:
    store, check = RedisStore(store_url(url)), check_of(rate)
    return lambda user: granted(store.admit(check(user)))


def aour_store(url: str, rate: Rate) -> ATake:
    store, check = RedisStore(store_url(url)), check_of(rate)

    async def take(user: str) -> bool:
        return granted(await store.aadmit(check(user)))

    return take


def our_guard(url: str, rate: Rate) -> Take:
    guard = guard_of("entered", url, rate)

    def take(user: str) -> bool:
        permit = guard.try_enter("entered", {"user": user})
        permit.exit()
        return bool(permit)

    return take


def aour_guard(url: str, rate: Rate) -> ATake:
    guard = guard_of("aentered", url, rate)

    async def take(user: str) -> bool:
        permit = await guard.atry_enter("aentered", {"user": user})
        await permit.aexit()
        return bool(permit)

    return take


def refused(_: str) -> bool:
    return False


def our_function(url: str, rate: Rate) -> Take:
    guard = guard_of("called", url, rate)

    @guard.guarded("called", fallback=refused)
    def take(user: str) -> bool:
        return bool(user)

    return take


def aour_function(url: str, rate: Rate) -> ATake:
    guard = guard_of("acalled", url, rate)

    @guard.guarded("acalled", fallback=refused)
    async def take(user: str) -> bool:
        return bool(user)

    return take


def limits_window(url: str, rate: Rate) -> Take:
    window = limits.strategies.FixedWindowRateLimiter(limits.storage.RedisStorage(url))
    item = limits.RateLimitItemPerSecond(rate.amount, rate.seconds)
    return lambda user: window.hit(item, user)


def alimits_window(client: str) -> Callable[[str, Rate], ATake]:
    def make(url: str, rate: Rate) -> ATake:
        storage = limits.aio.storage.RedisStorage(
            f"async+{url}", implementation=client, key_prefix=client, max_connections=CONNECTIONS
        )
        window = limits.aio.strategies.FixedWindowRateLimiter(storage)
        item = limits.RateLimitItemPerSecond(rate.amount, rate.seconds)
        return lambda user: window.hit(item, user)

    return make


def throttled_options(kit: object, url: str, rate: Rate) -> dict[str, object]:
    """Return what makes a throttle of either *kit*, throttled or throttled.asyncio."""
    return {
        "using": throttled.RateLimiterType.TOKEN_BUCKET.value,
        "quota": throttled.per_duration(timedelta(seconds=rate.seconds), rate.amount, burst=rate.amount),
        "store": kit.store.RedisStore(server=url, options={"CONNECTION_POOL_KWARGS": {"max_connections": CONNECTIONS}}),
    }


def throttled_bucket(url: str, rate: Rate) -> Take:
    throttle = throttled.Throttled(**throttled_options(throttled, url, rate))
    return lambda user: not throttle.limit(user).limited


def athrottled_bucket(url: str, rate: Rate) -> ATake:
    throttle = throttled.asyncio.Throttled(**throttled_options(throttled.asyncio, url, rate))

    async def take(user: str) -> bool:
        return not (await throttle.limit(user)).limited

    return take


class Pyrates(dict[str, pyrate_limiter.Limiter]):
    """One limiter for each user: a limiter of theirs holds its lock while it talks to Redis."""

    def __init__(self, client: redis.Redis | redis.asyncio.Redis, rate: Rate):
        super().__init__()
        self.client = client
        self.rates = [pyrate_limiter.Rate(rate.amount, rate.seconds * 1000)]

    def __missing__(self, user: str) -> pyrate_limiter.Limiter:
        bucket = pyrate_limiter.StateBucket(
            self.rates,
            store=pyrate_limiter.RedisStateStore(self.client, f"pyrate:{user}"),
            algorithm=pyrate_limiter.TokenBucket(),
        )
        factory = pyrate_limiter.SingleBucketFactory(bucket, schedule_leak=False)
        return self.setdefault(user, pyrate_limiter.Limiter(factory))


def pyrate_bucket(url: str, rate: Rate) -> Take:
    limiters = Pyrates(redis.Redis.from_url(url), rate)
    return lambda user: limiters[user].try_acquire(user, blocking=False)


def apyrate_bucket(url: str, rate: Rate) -> ATake:
    limiters = Pyrates(redis.asyncio.Redis.from_url(url, max_connections=CONNECTIONS), rate)
    return lambda user: limiters[user].try_acquire_async(user, blocking=False)


SYNC: Mapping[str, Callable[[str, Rate], Take]] = {
    "bare EVALSHA": bare,
    "RedisStore.admit": our_store,
    "guard.try_enter": our_guard,
    "@guard.guarded": our_function,
    "limits": limits_window,
    "throttled-py": throttled_bucket,
    "pyrate-limiter": pyrate_bucket,
}
ASYNC: Mapping[str, Callable[[str, Rate], ATake]] = {
    "bare EVALSHA": abare,
    "RedisStore.aadmit": aour_store,
    "guard.atry_enter": aour_guard,
    "@guard.guarded": aour_function,
    "limits": alimits_window("redispy"),
    **({"limits (coredis)": alimits_window("coredis")} if find_spec("coredis") else {}),
    "throttled-py": athrottled_bucket,
    "pyrate-limiter": apyrate_bucket,
}
