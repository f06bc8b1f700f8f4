"""The page in a real Chromium: hub and page as processes, this test as the desk."""

from __future__ import annotations

import asyncio
import os
import socket
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from decimal import Decimal
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from playwright.async_api import Browser, Page, async_playwright

from robo_trader.core.events import (
    AccountSnapshot,
    Bar,
    Event,
    Feed,
    FeedStatus,
    Fill,
    Lot,
    Order,
    OrderStatus,
    Quote,
    Side,
    Submit,
    Timer,
)
from robo_trader.core.steps import (
    Abstained,
    Denied,
    Drifted,
    DriftSummary,
    Equity,
    Fact,
    Halted,
    OrderChanged,
    PositionChanged,
    Regime,
    RegimeChanged,
    Signal,
    Step,
)
from robo_trader.storage.database import Database
from robo_trader.storage.journal import SqliteJournal
from robo_trader.websocket_client.journal import HubJournal, JournalOptions

CHROMIUM = os.environ.get("RT_CHROMIUM", "/usr/bin/chromium")
FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
OPEN = 1_767_623_400_000_000_000  # 2026-01-05 09:30 in New York
MINUTE = 60_000_000_000
HEARTBEAT = 0.6

pytestmark = [
    pytest.mark.browser,
    pytest.mark.skipif(
        not Path(CHROMIUM).exists(),
        reason=f"no Chromium at {CHROMIUM}: apt-get install chromium, or name one in RT_CHROMIUM",
    ),
]


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port: int = probe.getsockname()[1]
        return port


@contextmanager
def process(module: str, port: int, *argv: str) -> Iterator[None]:
    command = [sys.executable, "-m", module, "--port", str(port), *argv, "--parent-pid", str(os.getpid())]
    environment = {**os.environ, "ROBO_HUB_TOKEN": "t"}
    child = subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True)
    assert child.stdout is not None
    try:
        assert "ready" in child.stdout.readline()
        yield
    finally:
        child.terminate()
        child.communicate(timeout=10)


class Desk:
    """A daemon's voice: what it tells the hub and keeps in the database."""

    def __init__(self, hub_port: int) -> None:
        options = JournalOptions(flush_s=0.02, beat_s=0.1, backoff_s=0.05, backoff_max_s=0.2)
        self.hub = HubJournal(f"ws://127.0.0.1:{hub_port}", "t", options)
        self.task = asyncio.create_task(self.hub.run())

    async def record(self, event: Event, *facts: Fact, orders: tuple[Order, ...] = ()) -> None:
        await self.hub.record(event, Step([Submit(order) for order in orders], facts))

    async def stop(self) -> None:
        self.task.cancel()
        await asyncio.gather(self.task, return_exceptions=True)

    async def trade_a_little(self) -> None:
        """A quarter of an hour of bars, one order filled, one refused."""
        self.hub.describe(
            mode="practice", account="DUP000007", session="s", symbols=["NVDA", "META"], interval_s=0.3
        )
        await self.record(FeedStatus(OPEN, "", Feed.LIVE))
        await self.record(AccountSnapshot(OPEN, "DUP000007", Decimal(100000), Decimal(100000)))
        for number in range(1, 16):
            await self.record(bar(number), equity(number, "100000"))
        at = OPEN + 15 * MINUTE
        order = Order("s-1.1", "s-1", "NVDA", Side.BUY, 10, reason="crossed")
        await self.record(Quote("NVDA", at, 180.0, 180.02, 300.0, 500.0))
        await self.record(
            Timer(at, "t"),
            Signal(at, "NVDA", "sma", 1, 0.7, "<b>5 above 20</b>"),
            Abstained(at, "META", "ml", "no model"),
            Denied(at, "s-2.1", "META", "portfolio_heat", "heat too high", 0.071, 0.06),
            orders=(order,),
        )
        fill = Fill(at, "s-1.1", "e-1", "NVDA", Side.BUY, 10, Decimal("180.02"), Decimal("1.00"))
        await self.record(
            fill,
            OrderChanged(at, "s-1.1", OrderStatus.FILLED, 10, 77),
            PositionChanged(at, "NVDA", 10, (Lot(10, Decimal("180.02")),), Decimal("-1.00")),
            equity(15, "98198.80", "1801.50"),
        )


