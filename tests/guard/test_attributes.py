"""What is around a call holds inside the block and the tasks started in it, and nowhere else."""

import asyncio
import contextvars
import gc
from threading import Thread

import pytest

from guardrail import attributes
from guardrail.admission.ambient import around, getter


def seen(*names):
    return tuple(around(name) for name in names)


class TestBlocks:
    def test_they_add_up_from_outside_inwards(self):
        with attributes(user="u1", tenant="acme"):
            with attributes({"header.x": 1}, user="u2"):
                assert ("u2", "acme", 1) == seen("user", "tenant", "header.x")
            assert ("u1", "acme", None) == seen("user", "tenant", "header.x")
        assert (None, None) == seen("user", "tenant")

    def test_names_with_a_dot_go_in_a_mapping_and_the_named_ones_win(self):
        with attributes({"client.ip": "::1", "user": "mapped"}, user="named"):
            assert ("::1", "named") == seen("client.ip", "user")

    def test_nothing_may_be_added_too(self):
        with attributes(), attributes(None), attributes({}):
            assert (None,) == seen("user")

    def test_what_is_passed_later_changes_is_not_seen(self):
        given = {"user": "u1"}
        block = attributes(given)
        given["user"] = "u2"
        with block:
            assert ("u1",) == seen("user")

    def test_a_block_that_is_left_by_an_error_ends_too(self):
        with pytest.raises(OSError), attributes(user="u1"):
            raise OSError
        assert (None,) == seen("user")

    def test_one_may_be_entered_many_times(self):
        acme = attributes(tenant="acme")
        with acme:
            with acme, attributes(tenant="other"), acme:
                assert ("acme",) == seen("tenant")
            assert ("acme",) == seen("tenant")
        assert (None,) == seen("tenant")

    def test_a_decision_by_hand_sees_them_behind_its_own(self, guard):
        guard.apply([{"resource": "r", "kind": "limit", "rate": "1/h", "key": "user"}])
        with attributes(user="u1"):
            guard.try_enter("r").exit()
            assert not guard.peek("r").allowed
            assert guard.peek("r", {"user": "u2"}).allowed
            assert not guard.peek("r", {"user": None}).allowed
        assert guard.peek("r").allowed
        assert not guard.peek("r", {"user": "u1"}).allowed

    def test_the_resource_is_always_one_and_nobody_elses(self):
        with attributes(resource="other"):
            assert "r" == getter("r", {"resource": "mine"})("resource")


class TestTasksAndThreads:
    def test_a_task_has_what_was_around_where_it_was_started(self):
        async def look():
            await asyncio.sleep(0)
            return seen("user")

        async def main():
            with attributes(user="u1"):
                inside = asyncio.ensure_future(look())
            outside = asyncio.ensure_future(look())
            return await asyncio.gather(inside, outside)

        assert [("u1",), (None,)] == asyncio.run(main())

    def test_tasks_do_not_see_each_other(self):
        async def serve(user, everybody):
            with attributes(user=user):
                await everybody.wait()
                return seen("user")

        async def main():
            everybody = asyncio.Barrier(3)
            return await asyncio.gather(*(serve(f"u{number}", everybody) for number in range(3)))

        assert [("u0",), ("u1",), ("u2",)] == asyncio.run(main())

    def test_one_block_may_be_shared_by_tasks_that_overlap(self):
        acme = attributes(tenant="acme")

        async def first(entered, left):
            with acme:
                entered.set()
                await left.wait()
                assert ("acme",) == seen("tenant")
            return seen("tenant")

        async def second(entered, left):
            await entered.wait()
            with acme:
                left.set()
            return seen("tenant")

        async def main():
            entered, left = asyncio.Event(), asyncio.Event()
            return await asyncio.gather(first(entered, left), second(entered, left))

        assert [(None,), (None,)] == asyncio.run(main())

    def test_a_thread_starts_with_nothing(self):
        found = []
        with attributes(user="u1"):
            thread = Thread(target=lambda: found.append(seen("user")))
            thread.start()
            thread.join()
        assert [(None,)] == found

    def test_a_worker_thread_of_asyncio_sees_what_its_task_sees(self):
        async def main():
            with attributes(user="u1"):
                return await asyncio.to_thread(seen, "user")

        assert ("u1",) == asyncio.run(main())


class TestGenerators:
    """A block in a generator may end late, out of order, or in another context. It never takes away what is not its own."""

    @staticmethod
    def stream(user):
        with attributes(user=user):
            yield seen("user")
            yield seen("user")

    def test_one_that_ends_after_the_block_around_it_leaves_nothing_behind(self):
        with attributes(user="outer", tenant="acme"):
            stream = self.stream("inner")
            assert ("inner",) == next(stream)
        assert (None, None) == seen("user", "tenant")
        stream.close()
        assert (None, None) == seen("user", "tenant")

    def test_one_that_ends_in_another_context_changes_nothing_there(self):
        stream = self.stream("inner")
        context = contextvars.copy_context()
        assert ("inner",) == context.run(next, stream)
        with attributes(user="mine"):
            stream.close()
            assert ("mine",) == seen("user")
        assert ("inner",) == context.run(seen, "user")

    def test_one_that_is_collected_changes_nothing(self):
        stream = self.stream("inner")
        contextvars.copy_context().run(next, stream)
        with attributes(user="mine"):
            del stream
            gc.collect()
            assert ("mine",) == seen("user")
