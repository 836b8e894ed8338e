"""Methods of every sort are guarded where they are written, whichever of two decorators stands above."""

import functools

import pytest

from tests.decorators.scene import inside, refusal, result


class TestMethods:
    def test_all_instances_share_a_limit_without_a_key(self, guard):
        class Service:
            @guard.limit("1/h")
            def call(self):
                return self

        service = Service()
        assert service is service.call()
        assert f"{__name__}.TestMethods.test_all_instances_share_a_limit_without_a_key.<locals>.Service.call/limit" == (
            refusal(Service().call).rule
        )

    def test_an_attribute_of_the_instance_may_be_the_key(self, guard):
        class Service:
            def __init__(self, tenant):
                self.tenant = tenant

            @guard.limit("1/h", key="self.tenant")
            def call(self):
                return self.tenant

        assert ["a", "b"] == [Service("a").call(), Service("b").call()]
        assert refusal(Service("a").call)

    def test_a_method_called_on_its_class_is_the_same_method(self, guard):
        class Service:
            @guard.limit("1/h")
            def call(self, x):
                return x

        assert 1 == Service.call(Service(), 1)
        assert refusal(Service().call, 1)

    def test_a_method_that_is_inherited_is_guarded_too(self, guard):
        class Above:
            @guard.limit("1/h", name="r")
            def call(self):
                return "above"

        class Below(Above):
            def call(self):
                return super().call() + " below"

        assert "above below" == Below().call()
        assert "r/limit" == refusal(Below().call).rule

    def test_special_methods_are_guarded_on_their_class(self, guard):
        class Service:
            @guard.limit("1/h")
            def __call__(self, x):
                return x

        assert 1 == Service()(1)
        assert refusal(Service(), 1)


class Kinds:
    """The same method as each kind of callable."""

    def function(self, a, b=2):
        return self, a, b

    async def coroutine(self, a, b=2):
        return self, a, b

    def generator(self, a, b=2):
        yield self
        yield a
        yield b

    async def async_generator(self, a, b=2):
        yield self
        yield a
        yield b


KINDS = [name for name in vars(Kinds) if not name.startswith("_")]


def plain(values):
    return tuple(values)


@pytest.mark.parametrize("kind", KINDS)
class TestDescriptors:
    @pytest.fixture
    def method(self, kind):
        return vars(Kinds)[kind]

    def test_a_method(self, guard, method):
        class Service:
            call = guard.bulkhead(1)(guard.limit("1/h", key="a")(method))

        service = Service()
        assert (service, 1, 3) == plain(result(service.call, 1, b=3))
        assert refusal(service.call, a=1)
        assert 0 == inside(guard)

    def test_a_class_method_with_the_decorator_below(self, guard, method):
        class Service:
            call = classmethod(guard.limit("1/h", key="a")(method))

        assert (Service, 1, 2) == plain(result(Service.call, 1))
        assert refusal(Service().call, a=1)

    def test_a_class_method_with_the_decorator_above(self, guard, method):
        class Service:
            call = guard.bulkhead(1)(guard.limit("1/h", key="a")(classmethod(method)))

        assert (Service, 1, 2) == plain(result(Service().call, 1))
        assert refusal(Service.call, a=1)
        assert 0 == inside(guard)

    def test_a_static_method_with_the_decorator_below(self, guard, method):
        class Service:
            call = staticmethod(guard.limit("1/h", key="a")(method))

        assert ("self", 1, 2) == plain(result(Service.call, "self", 1))
        assert refusal(Service().call, "self", a=1)

    def test_a_static_method_with_the_decorator_above(self, guard, method):
        class Service:
            call = guard.bulkhead(1)(guard.limit("1/h", key="a")(staticmethod(method)))

        assert ("self", 1, 2) == plain(result(Service().call, "self", 1))
        assert refusal(Service.call, "self", a=1)
        assert 0 == inside(guard)

    def test_a_guarded_method_may_be_bound_in_advance(self, guard, method):
        class Service:
            call = guard.limit("1/h", key="a")(method)

        service = Service()
        bound, part = service.call, functools.partial(service.call, 1)
        assert (service, 1, 2) == plain(result(bound, 1))
        assert refusal(part)


class TestCallablesInAClass:
    """What binds an instance when it stands in a class goes on doing so, what does not does not."""

    def test_a_cached_method_gets_its_instance(self, guard):
        cached = functools.lru_cache(lambda self, x: (self, x))

        class Service:
            call = guard.bulkhead(1, name="r")(guard.limit("2/h", key="x", name="r")(cached))

        service = Service()
        assert [(service, 1), (service, 1)] == [service.call(1), Service.call(service, 1)]
        assert refusal(service.call, 1)
        assert (service, 2) == service.call(2)
        assert 1 == Service.call.cache_info().hits
        assert 0 == inside(guard)

    def test_an_object_that_is_no_method_gets_no_instance(self, guard):
        class Echo:
            def __call__(self, *args):
                return args

        class Service:
            call = guard.limit("2/h")(Echo())

        assert (1,) == Service().call(1)
        assert (1,) == Service.call(1)

    def test_a_method_of_several_kinds_is_guarded_below(self, guard):
        class Service:
            @functools.singledispatchmethod
            @guard.limit("1/h")
            def call(self, x):
                return "anything"

            @call.register
            def _(self, x: int):
                return "a number"

        assert ["anything", "a number"] == [Service().call("x"), Service().call(1)]
        assert refusal(Service().call, "x")

    def test_a_partial_method_is_guarded_below(self, guard):
        class Service:
            @guard.limit("1/h")
            def call(self, x):
                return x

            one = functools.partialmethod(call, 1)

        assert 1 == Service().one()
        assert refusal(Service().call, 1)

    def test_a_property_is_guarded_below(self, guard):
        class Service:
            @property
            @guard.limit("1/h")
            def name(self):
                return "service"

            @functools.cached_property
            @guard.limit("1/h")
            def kept(self):
                return "kept"

        service = Service()
        assert "service" == service.name
        assert refusal(lambda: service.name)
        assert ["kept", "kept"] == [service.kept, service.kept]
        assert refusal(lambda: Service().kept)
