"""`guardrail explain` shows which rules a call meets, in which order and under which key, and what they mean."""

import pytest

from guardrail import RuleSet
from tests.cli.rules import RULES
from tests.cli.shell import guardrail

REVISION = RuleSet.parse(RULES).revision


@pytest.fixture(autouse=True)
def rules(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "rules.yaml").write_text(RULES)
    return tmp_path


def explain(*words):
    done = guardrail("explain", *words, "--rules", "rules.yaml")
    assert (0, "") == (done.code, done.err)
    return done.out


def joined(text):
    return " ".join(text.split())


def test_everything_there_is_to_say_of_one_call():
    words = ["--attr", "user=u1", "--attr", "plan=free", "--attr", "weight=3"]
    assert f"""\
Call:  orders.create, cost 1, user 'u1', plan 'free', weight '3'
Rules: rules.yaml, 6 rules, revision {REVISION}

4 rules are asked, in this order. Breakers before bulkheads before limits. A call that had to wait
is asked by the breakers again. Rules that only watch decide last, once the call is let in.

1. breaker warehouse
   matches   orders.create
   mode      enforced
   key       resource 'orders.create'
   breaker   guard.breakers['warehouse/orders.create']
   opens     when 50% or more of the calls in the last 30 s took longer than 2 s, once there are 10; or when 5 calls in a row failed
   open      it refuses every call for 5 s; each time it opens again at once, twice as long, up to 1 min
   probes    then it lets 3 calls through and closes or opens again by how they go; one that takes 30 s has no say
   failures  every exception, http.5xx, and the gRPC codes of a failing server, but not ValueError

2. bulkhead places
   matches  orders.create
   mode     enforced
   key      none: one state for all calls that this rule meets
   places   at most 10 calls inside at once
   queue    others wait up to 500 ms in the order of arrival, at most 50 of them; then they are refused
   counted  in each process by itself

3. limit per-user
   matches  orders.create
   mode     enforced
   key      user 'u1'
   rate     100/min, token_bucket: at most 20 at once, 120 in the first minute, 100 in each later minute
   refill   one comes back after 600 ms, all 20 after 12 s
   cost     1
   queue    a call that finds too little left waits up to 1 s for it, at most 2 such calls at a time; others are refused
   counted  in the guard's store, or without one in each process by itself

4. limit free-plan
   matches    orders.**
   when       plan is free or trial, origin is not billing
   mode       shadow: it counts and decides, and never refuses
   key        user 'u1', header.x-tenant is missing: all such calls share one state
   stored as  '7:user=u10:'
   rate       1_000/h, sliding_window: never more than 1,000 in any hour, wherever it begins; room comes back up to 6 min late
   cost       3, from attribute weight: at most 333 such calls at once
   queue      none: a call that finds too little left is refused at once
   counted    in the guard's store, or without one in each process by itself

Not asked:
   limit old    mode: off
   limit carts  resource: it is about carts.**
""" == explain("orders.create", *words)


def test_a_call_that_no_rule_is_about_goes_ahead():
    assert f"""\
Call:  order.create, cost 1
Rules: rules.yaml, 6 rules, revision {REVISION}
Note:  there are rules for 'orders.create'; did you mean that?

No rule is asked about this call: it goes ahead.

Not asked:
   limit per-user     resource: it is about orders.create
   limit free-plan    resource: it is about orders.**
   bulkhead places    resource: it is about orders.create
   breaker warehouse  resource: it is about orders.create or stock.*
   limit old          resource: it is about orders.create
   limit carts        resource: it is about carts.**
""" == explain("order.create")


def test_one_rule_alone_is_asked_without_further_words():
    shown = explain("carts.add")
    assert "\n1 rule is asked, in this order.\n" not in shown
    assert "\n1 rule is asked.\n\n1. limit carts\n" in shown


def test_several_limits_are_charged_together(rules):
    sentence = "The limits are all charged, or none is."
    assert sentence not in joined(explain("orders.create", "--attr", "plan=free"))  # one of them only watches
    with (rules / "rules.yaml").open("a") as file:
        file.write("  - {name: second, resource: orders.create, kind: limit, rate: 1/s}\n")
    assert sentence in joined(explain("orders.create"))


def test_a_key_with_a_rate_of_its_own_is_explained_by_that():
    shown = explain("orders.create", "--attr", "user=vip")
    assert "rate     600/min ('vip' has a rate of its own), token_bucket: at most 20 at once, 620 in the" in shown


def test_what_is_missing_for_a_key_is_said():
    assert "key      user is missing: all such calls share one state\n" in explain("orders.create")
    shown = explain("orders.list", "--attr", "plan=free")
    assert (
        "key        user and client.ip are missing: all such calls share one state, header.x-tenant is missing" in shown
    )
    assert "stored as  '0:0:'" in shown


def test_the_first_attribute_that_is_there_is_the_key():
    words = ["--attr", "client.ip=10.0.0.7", "--attr", "header.x-tenant=acme", "--attr", "plan=free"]
    shown = explain("orders.list", *words)
    assert "key        client.ip '10.0.0.7', header.x-tenant 'acme'\n" in shown
    assert "stored as  '18:client.ip=10.0.0.74:acme'\n" in shown


def test_a_long_key_is_stored_as_a_digest():
    shown = explain("orders.create", "--attr", f"user={'x' * 500}")
    assert "stored as  '\\x00" in shown


def test_a_cost_above_the_capacity_is_never_admitted():
    shown = explain("orders.create", "--cost", "30")
    assert "cost     30: NEVER ADMITTED, because at most 20 can be spent at once\n" in shown


