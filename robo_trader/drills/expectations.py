"""What each fault of the practice gateway may do to a trading daemon, as data: the catalogue of `drill faults`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from robo_trader.drills.ledger import EXITS_FLIPPED, FILLS_LOST

TOLD_WITHIN_S = 60.0  # wall seconds until the user must know of whatever makes trading impossible
SOON_S = 45.0  # wall seconds: a session lost and found, with the pauses between attempts
LATER_S = 120.0  # a silent stream is asked for again a minute after it was refused

SESSION = "session"  # no session, or no stream that is fresh
ORDERS = "orders"  # every order is refused
MOVED = (EXITS_FLIPPED,)
BOOKS = "books"  # our books and the broker's differ: a person must say who is right


@dataclass(frozen=True)
class Expectation:
    """One fault, how it is planted, and what must be true then.

    Whatever happens nothing is sent twice, lost, doubled or left unprotected. Trading comes back `within_s` wall
    seconds after the fault was lifted, or, where it `stays`, after a person has put it right.
    """

    fault: str
    label: str = ""  # tells two of the same fault apart
    given: Mapping[str, object] = field(default_factory=dict)
    seconds: Mapping[str, float] = field(default_factory=dict)  # parameters in wall seconds
    provoked_by: str = ""  # a second fault at once: a session that is never lost shows no broken greeting
    hold_s: float = (
        3.0  # wall seconds until it is lifted; one that stops trading is held until the user was told
    )
    stops: str = ""  # what it makes impossible while it lasts: SESSION, ORDERS or nothing
    stays: str = ""  # what is wrong even after it was lifted, until a person acts: BOOKS or nothing
    within_s: float = SOON_S
    forgives: tuple[
        str, ...
    ] = ()  # counters that the fault itself makes true: shares that moved turn an exit round

    @property
    def name(self) -> str:
        """The fault with the parameters that make it this one."""
        given = (f"{key}={value}" for key, value in self.given.items())
        return " ".join([self.fault, *given, *([f"({self.label})"] if self.label else [])])

    @property
    def tells(self) -> str:
        """What the user must be told of, empty for nothing."""
        return self.stops or self.stays


def _of(fault: str, **changes: object) -> Expectation:
    return Expectation(fault, **changes)  # type: ignore[arg-type]


def _greeting(fault: str, **given: object) -> Expectation:
    """A fault that only a new session meets: as long as it lasts there is none."""
    return Expectation(fault, given=given, provoked_by="drop-fin", stops=SESSION)


CONNECTION = (
    _greeting("mute-handshake"),
    _greeting("no-accounts"),
    _greeting("withhold-end"),
    _greeting("withhold-end", of="positions"),
    _greeting("withhold-end", of="completed-orders"),
    _greeting("client-id-in-use"),
    _of("drop-fin"),
    _of("drop-rst"),
    _greeting("refuse-connections"),
    _of("freeze", stops=SESSION),
    _of("bad-length"),
    _of("bad-body"),
    # An acknowledgement, an execution, its commission, a status that nobody could read: found out by asking.
    _of("bad-body", given={"on": "5"}),
    _of("bad-body", given={"on": "11"}),
    _of("bad-body", given={"on": "59"}),
    _of("bad-body", given={"on": "3"}),
    _of("unknown-message"),
    _of("slow-drip", given={"size": 64}),
    _of("coalesce"),
)
LINKS = (
    _of("outage-kept", within_s=LATER_S),
    _of("outage-lost", within_s=LATER_S),
    _of("outage-kept", label="long", stops=SESSION, within_s=LATER_S),
    _of("outage-lost", label="long", stops=SESSION, within_s=LATER_S),
    _of("outage-flood"),
    _of("farm-broken", within_s=LATER_S),
    _of("farm-broken", given={"revive": True}, within_s=LATER_S),
    _of("server-broken", within_s=LATER_S),
    _of("port-reset"),
    _of("restart-keep"),
    # What was executed between the last word and the loss is known to nobody any more.
    _of("restart-lose", stays=BOOKS, forgives=(*MOVED, FILLS_LOST)),
    _of("next-id-backwards", provoked_by="drop-fin"),
    _of("clock-skew"),
    _of("clock-skew", given={"seconds": -300}),
    _of("clock-skew", given={"seconds": 86_400}, provoked_by="drop-fin"),
    _of("dst", provoked_by="drop-fin"),
    _of("time-format", provoked_by="drop-fin"),
    _of("time-format", given={"form": "zoneless"}, provoked_by="drop-fin"),
    _of("time-format", given={"form": "zone", "zone": "Mars/Olympus"}, provoked_by="drop-fin"),
)
ORDER_MESSAGES = (
    _of("lose-before-accept"),
    _of("accept-then-drop"),
    _of("delay-ack", seconds={"seconds": 1.0}),
    _of("commission-late", seconds={"seconds": 2.0}),
    _of("commission-first"),
    _of("duplicate"),
    _of("reorder"),
    _of("missing-status"),
    _of("missing-open-order"),
    _of("partial-fills"),
)
VERDICTS = (
    _of("error-on-live"),
    _of("error-on-live", given={"code": 10148}),
    _of("error-on-live", given={"code": 399}),
    _of("error-on-live", given={"code": 110}),
    _of("error-after-fill"),
    _of("error-after-fill", given={"code": 201}),
    _of("ghost-inactive"),
    _of("reject", stops=ORDERS),
    _of("reject", given={"sequence": "status-first", "times": 3}),
    _of("reject", given={"sequence": "cancelled-first", "times": 3}),
    _of("cancel-ignored"),
    _of("cancel-fill-race"),
    _of("fill-after-cancel", forgives=MOVED),  # a stop that trades although its end was confirmed
    _of("whatif-silent"),
    _of("whatif-unset"),
)
OUTSIDE = (
    _of("manual-order", forgives=MOVED),
    _of("manual-order", given={"side": "SELL", "shares": 25}, forgives=MOVED),
    _of("foreign-order", forgives=MOVED),
    _of("foreign-order", given={"side": "SELL", "shares": 25}, forgives=MOVED),
    _of("position-change", stays=BOOKS, forgives=MOVED),
    _of("position-change", given={"shares": -70}, stays=BOOKS, forgives=MOVED),
    _of("correction", forgives=MOVED),
    _of("correction", given={"shares": 1}, forgives=MOVED),
    _of("bust", forgives=MOVED),
    _of("exchange-cancel"),
    _of("held-order"),
    _of("unsolicited-completed"),
)
DATA = (
    _of("spike"),
    _of("spike", given={"factor": 0.5, "on": "50"}),
    _of("stale", stops=SESSION, within_s=LATER_S),
    _of("stale-stamps"),
    _of("crossed"),
    _of("no-quote"),
    _of("delayed-type", provoked_by="drop-fin", stops=SESSION, within_s=LATER_S),
    _of("competing-session", stops=SESSION, within_s=LATER_S),
    _of("data-refused", provoked_by="drop-fin", within_s=LATER_S),  # of the past only
    _of("data-refused", given={"code": 354}, provoked_by="drop-fin", stops=SESSION, within_s=LATER_S),
    _of("halt"),
    _of("circuit-breaker"),
    _of("lines-lost", within_s=LATER_S),
    _of("unset-fields"),
)
HISTORY = (
    _of("gap"),
    _of("duplicate-bars"),
    _of("late-bars"),
    _of("silent-keep-up-to-date"),
    _of("empty-history", provoked_by="drop-fin", within_s=LATER_S),
    _of("history-timeout", provoked_by="drop-fin", within_s=LATER_S),
    _of("nan-bars", stops=SESSION, within_s=LATER_S),
    _of("bars-busted", within_s=LATER_S),
)
EXPECTATIONS = (*CONNECTION, *LINKS, *ORDER_MESSAGES, *VERDICTS, *OUTSIDE, *DATA, *HISTORY)
