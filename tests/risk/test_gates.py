"""Each gate at its limit, one below and one above, and on everything it cannot know."""

from dataclasses import dataclass, field
from decimal import Decimal as D

import pytest

from robo_trader.core.events import SECOND_NS, Order, Side
from robo_trader.core.protocols import Reading, Session
from robo_trader.risk.gates import (
    DailyLossGate,
    GateOptions,
    HaltGate,
    MarketHoursGate,
    OrderNotionalGate,
    PortfolioHeatGate,
    PositionSizeGate,
    PriceAgeGate,
    QuarantineGate,
    all_gates,
)


@dataclass
class Seen:
    """A view in which every number is given by hand."""

    now: int = 0
    stopped: str = ""
    positions: dict[str, int] = field(default_factory=dict)
    coming: int = 0
    last: float | None = 100.0
    age_s: float | None = 1.0
    atr: float | None = 1.0
    worth: D | None = D(100_000)
    day_start: D | None = D(100_000)
    open: bool = True
    differs: bool = False
    weather: Reading | None = None

    def position(self, symbol):
        return self.positions.get(symbol, 0)

    def working(self, symbol):
        return self.coming

    def price(self, symbol):
        return self.last

    def price_age_ns(self, symbol):
        return None if self.age_s is None else int(self.age_s * SECOND_NS)

    def vector(self, symbol):
        return None

    def feature(self, symbol, name):
        return self.atr

    def held(self):
        return sorted(self.positions)

    def equity(self):
        return self.worth

    def day_start_equity(self):
        return self.day_start

    def session(self):
        return Session("2026-01-05", -10, 10) if self.open else None

    def regime(self, symbol):
        return self.weather

    def quarantined(self, symbol):
        return self.differs


def buy(quantity: int) -> Order:
    return Order("s-1.1", "s-1", "NVDA", Side.BUY, quantity)


OPTIONS = GateOptions(
    max_order_notional_usd=10_000,
    max_position_fraction=0.2,
    max_daily_loss_fraction=0.03,
    max_heat_fraction=0.06,
)


@pytest.mark.parametrize(
    ("gate", "cap", "view"),
    [
        (OrderNotionalGate(OPTIONS), 100, Seen()),
        (PositionSizeGate(OPTIONS), 200, Seen()),
        (PositionSizeGate(OPTIONS), 150, Seen(positions={"NVDA": 20}, coming=30)),
        (PortfolioHeatGate(OPTIONS), 2_000, Seen()),
        (PortfolioHeatGate(OPTIONS), 1_500, Seen(positions={"AAPL": -500})),
    ],
)
def test_a_cap_passes_below_and_at_it_and_refuses_one_share_above(gate, cap, view):
    assert gate.check(buy(cap - 1), view) is None
    assert gate.check(buy(cap), view) is None
    refusal = gate.check(buy(cap + 1), view)
    assert refusal is not None
    assert refusal.value > refusal.limit
    assert gate.check(buy(10 * cap), view) is not None


@pytest.mark.parametrize(
    ("gate", "view"),
    [
        (OrderNotionalGate(OPTIONS), Seen(last=None)),
        (OrderNotionalGate(OPTIONS), Seen(last=float("nan"))),
        (PositionSizeGate(OPTIONS), Seen(last=None)),
        (PositionSizeGate(OPTIONS), Seen(last=float("nan"))),
        (PositionSizeGate(OPTIONS), Seen(worth=None)),
        (PositionSizeGate(OPTIONS), Seen(worth=D(-5))),
        (DailyLossGate(OPTIONS), Seen(worth=None)),
        (DailyLossGate(OPTIONS), Seen(day_start=None)),
        (PortfolioHeatGate(OPTIONS), Seen(atr=None)),
        (PortfolioHeatGate(OPTIONS), Seen(atr=float("nan"))),
        (PortfolioHeatGate(OPTIONS), Seen(worth=None)),
        (PriceAgeGate(OPTIONS), Seen(age_s=None)),
        (MarketHoursGate(), Seen(open=False)),
        (MarketHoursGate(), Seen(now=10)),
    ],
)
def test_what_is_unknown_refuses(gate, view):
    refusal = gate.check(buy(1), view)
    assert refusal is not None
    assert refusal.gate == gate.name
    assert refusal.reason


@pytest.mark.parametrize(
    ("lost", "refused"), [("2999.99", False), ("3000", True), ("3001", True), ("-50", False)]
)
def test_the_daily_loss_refuses_from_its_limit_on(lost, refused):
    view = Seen(worth=D(100_000) - D(lost))
    assert (DailyLossGate(OPTIONS).check(buy(1), view) is not None) is refused


@pytest.mark.parametrize(("age_s", "refused"), [(180, False), (180.1, True)])
def test_an_old_price_refuses(age_s, refused):
    assert (PriceAgeGate(OPTIONS).check(buy(1), Seen(age_s=age_s)) is not None) is refused


def test_a_halt_and_a_quarantine_refuse_with_their_reason():
    assert "enough" in HaltGate().check(buy(1), Seen(stopped="enough")).reason
    assert "NVDA" in QuarantineGate().check(buy(1), Seen(differs=True)).reason


def test_an_ordinary_order_passes_every_gate_and_asking_changes_nothing():
    view = Seen()
    for gate in all_gates(OPTIONS):
        assert gate.check(buy(50), view) is None
        assert gate.check(buy(50), view) is None
    assert len({gate.name for gate in all_gates(OPTIONS)}) == 8
