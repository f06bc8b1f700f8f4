"""What can be commanded of a running gateway: faults, halts, corporate actions, loans, orders by hand, a look at it."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from typing import TYPE_CHECKING, Annotated, Literal

import msgspec

from robo_trader.core.errors import ConfigurationError
from robo_trader.core.events import Side
from robo_trader.practice.market import overlays
from robo_trader.practice.market.stamps import stamp

if TYPE_CHECKING:
    from robo_trader.practice.gateway import PracticeGateway

MARKET = "market"  # in place of a symbol
_MOST_SPLIT = 1000  # shares for one, or one for as many
Answer = dict[str, object]
_Symbol = Annotated[str, msgspec.Meta(min_length=1, max_length=20)]


class _Command(msgspec.Struct, tag_field="do", forbid_unknown_fields=True):
    """One thing to do, under its tag in the field `do`."""


class Plant(_Command, tag="plant"):
    """Plant a fault."""

    name: str
    parameters: dict[str, str | int | float | bool | list[int]] = {}

    def obey(self, gateway: PracticeGateway) -> Answer:
        return {"number": gateway.plant(self.name, **self.parameters)}


class Lift(_Command, tag="lift"):
    """Lift faults by name or number, or all."""

    name: str

    def obey(self, gateway: PracticeGateway) -> Answer:
        return {"lifted": gateway.lift(self.name)}


class Status(_Command, tag="status"):
    """Tell how the gateway is."""

    def obey(self, gateway: PracticeGateway) -> Answer:
        exchange, books = gateway.exchange, gateway.books
        return {
            "account": gateway.account,
            "clock": stamp(178, gateway.now()),
            "open": exchange.is_open,
            "clients": sorted(client.key for client in gateway.clients()),
            "working": len(gateway.orders.working()),
            "positions": {symbol: books.quantity(symbol) for symbol in books.held()},
            "cash": str(books.cash),
            "faults": gateway.planted(),
        }


class Halt(_Command, tag="halt"):
    """Halt a share, or the market."""

    symbol: _Symbol
    reason: str = "news"

    def obey(self, gateway: PracticeGateway) -> Answer:
        gateway.exchange.begin_halt(_halted(gateway, self.symbol), self.reason)
        return {}


class Resume(_Command, tag="resume"):
    """End a halt."""

    symbol: _Symbol

    def obey(self, gateway: PracticeGateway) -> Answer:
        return {"halted": gateway.exchange.end_halt(_halted(gateway, self.symbol))}


class Split(_Command, tag="split"):
    """Split a share from the next session on: `ratio` new ones for one."""

    symbol: _Symbol
    ratio: Decimal

    def obey(self, gateway: PracticeGateway) -> Answer:
        symbol = _share(gateway, self.symbol)
        if not self.ratio.is_finite() or self.ratio > _MOST_SPLIT or 0 < self.ratio * _MOST_SPLIT < 1:
            raise ConfigurationError(f"a split of {self.ratio} makes no sense")
        exchange = gateway.exchange
        label = exchange.session.label
        if any(
            a.symbol == symbol and a.session > label and isinstance(a, overlays.Split)
            for a in exchange.overlays().actions
        ):
            raise ConfigurationError(f"{symbol} is to be split already")
        return {"session": exchange.split(symbol, self.ratio).session}


class Dividend(_Command, tag="dividend"):
    """Pay USD a share, ex the next session."""

    symbol: _Symbol
    usd: Decimal

    def obey(self, gateway: PracticeGateway) -> Answer:
        symbol = _share(gateway, self.symbol)
        last = gateway.exchange.last(symbol)
        if not self.usd.is_finite() or (last is not None and self.usd >= Decimal(repr(last))):
            raise ConfigurationError(f"a dividend of {self.usd} makes no sense: {symbol} is worth {last}")
        return {"session": gateway.exchange.dividend(symbol, self.usd).session}


class Borrow(_Command, tag="borrow"):
    """Say how many shares can be borrowed: with 0 short sales wait until there are more, with `none` they are refused."""

    symbol: _Symbol
    shares: Annotated[int, msgspec.Meta(ge=0)] | Literal["none", "plenty"]

    def obey(self, gateway: PracticeGateway) -> Answer:
        symbol, borrow = _share(gateway, self.symbol), gateway.orders.borrow
        if self.shares == "plenty":
            borrow.free(symbol)
        else:
            borrow.limit(symbol, None if self.shares == "none" else self.shares)
        return {}


class ManualOrder(_Command, tag="order"):
    """Place an order by hand in TWS."""

    side: Literal["BUY", "SELL"]
    shares: int
    symbol: _Symbol
    limit: Decimal | None = None

    def obey(self, gateway: PracticeGateway) -> Answer:
        kind, symbol = "MKT" if self.limit is None else "LMT", _share(gateway, self.symbol)
        told = gateway.orders.manual(symbol, Side(self.side), self.shares, kind, self.limit, gateway.now())
        gateway.deliver(told)
        return {}


Command = Plant | Lift | Status | Halt | Resume | Split | Dividend | Borrow | ManualOrder


def obey(gateway: PracticeGateway, wanted: Mapping[str, object]) -> Answer:
    """Do one command and return what came of it. Raises ConfigurationError for one that makes no sense."""
    try:
        # What the command line has is text.
        command: Command = msgspec.convert(wanted, Command, strict=False)
        answer = command.obey(gateway)
    except (msgspec.ValidationError, ValueError) as error:
        raise ConfigurationError(str(error)) from error
    gateway.deliver(gateway.orders.commit())  # what was done to the market is on disk before it is answered
    return answer


def _halted(gateway: PracticeGateway, symbol: str) -> str:
    """Return the share meant, empty for the whole market. Raises ConfigurationError."""
    return "" if symbol == MARKET else _share(gateway, symbol)


def _share(gateway: PracticeGateway, symbol: str) -> str:
    """Return the share meant, in capitals. Raises ConfigurationError where it does not trade here."""
    symbol = symbol.upper()
    if not gateway.trades(symbol):
        raise ConfigurationError(f"no share of this market is called {symbol}")
    return symbol
