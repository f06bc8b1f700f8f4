"""How TWS says no, to a session or to a request, and what to do about it."""

from __future__ import annotations

import errno

from robo_trader.core.errors import BrokerUnreachable, ConnectionLost, RoboTraderError


class NothingListening(BrokerUnreachable):
    """No program listens at the address; caught where a practice gateway may be started instead."""


class ClientIdInUse(BrokerUnreachable):
    """TWS refused the session because another program uses our client id (326); caught by the daemon's back-off."""


class RequestRefused(RoboTraderError):
    """TWS answered one request with an error; caught by whoever asked, `code` says what."""

    def __init__(self, code: int, text: str) -> None:
        super().__init__(f"TWS refused the request ({code}): {text}")
        self.code = code


class Unanswered(ConnectionLost):
    """TWS did not answer one request in time; caught by whoever can do without, the session may still be good."""


def unreachable(where: str, why: object) -> BrokerUnreachable:
    """Return why there is no session at host:port; the library may tell a refusal as an exception or as words."""
    if "ConnectionRefusedError" in repr(why) or f"[Errno {errno.ECONNREFUSED}]" in str(why):
        return NothingListening(
            f"nothing listens at {where}: start TWS or IB Gateway and enable its API on that port"
        )
    return BrokerUnreachable(f"no session with TWS at {where}: {why}")


def mute(where: str, seconds: float) -> str:
    """Say that TWS took the connection and no more."""
    return (
        f"TWS at {where} accepted the connection but did not finish the handshake within {seconds:g} s: it may show a "
        "dialog, not be logged in, or hang; look at its window or restart it"
    )


def in_use(where: str, client_id: int) -> str:
    """Say that another session has our client id."""
    return (
        f"client id {client_id} is already in use at TWS {where}: another program, or a session TWS has not yet let go "
        "of; choose another client id or wait a minute"
    )
