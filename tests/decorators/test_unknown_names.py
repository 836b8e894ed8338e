"""A name that is neither an argument nor an attribute is an error when decorating."""

import pytest

from guardrail import RuleError


class TestNamesNobodyKnows:
    def problem(self, guard, function, **options):
        with pytest.raises(RuleError) as error:
            guard.limit("1/h", name="r", **options)(function)
        [problem] = error.value.problems
        return problem.message

    def test_a_name_that_is_neither_is_an_error_when_decorating(self, guard):
        assert (
            "@limit on r: 'usr' is neither a parameter (user, page) nor an attribute such as `user`, `client.ip` or"
            " `header.x-tenant`; did you mean 'user'?"
        ) == self.problem(guard, lambda user, page: 1, key="usr")

    def test_a_function_without_parameters_says_so(self, guard):
        assert "'tenant' is neither a parameter (none) nor" in self.problem(guard, lambda: 1, key="tenant")

    ROWS = (
        (lambda user: 1, "tenant"),
        (lambda user: 1, "arg.tenant"),
        (lambda user: 1, ["user", "tenant"]),
        (lambda user: 1, "user|tenant"),
        (lambda *args: 1, "args"),
        (lambda user: 1, "header"),
        (lambda user: 1, "header."),
        (lambda user: 1, "Header.x-tenant"),
        (lambda user: 1, "client"),
        (lambda user: 1, "user."),
        (lambda user: 1, "user..name"),
        (len, "sequence"),
        (max, "key"),
        (lambda user: 1, "call.limit.key"),
    )

    @pytest.mark.parametrize(("function", "key"), ROWS)
    def test_each_of_these_is_unknown(self, guard, function, key):
        assert "is neither a parameter" in self.problem(guard, function, key=key)

    def test_names_in_when_and_cost_are_checked_too(self, guard):
        assert "'pln' is neither" in self.problem(guard, lambda plan: 1, when={"pln": "free"})
        assert "'siz' is neither" in self.problem(guard, lambda size: 1, cost="siz")

    def test_nothing_is_unknown_to_a_function_that_takes_any_keyword(self, guard):
        assert guard.limit("1/h", key="whatever", name="r")(lambda **rest: 1)() == 1

    def test_what_is_refused_is_not_in_force(self, guard):
        self.problem(guard, lambda user: 1, key="usr")
        assert () == guard.peek("r").verdicts
