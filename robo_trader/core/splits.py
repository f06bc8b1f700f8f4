"""A share is split: on a person's word all that counts it is counted anew in one event; nights that look so are told."""

from __future__ import annotations

from fractions import Fraction

import numpy as np

from robo_trader.core.cover import Cover
from robo_trader.core.desk import Desk
from robo_trader.core.draft import Draft
from robo_trader.core.errors import DataError
from robo_trader.core.events import Bar, Split
from robo_trader.core.flattening import Flattening
from robo_trader.core.parts import Parts
from robo_trader.core.protocols import Suspicion
from robo_trader.core.reconciliation import Reconciliation
from robo_trader.core.steps import Anomaly, SplitBooked, SplitSuspected
from robo_trader.core.way_out import WayOut

MOST = 100  # new shares for an old one, or old ones for a new
LOOKS = 2  # at the account, which a difference takes to be believed


class Splits:
    """Books splits, and suspects them: of a share that may have been split no strategy is asked."""

    def __init__(
        self,
        desk: Desk,
        parts: Parts,
        cover: Cover,
        way_out: WayOut,
        flattening: Flattening,
        reconciliation: Reconciliation,
    ) -> None:
        self._desk = desk
        self._parts = parts
        self._cover = cover
        self._way_out = way_out
        self._flattening = flattening
        self._reconciliation = reconciliation
        self._booked = dict(parts.split)
        # Until when a night is suspected: a session's end, or so many looks at the account.
        self._suspected: dict[str, int] = {}
        self._unsure: dict[str, int] = {}

    # ------------------------------------------------------------------------------------------ a person's word

    def book(self, wish: Split, draft: Draft) -> bool:
        """Count a share anew, or say why not; return whether it was."""
        why = self._objection(wish)
        if why:
            draft.fact(Anomaly(wish.ts, wish.symbol, f"split by {wish.by} not booked: {why}"))
            return False
        symbol, ratio = wish.symbol, Fraction(wish.new, wish.old)
        self._booked[symbol] = wish.since
        self._forget(symbol)
        self._way_out.take_back(symbol, draft)
        stop_price = self._cover.split(symbol, ratio, draft)
        held = self._desk.position(symbol) != 0
        self._reconciliation.leave_out(self._desk.portfolio.split(symbol, ratio, wish.since))
        self._reconciliation.split(wish, draft)
        note = self._restate_features(symbol, float(ratio), wish.since)
        why = f"{wish.by}: {wish.reason}{note}"
        draft.fact(SplitBooked(wish.ts, symbol, wish.new, wish.old, wish.since, stop_price, why))
        if held:
            draft.fact(self._desk.portfolio.changed(symbol, wish.ts))
        self._flattening.go_on(symbol, draft)
        self._way_out.settle(symbol, draft)
        return True

    def _objection(self, wish: Split) -> str:
        if self._desk.price(wish.symbol) is None and not self._desk.position(wish.symbol):
            return "it is neither held nor watched"
        if not (0 < wish.new <= MOST and 0 < wish.old <= MOST) or wish.new == wish.old:
            return f"no share is split {wish.new} for {wish.old}"
        if self._booked.get(wish.symbol) == wish.since and not wish.again:
            return "a split of this night is in the books; say --again where there were two"
        return self._reconciliation.objection(wish)

    def _restate_features(self, symbol: str, ratio: float, since: int) -> str:
        """Restate what features and strategies remember; return what is to be added, where that could not be done."""
        parts = self._parts
        self._desk.vectors.pop(symbol, None)
        parts.strategy.forget(symbol)
        if parts.nights is not None:
            parts.nights.forget(symbol)
        if parts.regimes is not None:
            parts.regimes.forget(symbol)
        try:
            again = parts.features.rescale(symbol, ratio, since)
        except DataError as error:
            return f"; features are not restated: {error}"
        if parts.watch is not None:
            parts.watch.correct(symbol, again)
        if len(again) and not np.isnan(again[-1]).all():
            self._desk.vectors[symbol] = again[-1]
        return ""

    # ---------------------------------------------------------------------------------------------- suspicions

    def are_suspected(self, symbol: str) -> bool:
        """Whether the share may have been split, so that what features say of it means nothing."""
        return symbol in self._suspected

    def on_bar(self, bar: Bar, draft: Draft) -> None:
        """Look at the night before the first bar of a session; with that session what it looked like is over."""
        found = self._parts.nights.on_bar(bar) if self._parts.nights is not None else None
        if bar.ts > self._suspected.get(bar.symbol, bar.ts) and not self._desk.quarantined(bar.symbol):
            self._dismiss(bar.symbol, "its session is over", draft)
        if found is not None and not self._desk.quarantined(bar.symbol):
            self._unsure[bar.symbol] = LOOKS
            self._suspect(bar.symbol, found, draft)
        elif self._desk.quarantined(bar.symbol):
            self._look(bar.symbol, draft)

    def on_account(self, draft: Draft) -> None:
        """The account was compared: a position that is the broker's by a split is suspected, one that agrees is not."""
        for symbol in self._desk.mismatched:
            if self._desk.quarantined(symbol):
                self._look(symbol, draft)
        for symbol in sorted(set(self._suspected) - set(self._desk.mismatched)):
            self._unsure[symbol] = self._unsure.get(symbol, 0) - 1
            if self._unsure[symbol] <= 0 and self._desk.position(symbol):
                self._dismiss(symbol, "the position is the same on both sides", draft)

    def _look(self, symbol: str, draft: Draft) -> None:
        nights, theirs = self._parts.nights, self._desk.theirs.get(symbol)
        if symbol in self._suspected or nights is None or theirs is None:
            return
        found = nights.between(symbol, self._desk.position(symbol), theirs)
        if found is not None:
            self._suspect(symbol, found, draft)

    def _suspect(self, symbol: str, found: Suspicion, draft: Draft) -> None:
        session = self._desk.session()
        self._suspected[symbol] = self._desk.now if session is None else session.close
        draft.fact(SplitSuspected(self._desk.now, symbol, found.new, found.old, found.why))

    def _dismiss(self, symbol: str, why: str, draft: Draft) -> None:
        self._forget(symbol)
        draft.fact(SplitSuspected(self._desk.now, symbol, 1, 1, why))

    def _forget(self, symbol: str) -> None:
        self._suspected.pop(symbol, None)
        self._unsure.pop(symbol, None)
