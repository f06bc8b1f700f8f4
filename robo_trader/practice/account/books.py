"""The practice account: cash, positions at average cost, what they are worth, and what a day made of them."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from decimal import Decimal

import msgspec

from robo_trader.core.events import Side
from robo_trader.practice.account.tickets import Execution
from robo_trader.practice.market.overlays import Action, Split

_CENT, _SUB_CENT = Decimal("0.01"), Decimal("0.0001")
_FINE = Decimal("0.00000001")
_NONE = Decimal(0)


class Position(msgspec.Struct, frozen=True):
    """Signed shares, what they cost in all (commission included, as IB counts it), and P&L realised today, USD."""

    quantity: int = 0
    cost: Decimal = Decimal(0)
    realised: Decimal = Decimal(0)

    @property
    def average(self) -> Decimal:
        """Cost of one share, 0 without a position."""
        return (self.cost / self.quantity).quantize(_FINE) if self.quantity else Decimal(0)


FLAT = Position()
Mark = Callable[[str], float | None]


def price_step(price: float | Decimal) -> Decimal:
    """Return the step in which a share is priced: a cent, below one dollar a hundredth of a cent."""
    return _CENT if price >= 1 else _SUB_CENT


def exact(price: float) -> Decimal:
    """Return an observed price as money, in whole steps."""
    return Decimal(price).quantize(price_step(price))


class Opening(msgspec.Struct, frozen=True):
    """How the account stood before the first trade of session `label`, its splits and dividends booked, USD."""

    label: str
    cash: Decimal
    positions: dict[str, Position] = {}
    dividends: dict[str, Decimal] = {}  # a share, of what is held and went ex


class Books(msgspec.Struct):
    """Cash and positions. Cash is exact: start less every price x shares and every commission, never rounded.

    P&L is counted as TWS does (TWS guide, "Profit and Loss"). Unrealised: worth less cost, with the commissions paid
    to open. Realised: since the day began, less the commissions of both ends. Daily: what positions are worth now,
    less what those of the previous close were worth then, plus what trading brought in since, commissions paid.
    """

    cash: Decimal
    positions: dict[str, Position] = {}
    opening: Opening | None = None
    flows: dict[str, Decimal] = {}  # what today's trades in a symbol brought in, commissions paid

    def begin_day(self, label: str, closes: Mark, actions: Iterable[Action] = ()) -> set[str]:
        """Turn to session `label`, once: book its splits and dividends and remember how the account stands.

        `closes` are the previous closes in today's shares. Return the symbols whose positions were changed.
        """
        if self.opening is not None and self.opening.label == label:
            return set()
        self.positions = {
            symbol: msgspec.structs.replace(position, realised=_NONE)
            for symbol, position in self.positions.items()
            if position.quantity
        }
        paid: dict[str, Decimal] = {}  # a share of today
        for action in actions:
            symbol = action.symbol
            if symbol not in self.positions:
                continue
            if isinstance(action, Split):
                self._split(symbol, action.ratio, closes(symbol))
                paid[symbol] = paid.get(symbol, _NONE) / action.ratio
            else:
                self.cash += self.quantity(symbol) * action.usd
                paid[symbol] = paid.get(symbol, _NONE) + action.usd
        self.opening = Opening(label, self.cash, dict(self.positions), paid)
        self.flows = {}
        return set(paid)

    def _split(self, symbol: str, ratio: Decimal, price: float | None) -> None:
        """Multiply a position at the same cost; the fraction of a share left over is paid out at the price."""
        before = self.positions[symbol]
        shares = before.quantity * ratio
        whole = int(shares)
        released = before.cost * (shares - whole) / shares
        paid = (shares - whole) * exact(price) if price is not None else released
        self.cash += paid
        cost = before.cost - released if whole else _NONE
        self.positions[symbol] = Position(whole, cost, before.realised + paid - released)

    def book(
        self, symbol: str, side: Side, quantity: int, price: Decimal, commission: Decimal
    ) -> Decimal | None:
        """Take one execution. Return the P&L it realised after commission, None where it closed nothing."""
        before = self.positions.get(symbol, FLAT)
        signed = side.sign * quantity
        self.cash -= signed * price + commission
        self.flows[symbol] = self.flows.get(symbol, _NONE) - signed * price - commission
        closing = min(quantity, abs(before.quantity)) if before.quantity * signed < 0 else 0
        closing_fee = commission * closing / quantity
        released = before.cost * closing / abs(before.quantity) if closing else Decimal(0)
        opening = side.sign * (quantity - closing)
        cost = before.cost - released + opening * price + (commission - closing_fee)
        realised = -side.sign * closing * price - released - closing_fee if closing else Decimal(0)
        after = before.quantity + signed
        self.positions[symbol] = Position(after, cost if after else Decimal(0), before.realised + realised)
        return realised.quantize(_FINE) if closing else None

    def rebook(self, symbol: str, fills: Iterable[Execution]) -> list[Decimal | None]:
        """Book a symbol's day anew: `fills` are all its executions of today that stand, oldest first.

        What a correction or a busted trade asks for. Return what each of them realised.
        """
        self.cash -= self.flows.pop(symbol, _NONE)
        self.positions[symbol] = self._opened(symbol)
        return [self.book(symbol, f.side, f.quantity, f.price, f.commission) for f in fills]

    def quantity(self, symbol: str) -> int:
        return self.positions.get(symbol, FLAT).quantity

    def held(self) -> list[str]:
        """Return the symbols with a position now."""
        return [symbol for symbol, position in self.positions.items() if position.quantity]

    def touched(self) -> list[str]:
        """Return the symbols held now or at any time today."""
        return list(self.positions)

    def value(self, symbol: str, mark: Mark) -> Decimal:
        """Return what a position is worth at the last price, at cost where it has none."""
        position = self.positions.get(symbol, FLAT)
        return _worth(position, mark(symbol))

    def net_liquidation(self, mark: Mark) -> Decimal:
        return self.cash + sum((self.value(symbol, mark) for symbol in self.held()), _NONE)

    def unrealised(self, symbol: str, mark: Mark) -> Decimal:
        """Return a position's worth less its cost."""
        return self.value(symbol, mark) - self.positions.get(symbol, FLAT).cost

    def daily(self, symbol: str, mark: Mark, closes: Mark) -> Decimal:
        """Return what a symbol made since the previous close, `closes` being those of the last session."""
        return self.value(symbol, mark) - self._worth_before(symbol, closes) + self.flows.get(symbol, _NONE)

    def equity_before(self, closes: Mark) -> Decimal:
        """Return what the account was worth at the previous close."""
        if self.opening is None:
            return self.cash - sum(self.flows.values(), _NONE)
        return self.opening.cash + sum((self._worth_before(s, closes) for s in self.opening.positions), _NONE)

    def _opened(self, symbol: str) -> Position:
        return self.opening.positions.get(symbol, FLAT) if self.opening is not None else FLAT

    def _worth_before(self, symbol: str, closes: Mark) -> Decimal:
        position = self._opened(symbol)
        paid = self.opening.dividends.get(symbol, _NONE) if self.opening is not None else _NONE
        return _worth(position, closes(symbol)) - position.quantity * paid


def _worth(position: Position, price: float | None) -> Decimal:
    return position.cost if price is None else position.quantity * exact(price)
