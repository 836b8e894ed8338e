"""What `demo --redis` claims, held against what was measured.

Law: as in `checks`. The exceptions, for which a machine may be too slow, are two seconds: for an answer while Redis stands
still, and until it is seen to be back.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Collection, Sequence

from guardrail.cli.demo.branches import Outage
from guardrail.cli.demo.checks import Check, Rate, span
from guardrail.cli.demo.traffic import Answer, quantiles

LONGEST_ANSWER_S = 2.0
LONGEST_RECOVERY_S = 2.0
REFUSALS_PER_SCRIPT = 20


def exact(rate: Rate, rule: str, places: int, answers: Sequence[Answer]) -> Check:
    """Check that a customer who asked all places at once got what one limit has, and not what each would have given her.

    Args:
        answers: All that she was ever answered under this limit.
    """
    claim = f"{len(answers)} logins at once: all processes together let in the {rate.at_once} of {rate.text}, and not one more"
    let_in, asked = _by_place(answers), Counter(one.place for one in answers)
    total, most = let_in.total(), rate.most(span(answers))
    alone = sum(min(rate.at_once, count) for count in asked.values())
    split = " + ".join(str(let_in[place]) for place in range(places))
    measured = (
        f"{total} let in ({split}), {len(answers) - total} refused; the law allows {most}; by themselves: {alone}"
    )
    others = [one for one in answers if not one.allowed and one.rule != rule]
    return Check(claim, measured, rate.at_once <= total <= most < alone and not others)


def costs_nothing(scripts: int, answers: Sequence[Answer]) -> Check:
    """Check that refusals are answered without Redis.

    Args:
        scripts: How many it has run for these answers and nothing else.
    """
    let_in = sum(one.allowed for one in answers)
    refused = len(answers) - let_in
    claim = "a storm of refusals costs Redis almost nothing: they are remembered"
    seconds = span(answers)
    measured = f"{refused} refusals in {seconds:.1f} s ({refused / (seconds or 1):.0f}/s), {let_in} let in: Redis ran {scripts} scripts"
    return Check(claim, measured, refused > 0 and scripts <= let_in + refused / REFUSALS_PER_SCRIPT)


def noticed(paused_at: float, outages: Sequence[Outage | None]) -> Check:
    """Check that every process has noticed that the store is away.

    Args:
        outages: What each process has told of it.
    """
    claim = "Redis stands still: every process notices"
    told = [one for one in outages if one is not None]
    after = ", ".join(f"{one.lost_at - paused_at:.2f}" for one in told)
    measured = f"after {after} s: {told[0].error}" if told else "none has"
    return Check(claim, measured, len(told) == len(outages) and all(one.lost_at >= paused_at for one in told))


def held_to_shares(rate: Rate, rule: str, places: int, answers: Sequence[Answer]) -> Check:
    """Check that each process let in its share of a limit, and had something to refuse."""
    share = rate.share(places)
    claim = f"meanwhile each of the {places} processes lets mallory in by its share of {rate.text}"
    theirs: defaultdict[int, list[Answer]] = defaultdict(list)
    for one in answers:
        theirs[one.place].append(one)
    counts = [(sum(one.allowed for one in some), share.most(span(some))) for _, some in sorted(theirs.items())]
    own = [one for one in answers if one.rule == rule]
    shares = {one.body["limit"] for one in own}
    split = " + ".join(str(let_in) for let_in, _ in counts)
    most = " + ".join(str(most) for _, most in counts)
    measured = f"{split} let in, {len(own)} refused in {span(answers):.1f} s; the law allows {most}"
    within = all(let_in <= most for let_in, most in counts)
    return Check(claim, measured, within and len(counts) == places and shares == {share.at_once})


def denied(rule: str, answers: Sequence[Answer]) -> Check:
    """Check that a rule which denies without its store says so, and when the store is looked at again."""
    claim = "meanwhile logins are refused: their rule says deny"
    said = [one for one in answers if one.rule == rule and one.body["reason"] == "store_unavailable"]
    waits = [float(one.body["retry_after"]) for one in said if one.body["retry_after"] is not None]
    measured = f"{len(said)} of {len(answers)} with store_unavailable"
    if waits:
        measured += f"; retry after {min(waits):.2f} to {max(waits):.2f} s"
    return Check(claim, measured, len(waits) == len(answers) > 0 and max(waits) <= 1)


def nobody_waits(timeout_s: float, answers: Sequence[Answer], later: Collection[Answer]) -> Check:
    """Check that every caller was answered soon.

    Args:
        answers: All since the store stands still.
        later: Those of them that were asked once every process had noticed.
    """
    claim = f"nobody waits long: calls give up after {timeout_s * 1000:.0f} ms, and once that is known most do not wait at all"
    slowest = max((one.received - one.sent for one in answers), default=0.0)
    fast = quantiles([one.received - one.sent for one in later])
    if fast is None:
        return Check(claim, "nobody called", holds=False)
    measured = f"{len(answers)} answers, the slowest after {slowest * 1000:.0f} ms; half of the later {len(later)} within {fast[0]:.1f} ms"
    return Check(claim, measured, slowest < LONGEST_ANSWER_S and fast[0] < timeout_s * 1000)


def seen_again(resumed_at: float, outages: Sequence[Outage | None], answer: Answer) -> Check:
    """Check that every process saw the store come back, and that what was denied is let in again."""
    claim = "Redis goes on: every process sees it within about a second"
    delays = [one.back_at - resumed_at for one in outages if one is not None and one.back_at is not None]
    after = ", ".join(f"{delay:.2f}" for delay in delays)
    login = "let in" if answer.allowed else f"refused: {answer.body.get('reason')}"
    measured = f"after {after} s; a login is {login}" if delays else "none has"
    in_time = len(delays) == len(outages) and all(0 <= delay <= LONGEST_RECOVERY_S for delay in delays)
    return Check(claim, measured, in_time and answer.allowed)


def all_ended(ended_well: Sequence[bool]) -> Check:
    """Check that every process ended when it was told to."""
    measured = f"{sum(ended_well)} of {len(ended_well)} did"
    return Check("every process ends when it is told to", measured, all(ended_well))


def _by_place(answers: Sequence[Answer]) -> Counter[int]:
    return Counter(one.place for one in answers if one.allowed)
