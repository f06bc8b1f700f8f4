"""What a person may do on the page: commands passed to the daemon's control socket, and nobody else's requests.

A web page of another site can make a browser send requests here. It cannot read the random token that this page
carries, its browser names its own origin, and JSON makes the browser ask first: each of the three is required.
Whoever can open the page on this machine may use it.
"""

from __future__ import annotations

import asyncio
import hmac
import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from fastapi import APIRouter, Request
from starlette.exceptions import HTTPException

from robo_trader.bootstrap import kill_switch
from robo_trader.bootstrap.kill_switch import Address
from robo_trader.core.command_socket import read_json
from robo_trader.core.errors import ConfigurationError, NobodyAnswers

ALLOWED = ("halt", "reduce", "resume", "flatten", "reconcile", "resolve")
MAX_BODY = 4096  # bytes
TOKEN_HEADER = "X-RoboTrader-Token"

commands = APIRouter(prefix="/api/v1")


@dataclass(frozen=True)
class Switch:
    """The way to the daemon (None on a page that only shows), and the token its commands must carry."""

    address: Address | None
    token: str = field(default_factory=lambda: secrets.token_urlsafe(32))


@commands.post("/commands")
async def command(request: Request) -> dict[str, Any]:
    """Have the daemon do something; return what it did."""
    switch: Switch = request.app.state.switch
    _require_our_page(request, switch.token)
    wish = await _wish(request)
    if switch.address is None:
        raise HTTPException(503, "This page was started without a way to the daemon: it only shows")
    return await asyncio.to_thread(_do, switch.address, {**wish, "via": "page"})


def _require_our_page(request: Request, token: str) -> None:
    """Refuse what our own page did not send. Raises HTTPException."""
    headers = request.headers
    given = headers.get(TOKEN_HEADER, "")
    if not hmac.compare_digest(given.encode(), token.encode()):
        raise HTTPException(403, "The token is not this page's: reload the page")
    # The host has been checked to be this machine, under one of its own names.
    if headers.get("Origin") != f"http://{headers.get('Host')}":
        raise HTTPException(403, "Commands are taken from this page only, not from another site")
    if headers.get("Content-Type", "").partition(";")[0].strip().lower() != "application/json":
        raise HTTPException(415, "A command is JSON")


async def _wish(request: Request) -> Mapping[str, object]:
    """Return the command of a request's body. Raises HTTPException where it is too long or none."""
    body = b""
    async for part in request.stream():
        body += part
        if len(body) > MAX_BODY:
            raise HTTPException(413, f"A command has at most {MAX_BODY} bytes")
    try:
        wish = read_json(body)
    except ConfigurationError as error:
        raise HTTPException(422, str(error)) from error
    if wish.get("do") not in ALLOWED:
        raise HTTPException(422, f"Expected one of: {', '.join(ALLOWED)}")
    return wish


def _do(address: Address, wish: dict[str, object]) -> dict[str, Any]:
    try:
        return kill_switch.tell(address, wish)
    except ConfigurationError as error:
        raise HTTPException(409, str(error)) from error
    except NobodyAnswers as error:
        if wish["do"] != "halt":
            raise HTTPException(503, str(error)) from error
        killed = kill_switch.kill(address, str(wish.get("reason") or "no reason given"), "page")
        if not killed.sure:
            raise HTTPException(503, "; ".join(killed.said)) from error
        return {"done": True, "said": list(killed.said)}
