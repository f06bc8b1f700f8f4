"""What one round of `drill faults` showed, and what of it is wrong by the expectations of its faults."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import msgspec

from robo_trader.drills.expectations import BOOKS, EXPECTATIONS, ORDERS, SESSION, TOLD_WITHIN_S, Expectation
from robo_trader.drills.ledger import ANOMALIES, BOOKS_DIFFER, COUNTERS, QUARANTINED, Finding

DIED, NOT_TOLD, NOT_RESUMED = "died", "not_told", "not_resumed"
# What a drill with faults counts beside the ledger's.
BESIDE: Mapping[str, str] = {
    DIED: "a daemon that ended by itself, or not within its time when asked to",
    NOT_TOLD: "trading was impossible, and no alert said so within 60 seconds",
    NOT_RESUMED: "trading did not come back although it may",
}
# Where everybody lies to it, the desk rightly calls much of it impossible.
ALL = {name: text for name, text in {**COUNTERS, **BESIDE}.items() if name != ANOMALIES}
BY_NAME = {expectation.name: expectation for expectation in EXPECTATIONS}
# The matters of alerts by what they tell.
MATTERS: Mapping[str, tuple[str, ...]] = {
    SESSION: ("blind",),
    ORDERS: ("rejected",),
    BOOKS: ("quarantine",),
}


class Planned(msgspec.Struct, frozen=True):
    """One round: which faults, by the names of their expectations, and the seed of its moments."""

    number: int
    faults: tuple[str, ...]
    seed: int

    @property
    def name(self) -> str:
        return " + ".join(self.faults)


class Seen(msgspec.Struct, frozen=True):
    """What a round showed; times are wall seconds, None where it did not come to that."""

    planned: Planned
    findings: tuple[Finding, ...] = ()
    exit_code: int | None = 0  # None: the daemon had to be killed
    ended_early: bool = False
    told_s: float | None = None  # from the fault to the alert
    told: tuple[str, ...] = ()  # the matters that alerts told of
    resumed_s: float | None = None  # from the end of the fault, or from what a person did, to a new position
    struck: bool = True  # whether the fault found anything to strike
    kept: str = ""  # where the files of a failed round are
    took_s: float = 0.0


def wrongs(seen: Seen, expected: Sequence[Expectation]) -> list[Finding]:
    """Return all that is wrong with a round."""
    name = f"round {seen.planned.number}"
    found = [f for f in seen.findings if not _is_meant(f, expected)]
    if seen.ended_early or seen.exit_code != 0:
        when = "by itself" if seen.ended_early else "when asked to"
        found.append(Finding(DIED, name, f"the daemon ended {when} with {seen.exit_code}"))
    tells = must_tell(expected)
    if tells and (seen.told_s is None or seen.told_s > TOLD_WITHIN_S):
        heard = ", ".join(seen.told) or "nothing"
        found.append(Finding(NOT_TOLD, name, f"told of {heard} within {TOLD_WITHIN_S:g} s, wanted {tells}"))
    within = may_take(expected)
    if seen.resumed_s is None or seen.resumed_s > within:
        found.append(Finding(NOT_RESUMED, name, f"no new position within {within:g} s"))
    return found


def must_tell(expected: Sequence[Expectation]) -> tuple[str, ...]:
    """Return what the user must be told of, any one of them.

    Of two faults at once each cuts the other short, so only what stays wrong must be told.
    """
    alone = len(expected) == 1
    told = [e.tells if alone else e.stays for e in expected]
    return tuple(dict.fromkeys(matter for matter in told if matter))


def may_take(expected: Sequence[Expectation]) -> float:
    """Return the wall seconds in which trading must be back."""
    return max(e.within_s for e in expected)


def is_told(matters: Sequence[str], tells: Sequence[str]) -> bool:
    """Say whether alerts about these matters tell any of that."""
    wanted = tuple(prefix for what in tells for prefix in MATTERS[what])
    return any(matter.startswith(wanted) for matter in matters)


def _is_meant(finding: Finding, expected: Sequence[Expectation]) -> bool:
    """Whether a finding is what a fault makes of the books, not what the daemon did.

    Shares that came by no trade, and a new account, are in no sum of executions.
    """
    if any(finding.counter in e.forgives for e in expected):
        return True
    if not any(e.stays == BOOKS for e in expected):
        return False
    agreed = finding.counter == BOOKS_DIFFER and finding.key.split()[1:3] == ["0", "0"]
    return agreed or finding.counter == QUARANTINED
