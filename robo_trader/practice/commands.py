"""What can be commanded of a running gateway: faults, halts, corporate actions, orders by hand, a look at it."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from typing import TYPE_CHECKING, Annotated, Literal

import msgspec

from robo_trader.core.errors import ConfigurationError
from robo_trader.core.events import Side
from robo_trader.practice.messages import stamp

if TYPE_CHECKING:
    from robo_trader.practice.gateway import PracticeGateway

MARKET = "market"  # in place of a symbol
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
        gateway.halt(_meant(self.symbol), self.reason)
        return {}


class Resume(_Command, tag="resume"):
    """End a halt."""

    symbol: _Symbol

    def obey(self, gateway: PracticeGateway) -> Answer:
        return {"halted": gateway.resume(_meant(self.symbol))}


class Split(_Command, tag="split"):
    """Split a share from the next session on: `ratio` new ones for one."""

    symbol: _Symbol
    ratio: Decimal

    def obey(self, gateway: PracticeGateway) -> Answer:
        return {"session": gateway.exchange.split(self.symbol.upper(), self.ratio).session}


class Dividend(_Command, tag="dividend"):
    """Pay USD a share, ex the next session."""

    symbol: _Symbol
    usd: Decimal

    def obey(self, gateway: PracticeGateway) -> Answer:
        return {"session": gateway.exchange.dividend(self.symbol.upper(), self.usd).session}


class ManualOrder(_Command, tag="order"):
    """Place an order by hand in TWS."""

    side: Literal["BUY", "SELL"]
    shares: int
    symbol: _Symbol
    limit: Decimal | None = None

    def obey(self, gateway: PracticeGateway) -> Answer:
        kind, symbol = "MKT" if self.limit is None else "LMT", self.symbol.upper()
        told = gateway.orders.manual(symbol, Side(self.side), self.shares, kind, self.limit, gateway.now())
        gateway.deliver(told)
        return {}


Command = Plant | Lift | Status | Halt | Resume | Split | Dividend | ManualOrder


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


def _meant(symbol: str) -> str:
    """Return the symbol in capitals, empty for the whole market."""
    return "" if symbol == MARKET else symbol.upper()
