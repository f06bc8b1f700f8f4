"""The page on port 5555 and its REST answers: reads the database and shows the hub's stream, never decides.

There is no login: what protects it is that it listens on loopback only, answers only to the names of loopback (no DNS
rebinding), and sends a policy under which the page can talk to nobody but this server and the hub. What a person may
command is in `commands`.
"""

from __future__ import annotations

import argparse
import asyncio
import signal
import socket
import sqlite3
import sys
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import closing, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import uvicorn
from fastapi import APIRouter, Depends, FastAPI, Query, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import HTMLResponse, JSONResponse, Response
from fastapi.staticfiles import StaticFiles
from starlette.exceptions import HTTPException
from starlette.middleware.trustedhost import TrustedHostMiddleware

from robo_trader.bootstrap.kill_switch import Address
from robo_trader.core.errors import DataError
from robo_trader.core.events import SECOND_NS, OrderStatus
from robo_trader.core.parent import parent_ended
from robo_trader.dashboard.commands import Switch, commands
from robo_trader.storage import queries

STATIC = Path(__file__).parent / "static"

# The hash is that of the one <style> which lightweight-charts 5.2.1 adds to the page; a new version has a new one.
_POLICY = (
    "default-src 'self'; style-src 'self' 'sha256-3pRED1tOXas1FXFoPb9TGCjmYe9XQsmO9OV23khV2nY='; "
    "img-src 'self' data:; connect-src 'self' ws://127.0.0.1:{hub} ws://localhost:{hub}; "
    "frame-ancestors 'none'; base-uri 'none'; form-action 'none'"
)

Limit = Annotated[int, Query(ge=1, le=10_000)]
Symbol = Annotated[str, Query(min_length=1, max_length=16)]


@dataclass(frozen=True)
class PageOptions:
    """Where the page listens (loopback), which database it reads, where the hub is and how the daemon is reached."""

    db: Path
    port: int = 5555
    hub_port: int = 8765
    address: Address | None = None


def create_app(options: PageOptions) -> FastAPI:
    """Return the page as an ASGI application."""
    app = FastAPI(title="RoboTrader", docs_url=None, redoc_url=None, openapi_url=None)
    app.add_middleware(TrustedHostMiddleware, allowed_hosts=["127.0.0.1", "localhost"])
    app.middleware("http")(_headers(_POLICY.format(hub=options.hub_port)))
    app.add_exception_handler(DataError, _unavailable)
    app.add_exception_handler(RequestValidationError, _invalid)
    app.add_exception_handler(HTTPException, _refused)
    app.state.db = options.db
    app.state.switch = Switch(options.address)
    app.include_router(routes)
    app.include_router(commands)
    index = (STATIC / "index.html").read_text().replace("{hub_port}", str(options.hub_port))
    index = index.replace("{token}", app.state.switch.token if options.address else "")

    @app.get("/")
    def page() -> HTMLResponse:
        return HTMLResponse(index)

    app.mount("/static", StaticFiles(directory=STATIC), name="static")
    return app


def _database(request: Request) -> Iterator[sqlite3.Connection]:
    """Open the database for one question, so that a slow one holds up nobody."""
    db: Path = request.app.state.db
    if not db.exists():
        raise DataError(f"There is no database at {db} yet; the daemon makes it when it starts.")
    with closing(queries.connect_readonly(db)) as connection:
        yield connection


Books = Annotated[sqlite3.Connection, Depends(_database)]
Rows = list[dict[str, Any]]
routes = APIRouter(prefix="/api/v1")


@routes.get("/healthz")
async def healthz(request: Request) -> dict[str, str]:
    """Say that the page's process answers, and whether there is a database to ask."""
    return {"status": "ok", "database": "present" if request.app.state.db.exists() else "absent"}


@routes.get("/state")
def state(books: Books) -> dict[str, Any]:
    """Return the last session at a glance."""
    return queries.status(books)


@routes.get("/symbols")
def symbols(books: Books) -> list[str]:
    """Return the symbols that are watched or have bars, by name."""
    session = queries.session_row(books)
    watched = session["symbols"] if session else []
    return sorted({*watched, *queries.bar_symbols(books, _interval_ns(session))})


@routes.get("/bars")
def bars(books: Books, symbol: Symbol, limit: Limit = 500) -> Rows:
    """Return a symbol's newest bars of the last session's size, oldest first; `ts` is the close in ns UTC."""
    interval_ns = _interval_ns(queries.session_row(books))
    found = queries.bars(books, symbol, interval_ns, limit=limit)
    names = ("ts", "open", "high", "low", "close", "volume")
    columns = [getattr(found, name).tolist() for name in names]
    rows = zip(*columns, strict=True)
    return [{**dict(zip(names, row, strict=True)), "interval_ns": interval_ns} for row in rows]


def _interval_ns(session: dict[str, Any] | None) -> int:
    """Return the size of the bars a session trades on, a minute where it names none."""
    return (session["config"].get("bar_s", 60) if session else 60) * SECOND_NS


@routes.get("/equity")
def equity(books: Books, limit: Limit = 2000) -> Rows:
    """Return the newest states of the books, oldest first."""
    return queries.equity_curve(books, limit=limit)