#   cost   what it says
COSTS = [
    ("0", "cost     0: such a call is always admitted and takes nothing\n"),
    ("1", "cost     1\n"),
    ("6", "cost     6: at most 3 such calls at once\n"),
]


@pytest.mark.parametrize(("cost", "sentence"), COSTS)
def test_the_cost_of_the_call_is_weighed(cost, sentence):
    assert sentence in explain("orders.create", "--cost", cost)


def test_an_attribute_that_is_no_number_leaves_the_cost_to_the_call():
    shown = explain("orders.list", "--attr", "plan=free", "--attr", "weight=heavy", "--cost", "2")
    assert (
        "cost       2, the call's own, because its attribute weight is no whole number: at most 500 such calls" in shown
    )


def test_an_attribute_that_nothing_looks_at_was_perhaps_meant_otherwise():
    shown = explain("orders.create", "--attr", "usr=u1", "--attr", "zzz=1")
    assert "Note:  no rule for this resource looks at the attribute usr; did you mean user?\n" in shown
    assert "Note:  no rule for this resource looks at the attribute zzz\n" in shown


def test_a_rule_that_fits_but_for_something_else_is_the_one_that_was_meant():
    shown = explain("orders.status", "--attr", "plan=free")
    assert "Note:" not in shown
    assert "limit free-plan    except: it leaves out orders.status\n" in shown


def test_rules_for_a_share_of_the_keys_say_on_which_side_this_one_is(rules):
    with (rules / "rules.yaml").open("a") as file:
        file.write("  - {name: new, resource: search, kind: limit, rate: 1/s, key: user, enforce: 50%}\n")
        file.write("  - {name: newer, resource: search, kind: limit, rate: 1/s, enforce: 33%}\n")
    shown = "".join(explain("search", "--attr", f"user=u{number}") for number in range(20))
    assert "mode     enforced for 50% of the keys, this one among them\n" in shown
    assert "mode     enforced for 50% of the keys; this one is not among them, and is only watched\n" in shown
    assert "mode     enforced for 33% of the keys; it has no key, and so is enforced for all calls or none: " in shown


def test_many_rules_about_other_resources_are_listed_only_where_that_is_wanted(rules):
    with (rules / "rules.yaml").open("a") as file:
        file.writelines(f"  - {{resource: job{number}, kind: limit, rate: 1/s}}\n" for number in range(1, 51))
    shown = explain("orders.create")
    assert 20 == shown.count("resource: it is about ")
    assert shown.endswith("   and 31 more, about other resources; --all lists them\n")
    assert "limit job50/limit" in explain("orders.create", "--all")


def test_a_method_and_a_path_need_no_quotes(rules):
    (rules / "rules.yaml").write_text("version: 1\nrules:\n  - {resource: '* /v1/**', kind: limit, rate: 1/s}\n")
    assert explain("GET /v1/orders") == explain("GET", "/v1/orders")


def test_rules_can_be_piped_in_and_named_by_the_environment(rules, monkeypatch):
    piped = guardrail("explain", "carts.add", "--rules", "-", stdin=RULES)
    assert piped.out.replace("what is piped in", "rules.yaml") == explain("carts.add")
    monkeypatch.setenv("GUARDRAIL_RULES", "rules.yaml")
    assert guardrail("explain", "carts.add").out == explain("carts.add")


#   typed                                             what it says
MISTAKES = [
    ([], "Missing argument 'RESOURCE'"),
    (["a"], "Missing option '--rules'"),
    (["a", "b", "c", "--rules", "rules.yaml"], "one resource at a time, got 'a', 'b', 'c'; quote one that has spaces"),
    (["a", "--rules", "rules.yaml", "more.yaml"], "name the folder of several rule files"),
    (["", "--rules", "rules.yaml"], "must be one line of text without space around it, got ''"),
    (["a\n", "--rules", "rules.yaml"], "must be one line of text without space around it, got 'a\\n'"),
    (["a", "--rules", "rules.yaml", "--attr", "user"], "must be name=value, such as user=u1, got 'user'"),
    (["a", "--rules", "rules.yaml", "--attr", "=u1"], "must be name=value, such as user=u1, got '=u1'"),
    (["a", "--rules", "rules.yaml", "--attr", "us er=u1"], "must name an attribute such as user or header.x-tenant"),
    (["a", "--rules", "rules.yaml", "--attr", "user=1", "--attr", "user=2"], "user is given twice: '1' and '2'"),
    (["a", "--rules", "rules.yaml", "--attr", "resource=b"], "resource is always there: it is RESOURCE itself"),
    (["a", "--rules", "rules.yaml", "--cost", "-1"], "--cost"),
    (["a", "--rules", "rules.yaml", "--cost", "many"], "--cost"),
    (["a", "--rules", "rules.yaml", "--format", "github"], "--format"),
]


@pytest.mark.parametrize(("typed", "sentence"), MISTAKES)
def test_what_is_typed_wrongly_ends_in_a_sentence_and_2(typed, sentence):
    done = guardrail("explain", *typed)
    assert (2, "") == (done.code, done.out)
    assert sentence in joined(done.err)


def test_a_value_may_be_empty_and_may_hold_more_signs():
    assert "user '', plan 'a=b'" in explain("orders.create", "--attr", "user=", "--attr", "plan=a=b")


def test_rules_with_mistakes_are_not_explained(rules):
    (rules / "rules.yaml").write_text("version: 1\nrules:\n  - {resource: a, kind: limit}\n")
    done = guardrail("explain", "a", "--rules", "rules.yaml")
    sentence = "rules.yaml:3:5: a limit needs a rate, such as rate: 100/min"
    assert (1, f"{sentence}\n    - {{resource: a, kind: limit}}\n1 mistake in 1 file\n", "") == done