def bar(number: int, close: float = 180.15) -> Bar:
    return Bar("NVDA", OPEN + number * MINUTE, 180.0, 180.4, 179.8, close, 1000.0 + number)


def equity(number: int, cash: str, value: str = "0") -> Equity:
    ts = OPEN + number * MINUTE
    return Equity(ts, Decimal(cash), Decimal(value), Decimal(100000), Decimal(-1), Decimal("0.30"))


@asynccontextmanager
async def watching(browser: Browser, url: str, width: int = 1280) -> AsyncIterator[Page]:
    """Open the page; on the way out, no error was written and nobody else was asked for anything."""
    page = await browser.new_page(viewport={"width": width, "height": 844})
    errors: list[str] = []
    asked: list[str] = []
    page.on("console", lambda message: errors.append(message.text) if message.type == "error" else None)
    page.on("pageerror", lambda error: errors.append(str(error)))
    page.on("request", lambda request: asked.append(request.url))
    page.on("websocket", lambda link: asked.append(link.url))
    await page.goto(url)
    yield page
    # A hub that goes and a command that is refused are told by Chromium itself.
    lost = [text for text in errors if "WebSocket connection" not in text and "status of 409" not in text]
    assert not lost
    hosts = {urlsplit(address).hostname for address in asked if not address.startswith("data:")}
    assert hosts == {"127.0.0.1"}
    await page.close()


async def shows(page: Page, selector: str, words: str, seconds: float = 5.0) -> None:
    """Wait until an element contains these words."""
    script = "([at, words]) => document.querySelector(at)?.textContent.includes(words)"
    await page.wait_for_function(script, arg=[selector, words], timeout=1000 * seconds, polling=20)


@pytest.fixture
async def browser() -> AsyncIterator[Browser]:
    async with async_playwright() as playwright:
        chromium = await playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        yield chromium
        await chromium.close()


@asynccontextmanager
async def served(db: Path, hub_port: int) -> AsyncIterator[str]:
    port = free_port()
    with (
        process("robo_trader.dashboard", port, "--db", str(db), "--hub-port", str(hub_port)),
        process(
            "robo_trader.websocket_server", hub_port, "--page-port", str(port), "--heartbeat", str(HEARTBEAT)
        ),
    ):
        yield f"http://127.0.0.1:{port}/"


async def test_what_the_desk_says_reaches_the_page_and_grows_stale_when_it_stops(
    browser: Browser, tmp_path: Path
) -> None:
    hub_port = free_port()
    async with served(tmp_path / "none.db", hub_port) as url, watching(browser, url) as page:
        await shows(page, "#banner", "The daemon is not connected")
        await shows(page, "#positions", "No open position")
        desk = Desk(hub_port)
        await desk.trade_a_little()
        await shows(page, "#equity", "100,000.30")
        await shows(page, "#mode", "practice")
        await shows(page, "#broker", "live")
        await shows(page, "#positions", "180.02")
        await shows(page, "#orders", "filled")
        await shows(page, "#fills", "1.00")
        await shows(page, "#signals", "<b>5 above 20</b>")
        await shows(page, "#signals", "abstains")
        await shows(page, "#denied", "0.071")
        await shows(page, "#quote", "bid 180.00")
        assert await page.locator("#signals b").count() == 0
        await page.wait_for_function("() => !document.body.classList.contains('frozen')")
        assert await page.locator("#banner").is_hidden()

        took = []
        for minute in range(16, 19):  # the best of three: how busy the machine is proves nothing
            sent = time.monotonic()
            await desk.record(bar(minute, 180.33), equity(minute, f"97{minute:03d}.00"))
            await shows(page, "#equity", f"97,{minute:03d}.00")
            took.append(time.monotonic() - sent)
        assert min(took) < 1
        at = OPEN + 18 * MINUTE
        await desk.record(Timer(at, "t"), Halted(at, "daily loss", "gate"))
        await shows(page, "#alarm", "daily loss")
        await shows(page, "#positions", "180.33")

        await desk.stop()
        await shows(page, "#banner", "The daemon is not connected")
        await shows(page, "#equity", "old", 8.0)
        await page.locator("body.frozen").wait_for(state="attached", timeout=8_000)


