"""Says in words why there is no session, and what to do about it."""

from __future__ import annotations

import errno


def is_refused(why: object) -> bool:
    """Whether nothing listens; the library may hand us the refused connection as an exception or as words."""
    return "ConnectionRefusedError" in repr(why) or f"[Errno {errno.ECONNREFUSED}]" in str(why)


def nothing_listens(where: str) -> str:
    """Say that no program listens at host:port."""
    return f"nothing listens at {where}: start TWS or IB Gateway and enable its API on that port"


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
