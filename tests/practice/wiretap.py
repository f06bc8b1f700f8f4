"""What a real client hears, message by message, before it makes anything of it, and the market it hears of."""

from __future__ import annotations

from datetime import date

from ib_async import IB

from robo_trader.core.protocols import Session
from robo_trader.data.sessions import XnysCalendar
from robo_trader.practice.market.exchange import Exchange
from tests.practice.conftest import Desk

LIVE = date(2026, 1, 13)

STREAMS = ("1", "2", "12", "13", "45", "46", "50", "57", "58", "81", "96", "97", "98", "99")


def tap(ib: IB, instead: bool = False) -> list[list[str]]:
    """Return a list that grows by the fields of every message the client receives from now on.

    With `instead` the client does not hear of market data itself: for requests made past its back, under ids it
    would not know.
    """
    heard: list[list[str]] = []
    decoder = ib.client.decoder
    interpret = decoder.interpret

    def listen(fields: list[str]) -> None:
        heard.append(fields)
        if not (instead and fields[0] in STREAMS):
            interpret(fields)

    decoder.interpret = listen
    return heard


def ticks(heard: list[list[str]]) -> list[tuple[int, int, tuple[str, ...]]]:
    """Return (request, tick type, fields) of the market data among what was heard."""
    return [(int(m[2]), int(m[3]), tuple(m[4:])) for m in heard if m[0] in ("1", "2", "45", "46")]


def errors(ib: IB) -> list[tuple[int, int]]:
    """Return a list that grows by (request, code) of every error from now on."""
    told: list[tuple[int, int]] = []
    ib.errorEvent += lambda about, code, *_: told.append((about, code))
    return told


def today() -> Session:
    """Return the live session of the tape."""
    return XnysCalendar().sessions(LIVE, LIVE)[0]


def market(desk: Desk) -> Exchange:
    """Return the market behind a desk."""
    return desk.gateway._exchange