async def test_a_desk_that_is_connected_but_says_nothing_is_not_shown_as_fresh(
    browser: Browser, tmp_path: Path
) -> None:
    hub_port = free_port()
    async with served(tmp_path / "none.db", hub_port) as url, watching(browser, url) as page:
        desk = Desk(hub_port)
        await desk.trade_a_little()
        await shows(page, "#equity", "100,000.30")
        # Its link still beats, but no bar comes any more: each value tells its age.
        await shows(page, "#equity", "s old", 8.0)
        await page.locator("#chart.stale").wait_for(state="attached", timeout=8_000)
        assert await page.locator("#banner").is_hidden()
        await desk.stop()


async def test_the_page_finds_back_after_the_hub_was_restarted(browser: Browser, tmp_path: Path) -> None:
    hub_port, port = free_port(), free_port()
    hub = ("robo_trader.websocket_server", hub_port, "--page-port", str(port), "--heartbeat", str(HEARTBEAT))
    page_argv = ("--db", str(tmp_path / "none.db"), "--hub-port", str(hub_port))
    with process("robo_trader.dashboard", port, *page_argv):
        async with watching(browser, f"http://127.0.0.1:{port}/") as page:
            desk = Desk(hub_port)
            with process(*hub):
                await desk.trade_a_little()
                await shows(page, "#equity", "100,000.30")
            await shows(page, "#banner", "No connection to the hub")
            with process(*hub):
                await desk.record(bar(17), equity(17, "123.45"))
                await shows(page, "#equity", "123.45", 20.0)
            await desk.stop()


async def test_without_a_hub_the_page_shows_the_database_and_says_so(
    browser: Browser, tmp_path: Path
) -> None:
    path = tmp_path / "desk.db"
    async with await Database.open(path) as database:
        await database.start_session("s", OPEN, "practice", "DUP000007", ["NVDA"], "{}")
        journal = SqliteJournal(database, "s")
        await journal.record(AccountSnapshot(OPEN, "DUP000007", Decimal(100000), Decimal(100000)), Step())
        signal = Signal(OPEN + MINUTE, "NVDA", "sma", 1, 0.7, "5 above 20")
        regime = RegimeChanged(OPEN + MINUTE, "NVDA", Regime.SQUEEZE, "", "Bollinger in Keltner")
        await journal.record(bar(1), Step(facts=[regime, signal, equity(1, "100000")]))
        await journal.flush()
    port = free_port()
    with process("robo_trader.dashboard", port, "--db", str(path), "--hub-port", str(free_port())):
        async with watching(browser, f"http://127.0.0.1:{port}/") as page:
            await shows(page, "#banner", "No connection to the hub")
            await shows(page, "#equity", "100,000.00 from the database")
            await shows(page, "#signals", "5 above 20")
            await shows(page, "#quote", "last close 180.15   squeeze")


DRAW_LONGER_BARS = """
    async ([bars, fills]) => {
        const { CandleChart } = await import("/static/charts.js");
        const box = document.body.appendChild(document.createElement("div"));
        const chart = new CandleChart(box);
        chart.draw("NVDA", bars, fills);
        chart.add({ ...bars.at(-1), ts: bars.at(-1).ts + bars.at(-1).interval_ns });
        return [chart.candles.data().map((one) => one.time), chart.markers.markers().map((one) => one.time)];
    }
"""


