"""The buttons of the page in a real Chromium: a dialog first, then the daemon's own words as the answer."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from decimal import Decimal
from pathlib import Path

import pytest
from playwright.async_api import Browser, Page

from robo_trader.core.command_socket import CommandSocket
from robo_trader.core.errors import ConfigurationError
from robo_trader.core.events import (
    AccountSnapshot,
    Fill,
    Holding,
    Lot,
    Order,
    OrderType,
    Side,
    Submit,
    Timer,
    TradingState,
)
from robo_trader.core.steps import (
    Agreed,
    Corrected,
    Halted,
    Mismatch,
    Resumed,
    SplitSuspected,
    Step,
    Unprotected,
)
from robo_trader.storage.database import Database
from robo_trader.storage.journal import SqliteJournal
from tests.browser.test_page import (
    CHROMIUM,
    HEARTBEAT,
    MINUTE,
    OPEN,
    Desk,
    bar,
    browser,
    free_port,
    process,
    shows,
    watching,
)

__all__ = ["browser"]  # the fixture

AT = OPEN + 20 * MINUTE
pytestmark = [
    pytest.mark.browser,
    pytest.mark.skipif(not Path(CHROMIUM).exists(), reason=f"no Chromium at {CHROMIUM}"),
]


class Daemon:
    """The control socket of a daemon that remembers what it was told."""

    def __init__(self, path: Path) -> None:
        self.heard: list[dict[str, object]] = []
        self.socket = CommandSocket(path, self.obey, ours=True)

    async def obey(self, wanted: Mapping[str, object]) -> Mapping[str, object]:
        self.heard.append(dict(wanted))
        if wanted["do"] == "flatten":
            raise ConfigurationError("nothing of NVDA is held")
        return {"done": True, "said": [f"{wanted['do']} by operator"]}


@asynccontextmanager
async def controlled(
    tmp_path: Path, db: Path, hub_port: int, with_hub: bool = True
) -> AsyncIterator[tuple[str, Daemon]]:
    """The page, and where asked the hub, beside a control socket."""
    daemon, port = Daemon(tmp_path / "run" / "DU1.sock"), free_port()
    await daemon.socket.open()
    control = ("--control", str(daemon.socket.path), "--kill-file", str(tmp_path / "KILL"))
    hub = ("robo_trader.websocket_server", hub_port, "--page-port", str(port), "--heartbeat", str(HEARTBEAT))
    try:
        with process("robo_trader.dashboard", port, "--db", str(db), "--hub-port", str(hub_port), *control):
            if not with_hub:
                yield f"http://127.0.0.1:{port}/", daemon
                return
            with process(*hub):
                yield f"http://127.0.0.1:{port}/", daemon
    finally:
        await daemon.socket.close()


async def confirmed(page: Page, reason: str = "", until: str = "") -> None:
    await page.fill("#confirm-reason", reason)
    if until:
        await page.fill("#confirm-until", until)
    await page.click("#confirm-go")


async def test_a_halt_asks_first_and_then_shows_what_the_daemon_said(
    browser: Browser, tmp_path: Path
) -> None:
    hub_port = free_port()
    async with (
        controlled(tmp_path, tmp_path / "none.db", hub_port) as (url, daemon),
        watching(browser, url) as page,
    ):
        desk = Desk(hub_port)
        await desk.trade_a_little()
        await shows(page, "#trading", "trading")
        assert await page.locator("#resume").is_hidden()
        await page.click("#halt")
        await shows(page, "#confirm-words", "Nothing new is opened")
        await page.click("#confirm-back")
        assert daemon.heard == []
        await page.click("#halt")
        await confirmed(page, "looked <b>odd</b>")
        await shows(page, "#answer-words", "halt by operator")
        assert daemon.heard == [{"do": "halt", "reason": "looked <b>odd</b>", "via": "page"}]

        halted = Halted(AT, "looked <b>odd</b>", "operator")
        nightly = Halted(AT, "restart at 23:45", "restart window", TradingState.REDUCING)
        await desk.record(Timer(AT, "t"), halted, nightly)
        await shows(page, "#trading", "halted")
        await shows(page, "#alarm", "HALTED by operator since 09:50:00: looked <b>odd</b>")
        await shows(page, "#alarm", "REDUCING by restart window")
        assert await page.locator("#alarm b").count() == 0
        await page.click("#resume")
        await page.click("#confirm-go")  # the browser asks for the reason
        assert len(daemon.heard) == 1
        await confirmed(page, "seen")
        await shows(page, "#answer-words", "resume by operator")
        lifted = ("operator", "restart window")
        await desk.record(Timer(AT, "t"), Resumed(AT, "seen", "operator", lifted))
        await shows(page, "#trading", "trading")
        assert await page.locator("#alarm").is_hidden()
        await desk.stop()


async def test_a_position_shows_its_stop_and_an_alarm_where_there_is_none(
    browser: Browser, tmp_path: Path
) -> None:
    hub_port = free_port()
    async with (
        controlled(tmp_path, tmp_path / "none.db", hub_port) as (url, daemon),
        watching(browser, url) as page,
    ):
        desk = Desk(hub_port)
        await desk.trade_a_little()
        await shows(page, "#positions", "none")
        stop = Order(
            "s-9.1", "s-9", "NVDA", Side.SELL, 10, OrderType.STOP, stop_price=Decimal("175.50"), tif="GTC"
        )
        await desk.record(Timer(AT, "t"), orders=(stop,))
        await shows(page, "#positions", "175.50")
        await desk.record(Timer(AT, "t"), Unprotected(AT, "NVDA", 10, "no price"))
        await shows(page, "#positions .bare", "UNPROTECTED 10")
        await shows(page, "#alarm", "UNPROTECTED: 10 NVDA, no price")
        await page.click("#positions .act")
        await shows(page, "#confirm-words", "Sells 10 NVDA at the market")
        await confirmed(page)
        await shows(page, "#answer-words.loss", "nothing of NVDA is held")
        assert daemon.heard == [{"do": "flatten", "symbol": "NVDA", "reason": "", "via": "page"}]
        await desk.stop()


async def test_a_quarantine_shows_both_sides_and_is_resolved_by_a_button(
    browser: Browser, tmp_path: Path
) -> None:
    hub_port = free_port()
    async with (
        controlled(tmp_path, tmp_path / "none.db", hub_port) as (url, daemon),
        watching(browser, url) as page,
    ):
        desk = Desk(hub_port)
        await desk.trade_a_little()
        await desk.record(Timer(AT, "t"), Mismatch(AT, "NVDA", 10, 15))
        await shows(page, "#quarantines", "not traded")
        await shows(page, "#alarm", "QUARANTINE NVDA: ours 10, broker 15")
        await desk.record(Timer(AT, "t"), SplitSuspected(AT, "NVDA", 3, 2, "opened so"))
        await shows(
            page, "#alarm", "NVDA looks like a 3:2 split: if it was one, robo-trader split NVDA 3:2 --reason"
        )
        await page.click("#quarantines .act:has-text('Ignore')")
        await confirmed(page, "lent", "2h")
        await shows(page, "#answer-words", "resolve by operator")
        resolve = {"do": "resolve", "symbol": "NVDA", "how": "ignore"}
        assert daemon.heard == [{**resolve, "reason": "lent", "until": "2h", "via": "page"}]
        await desk.record(Timer(AT, "t"), Agreed(AT, "NVDA", 10, "both sides agree again"))
        await page.locator("#quarantine-panel").wait_for(state="hidden")
        await desk.stop()


async def test_foreign_and_corrected_fills_are_shown_as_what_they_are(
    browser: Browser, tmp_path: Path
) -> None:
    hub_port = free_port()
    async with (
        controlled(tmp_path, tmp_path / "none.db", hub_port) as (url, _),
        watching(browser, url) as page,
    ):
        desk = Desk(hub_port)
        await desk.trade_a_little()
        price = Decimal("180.02")
        await desk.record(Fill(AT, "manual:77", "m.01", "NVDA", Side.BUY, 5, price))
        corrected = Corrected(AT, "NVDA", "e-1.02", "e-1", 8, price, 10, price)
        await desk.record(Fill(AT, "s-1.1", "e-1.02", "NVDA", Side.BUY, 8, price), corrected)
        await shows(page, "#fills", "manual")
        await shows(page, "#fills .void", "10")
        await shows(page, "#events", "corrected to 8 at 180.02")
        await desk.stop()


async def test_a_page_without_a_way_to_the_daemon_has_no_buttons(browser: Browser, tmp_path: Path) -> None:
    port = free_port()
    argv = ("--db", str(tmp_path / "none.db"), "--hub-port", str(free_port()))
    with process("robo_trader.dashboard", port, *argv):
        async with watching(browser, f"http://127.0.0.1:{port}/") as page:
            await shows(page, "#banner", "No connection to the hub")
            assert await page.locator("#switch").is_hidden()


async def test_with_the_hub_dead_the_desk_is_shown_from_the_database_and_can_be_halted(
    browser: Browser, tmp_path: Path
) -> None:
    path = tmp_path / "desk.db"
    async with await Database.open(path) as database:
        await database.start_session("s", OPEN, "practice", "DUP000007", ["NVDA"], "{}")
        journal = SqliteJournal(database, "s")
        held = Holding("NVDA", 10, (Lot(10, Decimal("180.00")),), 10)
        stop = Order(
            "s-9.1", "s-9", "NVDA", Side.SELL, 10, OrderType.STOP, stop_price=Decimal("175.50"), tif="GTC"
        )
        facts = [
            Halted(OPEN, "daily loss", "gate"),
            Mismatch(OPEN, "META", 1, 2),
            Unprotected(OPEN, "NVDA", 3, "odd"),
        ]
        await journal.record(AccountSnapshot(OPEN, "DUP000007", Decimal(1), Decimal(1), (held,)), Step())
        await journal.record(bar(1), Step([Submit(stop)], facts))
        await journal.flush()
        await database.record_job("link", OPEN, OPEN + 60 * MINUTE, "waiting", "the nightly restart")
        await database.record_job("desk", OPEN, None, "alive", "s")
    async with (
        controlled(tmp_path, path, free_port(), with_hub=False) as (url, daemon),
        watching(browser, url) as page,
    ):
        await shows(page, "#banner", "No connection to the hub; trying again. Its last sign of life was")
        await shows(page, "#trading.stale", "halted")
        await shows(page, "#alarm", "HALTED by gate since 09:30:00: daily loss")
        await shows(page, "#broker", "your time")
        await shows(page, "#alarm", "your time: the nightly restart")
        await shows(page, "#quarantines", "META")
        await shows(page, "#positions", "UNPROTECTED 3")
        await daemon.socket.close()
        await page.click("#halt")
        await confirmed(page, "odd")
        await shows(page, "#answer-words", "comes up halted", 10.0)
        assert "odd (page)" in (tmp_path / "KILL").read_text()
