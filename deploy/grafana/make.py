"""Print the dashboard that Grafana imports: python deploy/grafana/make.py > deploy/grafana/guardrail.json."""

from __future__ import annotations

import json
import sys
from typing import Any

from panels import ROWS, Panel

WIDTH = 24  # columns of a dashboard
HEIGHTS = {"stat": 4}
HEIGHT = 8
SOURCE = {"type": "prometheus", "uid": "${source}"}


def dashboard() -> dict[str, Any]:
    """Return it."""
    return {
        "title": "guardrail",
        "uid": "guardrail",
        "description": "Limits, breakers and bulkheads: what they decide, and how they are.",
        "tags": ["guardrail"],
        "schemaVersion": 39,
        "timezone": "browser",
        "editable": True,
        "refresh": "30s",
        "time": {"from": "now-6h", "to": "now"},
        "templating": {
            "list": [
                {"name": "source", "label": "Prometheus", "type": "datasource", "query": "prometheus"},
                variable("job", "label_values(guardrail_rules_info, job)", several=False),
                variable("instance", 'label_values(guardrail_rules_info{job="$job"}, instance)', several=True),
            ],
        },
        "panels": [{"id": number, **panel} for number, panel in enumerate(laid_out(), start=1)],
    }


def laid_out() -> list[dict[str, Any]]:
    """Return rows and panels in their places: of a row, all are equally wide."""
    found: list[dict[str, Any]] = []
    y = 0
    for title, panels in ROWS.items():
        found.append(
            {"type": "row", "title": title, "collapsed": False, "gridPos": place(0, y, WIDTH, 1), "panels": []}
        )
        width, height = WIDTH // len(panels), HEIGHTS.get(panels[0].kind, HEIGHT)
        found += [drawn(panel, place(number * width, y + 1, width, height)) for number, panel in enumerate(panels)]
        y += 1 + height
    return found


def drawn(panel: Panel, grid: dict[str, int]) -> dict[str, Any]:
    """Return one panel."""
    steps: list[dict[str, Any]] = [{"color": "green", "value": None}]
    if panel.red_from is not None:
        steps.append({"color": "red", "value": panel.red_from})
    defaults = {"unit": panel.unit, "min": 0, "thresholds": {"mode": "absolute", "steps": steps}}
    return {
        "type": panel.kind,
        "title": panel.title,
        "description": panel.text,
        "datasource": SOURCE,
        "gridPos": grid,
        "fieldConfig": {"defaults": defaults, "overrides": []},
        "targets": [
            {
                "refId": chr(ord("A") + number),
                "datasource": SOURCE,
                "expr": query,
                "legendFormat": legend,
                "instant": panel.kind == "bargauge",
            }
            for number, (legend, query) in enumerate(panel.lines.items())
        ],
    }


def variable(name: str, query: str, *, several: bool) -> dict[str, Any]:
    """Return what can be chosen above the panels."""
    found = {"name": name, "type": "query", "datasource": SOURCE, "query": query, "refresh": 2, "sort": 1}
    return {**found, "multi": several, "includeAll": several, "allValue": ".*" if several else None}


def place(x: int, y: int, width: int, height: int) -> dict[str, int]:
    """Return where a panel stands."""
    return {"x": x, "y": y, "w": width, "h": height}


if __name__ == "__main__":
    sys.stdout.write(json.dumps(dashboard(), indent=2) + "\n")