async def test_longer_bars_stand_at_their_open_and_carry_their_fills(
    browser: Browser, tmp_path: Path
) -> None:
    ohlc = {"open": 180.0, "high": 181.0, "low": 179.0, "close": 180.5, "interval_ns": 5 * MINUTE}
    bars = [{**ohlc, "ts": OPEN + n * 5 * MINUTE} for n in (1, 2)]
    fill = {"symbol": "NVDA", "ts": OPEN + 7 * MINUTE, "side": "BUY", "quantity": 1}
    async with served(tmp_path / "none.db", free_port()) as url, watching(browser, url) as page:
        opens, marks = await page.evaluate(DRAW_LONGER_BARS, [bars, [fill]])
    opened = OPEN // 1_000_000_000
    assert (opens, marks) == ([opened, opened + 300, opened + 600], [opened + 300])


async def test_a_telephone_scrolls_in_one_direction_only(browser: Browser, tmp_path: Path) -> None:
    hub_port = free_port()
    async with served(tmp_path / "none.db", hub_port) as url, watching(browser, url, 390) as page:
        desk = Desk(hub_port)
        await desk.trade_a_little()
        await shows(page, "#denied", "heat too high")
        await shows(page, "#orders", "filled")
        assert await page.evaluate("document.documentElement.scrollWidth") <= 390
        await desk.stop()


async def test_the_regime_stands_beside_the_quote_and_a_crash_is_an_alarm(
    browser: Browser, tmp_path: Path
) -> None:
    hub_port, at = free_port(), OPEN + 16 * MINUTE
    async with served(tmp_path / "none.db", hub_port) as url, watching(browser, url) as page:
        desk = Desk(hub_port)
        await desk.trade_a_little()
        early = RegimeChanged(at, "NVDA", Regime.NEUTRAL, "", "not known: 3 days", known=False)
        await desk.record(
            Timer(at, "t"), early, RegimeChanged(at, "SPY", Regime.BULL, "", "P(bear) 0.02 by SPY")
        )
        await shows(page, "#quote", "neutral, not known: 3 days")
        assert not await page.locator("#alarm").is_visible()
        fell = "fell 5.4% within 30 minutes"
        await desk.record(Timer(at, "t"), RegimeChanged(at, "NVDA", Regime.CRASH, "neutral", fell))
        await shows(page, "#alarm", f"CRASH NVDA: {fell}")
        await shows(page, "#quote", "   crash")
        await desk.stop()


async def test_features_that_drift_are_shown_with_an_alarm_until_they_are_back(
    browser: Browser, tmp_path: Path
) -> None:
    hub_port, at = free_port(), OPEN + 16 * MINUTE
    async with served(tmp_path / "none.db", hub_port) as url, watching(browser, url) as page:
        desk = Desk(hub_port)
        await desk.trade_a_little()
        await shows(page, "#equity", "100,000.30")
        assert not await page.locator("#drift-panel").is_visible()
        readings = [Drifted(at, "roc_10", "ks", 0.42, 0.3), Drifted(at, "atr_close_14", "psi", 8.0456, 4.0)]
        summary = DriftSummary(at, "2026-01-05", 720, 34, 2, True, ())
        await desk.record(Timer(at, "t"), *readings, summary)
        await shows(page, "#alarm", "DRIFT: 2 of 34 features no longer look as in training")
        await shows(page, "#drift tbody tr:first-child", "atr_close_14PSI8.054")
        await shows(page, "#drift-panel .count", "2 of 34 features")
        await desk.record(
            Timer(at, "t"),
            *(Drifted(at, reading.feature, reading.test, 0.1, reading.limit) for reading in readings),
            DriftSummary(at, "2026-01-05", 720, 34, 0, False, ()),
        )
        await shows(page, "#drift", "No feature is beyond a limit")
        await page.locator("#alarm").wait_for(state="hidden")
        await desk.stop()
