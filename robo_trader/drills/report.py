"""What a drill found, as a table to read and as JSON."""

from __future__ import annotations

import json
import statistics
import sys
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from robo_trader.drills.ledger import COUNTERS, Finding, Ledger


@dataclass
class Row:
    """One line of the table: how often a thing was tried, how often it happened, how soon the desk was ready again."""

    name: str
    tried: int = 0
    happened: int = 0
    ready_s: list[float] = field(default_factory=list)
    found: list[Finding] = field(default_factory=list)

    def as_dict(self) -> dict[str, Any]:
        """Return it as it stands in the JSON."""
        counted = Counter(finding.counter for finding in self.found)
        ready = sorted(self.ready_s)
        return {
            "name": self.name,
            "rounds": self.tried,
            "happened": self.happened,
            "ready_p50_s": round(statistics.median(ready), 2) if ready else None,
            "ready_max_s": round(ready[-1], 2) if ready else None,
        } | {name: counted[name] for name in COUNTERS}


def table(rows: Iterable[Row], tried: str = "rounds", happened: str = "killed there") -> str:
    """Write the rows as a table in Markdown; a counter that is 0 in every row has one column with the others."""
    told = [row.as_dict() for row in rows]
    hit = [name for name in COUNTERS if any(row[name] for row in told)]
    clean = [name for name in COUNTERS if name not in hit]
    head = ["", tried, happened, "ready p50 s", "ready max s", *hit]
    lines = [line(head), line(["---", *["---:"] * (len(head) - 1)])]
    for row in told:
        cells = [row["name"], row["rounds"], row["happened"], row["ready_p50_s"], row["ready_max_s"]]
        lines.append(line([*cells, *(row[name] for name in hit)]))
    if clean:
        lines += ["", f"0 in every row: {', '.join(clean)}"]
    return "\n".join(lines)


def as_json(drill: str, ledger: Ledger, rows: Sequence[Row], **more: object) -> str:
    """Write all of it as JSON: the counts, the rows, and each finding in words."""
    found = [finding._asdict() for finding in ledger.found.values()]
    told: Mapping[str, object] = {
        "drill": drill,
        "rounds": sum(row.tried for row in rows),
        **more,
        **ledger.counts,
        "rows": [row.as_dict() for row in rows],
        "findings": found,
    }
    return json.dumps(told, indent=2)


def say(text: str) -> None:
    """Print to standard output at once."""
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


def note(text: str) -> None:
    """Say how far it is, beside the result: on standard error."""
    sys.stderr.write(text + "\n")
    sys.stderr.flush()


def line(cells: Iterable[object]) -> str:
    """Write one line of a Markdown table; None is an empty cell."""
    return f"| {' | '.join('' if cell is None else str(cell) for cell in cells)} |"
