"""One function of each kind: each gives what it is given."""


async def coroutine(a):
    return a


def generator(a):
    yield a


async def async_generator(a):
    yield a


def function(a):
    return a
