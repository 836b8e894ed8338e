"""What tests of findings share: rules without names of their own, and what is found about them."""

import json

from guardrail.cli.lint.command import judge

LIMIT = {"kind": "limit", "rate": "10/s"}


def found(tmp_path, *rules):
    """The findings about rules without names of their own: rule 0, rule 1 ..."""
    path = tmp_path / "rules.yaml"
    named = [{"name": f"rule {number}", "resource": "a.b", **rule} for number, rule in enumerate(rules)]
    path.write_text(json.dumps({"version": 1, "rules": named}, indent=1))
    judged = judge(str(path))
    assert () == judged.problems
    return [(one.finding.rule.name, one.finding.code) for one in judged.found]
