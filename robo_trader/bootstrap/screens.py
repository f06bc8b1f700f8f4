"""The hub and the page: two processes beside the daemon, told by a journal that never waits."""

from __future__ import annotations

import asyncio
import os
import secrets
import socket
from contextlib import AsyncExitStack
from pathlib import Path

import structlog

from robo_trader.bootstrap import places
from robo_trader.bootstrap.endings import end_task
from robo_trader.bootstrap.link_state import LinkState
from robo_trader.bootstrap.plan import Plan
from robo_trader.config import Settings
from robo_trader.core.errors import ConfigurationError
from robo_trader.processes import Child
from robo_trader.websocket_client.journal import HubJournal

log = structlog.get_logger()
FIRST_PAUSE_S, LONGEST_PAUSE_S = 1.0, 60.0


def require_free_ports(settings: Settings) -> None:
    """Raise ConfigurationError where another program holds the page's or the hub's port."""
    for name, port in (("DASHBOARD_PORT", settings.dashboard_port), ("HUB_PORT", settings.hub_port)):
        try:
            socket.create_server(("127.0.0.1", port)).close()
        except OSError as error:
            raise ConfigurationError(
                f"port {port} is taken ({os.strerror(error.errno or 0)}): stop what listens there, set {name}, "
                "or use --no-dashboard"
            ) from error


async def open_screens(
    stack: AsyncExitStack, settings: Settings, database: Path, plan: Plan, speed: float
) -> HubJournal:
    """Start hub and page; return the journal that tells them. They end with the stack."""
    token = secrets.token_hex(16)
    ports = ["--port", str(settings.hub_port), "--page-port", str(settings.dashboard_port)]
    parent = ["--parent-pid", str(os.getpid())]
    hub = Child("robo_trader.websocket_server", [*ports, *parent], {"ROBO_HUB_TOKEN": token})
    page_ports = ["--port", str(settings.dashboard_port), "--hub-port", str(settings.hub_port)]
    address = places.address_of(settings.robo_data_dir, plan.account)
    control = ["--control", str(address.socket), "--kill-file", str(address.kill_file.absolute())]
    page = Child("robo_trader.dashboard", [*page_ports, "--db", str(database), *control, *parent])
    for child in (hub, page):
        stack.push_async_callback(child.stop)
        await child.start()
        stack.push_async_callback(end_task, asyncio.create_task(_keep(child)))
    journal = HubJournal(f"ws://127.0.0.1:{settings.hub_port}", token)
    journal.describe(
        mode="dry-run" if plan.mode == "dry-run" else plan.kind,
        account=plan.account,
        session=plan.session_id,
        symbols=list(plan.ticks),
        interval_s=plan.bar_s / speed,
    )
    telling = asyncio.create_task(journal.run())
    stack.push_async_callback(end_task, telling)
    return journal


def show_link(journal: HubJournal, state: LinkState) -> None:
    """Have the pages told of each change of the link to the broker; times are the wall's, in ns."""

    def show() -> None:
        row = state.as_row()
        journal.describe(
            link={"state": row.state, "why": row.detail, "since": row.last_run, "until": row.next_run}
        )

    state.on_change(show)
    show()


def show_learning(journal: HubJournal, said: str) -> None:
    """Have the pages told how the training of the next model goes."""
    journal.describe(learning=said)


async def _keep(child: Child) -> None:
    """Say when a screen has ended, and start it again after growing pauses; trading does not wait for it."""
    pause = FIRST_PAUSE_S
    while True:
        code = await child.wait()
        log.warning("screen_ended", what=child.module, exit_code=code, next_try_in_s=pause)
        await asyncio.sleep(pause)
        pause = min(pause * 2, LONGEST_PAUSE_S)
        await child.start()
