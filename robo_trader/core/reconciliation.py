"""The broker's account beside our books: what differs is quarantined, told and resolved, never guessed away."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from fractions import Fraction

from robo_trader.core.desk import Desk
from robo_trader.core.draft import Draft
from robo_trader.core.errors import LedgerError
from robo_trader.core.events import MINUTE_NS, AccountSnapshot, Fill, Holding, Remedy, Resolve, Side, Split
from robo_trader.core.steps import Agreed, Anomaly, CashMoved, Ignored, Mismatch

# Differing cash is believed once it has stood this long without a trade: TWS tells cash up to three minutes late.
CASH_STANDS_NS = 4 * MINUTE_NS
COMMISSION_LATE_NS = 15 * MINUTE_NS  # a broker that restarted may never tell one
_CENT = Decimal("0.01")


class Reconciliation:
    """Compares, quarantines, and does what a person decides."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk
        self._portfolio = desk.portfolio
        self._left: dict[str, tuple[int, int]] = {}  # shares not ours to trade, and until when
        self._cash: tuple[Decimal, int] | None = None  # a difference, and since when it stands
        self._traded: dict[str, int] = {}  # when a symbol last traded

    def open(self, holding: Holding, ts: int, draft: Draft) -> None:
        """Take over what was left alone before; quarantine at once what differs when the books open."""
        if holding.not_ours_until > ts:
            self._left[holding.symbol] = holding.not_ours, holding.not_ours_until
        broker = self._ours_of(holding.symbol, holding.broker_quantity, ts)
        if holding.quantity != broker:
            self._desk.mismatched[holding.symbol] = 2
            self._desk.theirs[holding.symbol] = broker
            draft.fact(Mismatch(ts, holding.symbol, holding.quantity, broker))

    def on_fill(self, fill: Fill, shares: int, draft: Draft) -> None:
        """Both sides move by a fill; cash is in motion."""
        self._cash = None
        symbol = fill.symbol
        self._traded[symbol] = self._desk.now
        if symbol in self._desk.theirs:
            theirs = self._desk.theirs[symbol] = self._desk.theirs[symbol] + fill.side.sign * shares
            if self._desk.quarantined(symbol):
                draft.fact(Mismatch(self._desk.now, symbol, self._desk.position(symbol), theirs))

    def compare(self, snapshot: AccountSnapshot, draft: Draft) -> list[str]:
        """Compare positions and cash; return the symbols whose standing changed.

        What orders at work may explain says nothing; two looks must differ, lest a trade fell into one.
        """
        theirs = {h.symbol: h.broker_quantity for h in snapshot.holdings}
        known = {*theirs, *self._portfolio.held(), *self._desk.mismatched, *self._left}
        changed = [s for s in sorted(known) if self._differs(s, theirs.get(s, 0), snapshot.ts, draft)]
        self._compare_cash(snapshot, draft)
        return changed

    def is_news(self, theirs: Mapping[str, int]) -> bool:
        """Return whether positions the broker tells of in passing call for a look, or the last look for a second one."""
        known = {*theirs, *self._portfolio.held(), *self._left}
        return any(self._is_odd(symbol, theirs.get(symbol, 0)) for symbol in known)

    def _is_odd(self, symbol: str, told: int) -> bool:
        broker = told - self._left.get(symbol, (0, 0))[0]
        ours = self._desk.position(symbol)
        if broker == ours or self._is_in_motion(symbol, broker - ours):
            return False
        return self._desk.mismatched.get(symbol, 0) < 2 or broker != self._desk.theirs.get(symbol)

    def resolve(self, wish: Resolve, draft: Draft) -> bool:
        """Do what a person decided about a quarantined symbol; return whether that could be done."""
        symbol, theirs = wish.symbol, self._desk.theirs.get(wish.symbol)
        if theirs is None or not self._desk.quarantined(symbol):
            return self._refuse(wish, "nothing to resolve: our position and the broker's agree", draft)
        who = f"{wish.by}: {wish.reason}"
        ours = self._desk.position(symbol)
        if wish.how is Remedy.IGNORE:
            if wish.until <= wish.ts:
                return self._refuse(wish, "the time to ignore it until has passed", draft)
            shares = self._left.get(symbol, (0, 0))[0] + theirs - ours
            self._left[symbol] = shares, wish.until
            draft.fact(Ignored(wish.ts, symbol, shares, wish.until, who))
        else:
            before = self._portfolio.equity()
            try:
                self._portfolio.adopt(symbol, theirs)
            except LedgerError:
                return self._refuse(wish, "no price is known to take the broker's shares over at", draft)
            self._shift_day_start(before)
            draft.fact(self._portfolio.changed(symbol, wish.ts))
        self._agree(symbol, f"{wish.how} by {who}", wish.ts, draft)
        return True

    def objection(self, wish: Split) -> str:
        """Say how the broker's position contradicts a split, empty where it does not: a share more or less is rounding."""
        shares = self._left.get(wish.symbol, (0, 0))[0] + self._desk.position(wish.symbol)
        exact = Fraction(shares * wish.new, wish.old)
        if abs(wish.broker - exact) < 1:
            return ""
        return f"{shares} shares would become {float(exact):g}, and the broker holds {wish.broker}"

    def split(self, wish: Split, draft: Draft) -> None:
        """Count anew what is not ours to trade. Both sides are compared by the next account."""
        self._cash = None
        if wish.symbol in self._left:
            shares, until = self._left[wish.symbol]
            shares = int(Fraction(shares * wish.new, wish.old))
            self._left[wish.symbol] = shares, until
            draft.fact(Ignored(wish.ts, wish.symbol, shares, until, f"split, {wish.by}: {wish.reason}"))

    def leave_out(self, worth: Decimal) -> None:
        """Leave a fraction of a share, worth so much (USD), out of the day's result."""
        if self._desk.day_start is not None:
            self._desk.day_start -= worth

    def _differs(self, symbol: str, told: int, ts: int, draft: Draft) -> bool:
        """Note what the broker says of one symbol; return whether a quarantine began, changed or ended by it."""
        ours, broker = self._desk.position(symbol), self._ours_of(symbol, told, ts)
        if ours == broker:
            return self._agree(symbol, "both sides agree again", ts, draft)
        if self._is_in_motion(symbol, broker - ours):
            return False
        moved = self._desk.theirs.get(symbol) != broker
        self._desk.theirs[symbol] = broker
        times = self._desk.mismatched[symbol] = self._desk.mismatched.get(symbol, 0) + 1
        if times == 2 or (times > 2 and moved):
            draft.fact(Mismatch(ts, symbol, ours, broker))
            return True
        return False

    def _is_in_motion(self, symbol: str, difference: int) -> bool:
        """Whether orders at work explain a difference: they may have traded before we, or after TWS, told of it."""
        orders = self._desk.orders
        down, up = orders.coming(symbol, Side.SELL), orders.coming(symbol, Side.BUY)
        if not (down or up):
            return False
        just_traded = self._desk.now - self._traded.get(symbol, -MINUTE_NS) < MINUTE_NS
        return just_traded or -down <= difference <= up

    def _agree(self, symbol: str, how: str, ts: int, draft: Draft) -> bool:
        was_quarantined = self._desk.quarantined(symbol)
        self._desk.mismatched.pop(symbol, None)
        self._desk.theirs.pop(symbol, None)
        if was_quarantined:
            draft.fact(Agreed(ts, symbol, self._desk.position(symbol), how))
        return was_quarantined

    def _ours_of(self, symbol: str, told: int, ts: int) -> int:
        """Return what of the broker's position is ours to trade."""
        shares, until = self._left.get(symbol, (0, 0))
        if until <= ts:
            self._left.pop(symbol, None)
            return told
        return told - shares

    def _compare_cash(self, snapshot: AccountSnapshot, draft: Draft) -> None:
        """Follow the broker's cash where it moved by no trade: dividends, interest, fees, transfers."""
        difference = snapshot.cash - self._portfolio.cash
        in_motion = (
            self._desk.mismatched
            or self._desk.orders.symbols()
            or self._portfolio.uncharged(snapshot.ts - COMMISSION_LATE_NS)
        )
        if abs(difference) < _CENT or in_motion:
            self._cash = None
        elif self._cash is None or self._cash[0] != difference:
            self._cash = difference, snapshot.ts
        elif snapshot.ts - self._cash[1] >= CASH_STANDS_NS:
            self._cash = None
            before = self._portfolio.equity()
            self._portfolio.move_cash(difference)
            self._shift_day_start(before)
            why = "no trade of ours explains it: a dividend, interest, a fee, a transfer?"
            draft.fact(CashMoved(snapshot.ts, difference, self._portfolio.cash, why))

    def _shift_day_start(self, before: Decimal | None) -> None:
        """Leave what came or went without a trade out of the day's result, and so out of the daily loss."""
        after, start = self._portfolio.equity(), self._desk.day_start
        if start is not None and before is not None and after is not None:
            self._desk.day_start = start + after - before

    def _refuse(self, wish: Resolve, why: str, draft: Draft) -> bool:
        draft.fact(Anomaly(wish.ts, wish.symbol, f"{wish.how} by {wish.by} not done: {why}"))
        return False