@routes.get("/positions")
def positions(books: Books) -> Rows:
    """Return the positions with their lots, by symbol."""
    return queries.positions(books)


@routes.get("/orders")
def orders(books: Books, status: OrderStatus | None = None, limit: Limit = 100) -> Rows:
    """Return the newest orders, newest first, of one status where asked."""
    return queries.orders(books, None if status is None else [status], limit)


@routes.get("/fills")
def fills(books: Books, limit: Limit = 100) -> Rows:
    """Return the newest executions, newest first."""
    return queries.fills(books, limit)


@routes.get("/signals")
def signals(books: Books, limit: Limit = 100) -> Rows:
    """Return the newest signals and abstentions, newest first."""
    return queries.last_signals(books, limit)


@routes.get("/decisions")
def decisions(books: Books, limit: Limit = 100) -> Rows:
    """Return how the newest signals became orders or did not, newest first."""
    return queries.last_decisions(books, limit)


@routes.get("/violations")
def violations(books: Books, limit: Limit = 100) -> Rows:
    """Return the newest refusals with value and limit, newest first."""
    return queries.last_violations(books, limit)


def _headers(
    policy: str,
) -> Callable[[Request, Callable[[Request], Awaitable[Response]]], Awaitable[Response]]:
    async def add(request: Request, call_next: Callable[[Request], Awaitable[Response]]) -> Response:
        response = await call_next(request)
        response.headers["Content-Security-Policy"] = policy
        response.headers["X-Content-Type-Options"] = "nosniff"
        response.headers["Referrer-Policy"] = "no-referrer"
        # Static files carry an ETag: asked again each time, sent again only when changed. The page carries a token.
        kept = request.url.path.startswith("/static/")
        response.headers["Cache-Control"] = "no-cache" if kept else "no-store"
        return response

    return add


def _problem(status: int, title: str, detail: str) -> JSONResponse:
    body = {"type": "about:blank", "title": title, "status": status, "detail": detail}
    return JSONResponse(body, status, media_type="application/problem+json")


async def _unavailable(_: Request, error: Exception) -> Response:
    return _problem(503, "No data", str(error))


async def _invalid(_: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError)
    detail = "; ".join(f"{fault['loc'][-1]}: {fault['msg']}" for fault in error.errors())
    return _problem(422, "Invalid request", detail)


async def _refused(_: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    if error.status_code in (404, 405):
        return _problem(error.status_code, str(error.detail), "See /api/v1/state for what is here.")
    return _problem(error.status_code, "Not done", str(error.detail))


class _Server(uvicorn.Server):
    """A server that leaves signals to `run`, which ends with exit code 0."""

    def capture_signals(self) -> Any:
        """Capture nothing."""
        return nullcontext()


async def run(options: PageOptions, parent_pid: int) -> None:
    """Serve until SIGTERM, Ctrl-C or the end of the parent process. Raises OSError where the port is taken."""
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    sock = socket.create_server(("127.0.0.1", options.port))
    config = uvicorn.Config(
        create_app(options),
        log_level="warning",
        access_log=False,
        server_header=False,
        ws="none",
        timeout_graceful_shutdown=1,
    )
    server = _Server(config)
    ends = [asyncio.create_task(stop.wait()), asyncio.create_task(parent_ended(parent_pid))]
    serving = asyncio.create_task(server.serve(sockets=[sock]))
    sys.stdout.write(f"page ready on http://127.0.0.1:{sock.getsockname()[1]}\n")
    sys.stdout.flush()
    await asyncio.wait([serving, *ends], return_when=asyncio.FIRST_COMPLETED)
    for task in ends:
        task.cancel()
    server.should_exit = True
    await serving


def main(argv: Sequence[str] | None = None) -> int:
    """Run the page from the command line; return the exit code (0, or 2 for a usage error)."""
    parser = argparse.ArgumentParser(prog="robo_trader.dashboard", description="The page.")
    parser.add_argument("--port", type=int, default=5555, help="port on 127.0.0.1 (default 5555)")
    parser.add_argument("--db", type=Path, required=True, help="the database to read")
    parser.add_argument("--hub-port", type=int, default=8765, help="the hub's port (default 8765)")
    parser.add_argument(
        "--control", type=Path, help="the daemon's control socket; without it the page only shows"
    )
    parser.add_argument(
        "--kill-file", type=Path, help="the file that halts the daemon, where it does not answer"
    )
    parser.add_argument("--parent-pid", type=int, default=0, help="end when this process ends")
    given = parser.parse_args(argv)
    if (given.control is None) != (given.kill_file is None):
        parser.error("--control and --kill-file go together")
    address = None
    if given.control is not None:
        lock = given.control.with_suffix(".lock")
        address = Address(given.control.stem, given.control, lock, given.kill_file)
    try:
        asyncio.run(run(PageOptions(given.db, given.port, given.hub_port, address), given.parent_pid))
    except (OSError, OverflowError) as error:
        reason = error.strerror if isinstance(error, OSError) else "there is no such port"
        sys.stderr.write(f"The page cannot listen on 127.0.0.1:{given.port}: {reason}.\n")
        return 2
    return 0
