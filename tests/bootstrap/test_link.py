"""The link is lost, degraded, expected to be silent, and comes back by itself: what the desk is told of each."""

from __future__ import annotations

import asyncio
import itertools
from decimal import Decimal

import pytest

from robo_trader.bootstrap.link import link_options, pacing_with
from robo_trader.config import load
from robo_trader.core.errors import ConnectionLost
from robo_trader.core.events import (
    MINUTE_NS,
    AccountSnapshot,
    Bar,
    Halt,
    Order,
    OrderStatus,
    OrderType,
    OrderUpdate,
    Quote,
    Side,
)
from robo_trader.core.steps import NOTHING
from robo_trader.data.sessions import XnysCalendar
from robo_trader.ibkr.pacing import PacingOptions
from robo_trader.ibkr.refusals import RequestRefused
from robo_trader.ibkr.restart_window import parse_window
from robo_trader.processes import Child
from robo_trader.storage.database import Database

CALENDAR = XnysCalendar()
WARY = {"stale_after_s": 0.5, "resubscribe_after_s": 0.5}


async def test_only_a_gateway_of_our_own_is_asked_for_history_without_tws_s_limit():
    gateway = Child("robo_trader.practice", ["--help"])
    assert pacing_with(gateway) == PacingOptions()
    await gateway.start("usage")
    assert pacing_with(gateway).history_per_10_min > 20 * 60
    await gateway.stop()


def assert_whole(bars: list[Bar]) -> None:
    """Every minute once, in order, the days' ends aside."""
    assert len(bars) > 1
    for before, bar in itertools.pairwise(bars):
        session = CALENDAR.session(bar.ts)
        assert session is not None
        start = bar.ts - MINUTE_NS
        assert before.ts == start or (start == session.open and before.ts < start), (before, bar)


async def test_a_start_needs_no_permission_and_ends_ready(line):
    it = await line()
    assert it.states[0] == f"connecting: 127.0.0.1:{it.link.connection.options.port} as client 1"
    assert it.states[1] == "synchronising: the account and its orders"
    assert it.states[-1] == "ready: streaming"
    assert [word for word in it.said() if word.startswith("stop")] == []
    assert it.state.blind_since is None


@pytest.mark.parametrize("fault", ["drop-rst", "drop-fin", "port-reset", "bad-length"])
async def test_after_a_lost_session_nothing_is_opened_before_account_and_prices_are_known(line, fault: str):
    it = await line()
    await it.until(lambda: it.bars("AAPL"))
    it.gateway.plant(fault)
    await it.until_state("lost")
    await it.until(lambda: any(word.startswith("stop session") for word in it.said()))
    await it.again()
    assert it.state.blind_since is None
    said = it.said()
    stop = next(i for i, word in enumerate(said) if word.startswith("stop session"))
    go = next(i for i, word in enumerate(said) if i > stop and word.startswith("go session"))
    assert said[stop].startswith("stop session: the session with TWS is lost: ")
    assert said[stop + 1 : go] == ["account", "account"]
    assert any(s.startswith("lost:") for s in it.states)


async def test_a_ten_minute_outage_leaves_no_hole_and_no_duplicate_in_the_bars(line):
    it = await line()
    await it.until(lambda: len(it.bars("AAPL")) > 3)
    it.gateway.plant("restart-keep", **{"for": 600})
    await it.until_state("lost")
    lost_at = it.bars("AAPL")[-1].ts
    await it.again()
    back = it.gateway.now()
    assert back - lost_at > 10 * MINUTE_NS
    for symbol in ("AAPL", "NVDA"):
        await it.until(lambda s=symbol: it.bars(s)[-1].ts > back + 3 * MINUTE_NS)
        assert_whole(it.bars(symbol))
    missed = [bar for bar in it.bars("AAPL") if lost_at < bar.ts <= lost_at + 9 * MINUTE_NS]
    assert len(missed) == 9
    assert all(bar.history for bar in missed)  # they warm features, and nothing trades on them


@pytest.mark.parametrize(
    "fault", ["outage-kept", "outage-lost", "farm-broken", "server-broken", "lines-lost"]
)
async def test_dead_streams_degrade_the_link_stop_entries_and_come_back_by_themselves(line, fault: str):
    it = await line(**WARY)
    await it.until(lambda: it.bars("AAPL"))
    it.gateway.plant(fault, **({} if fault == "lines-lost" else {"for": 600}))
    await it.until_state("degraded", "AAPL since")
    await it.until(lambda: any(word.startswith("stop session: no stream is fresh: ") for word in it.said()))
    await it.again()
    assert it.link.connection.logins == 1  # the session itself was never the trouble
    back = it.gateway.now()
    await it.until(lambda: it.bars("NVDA")[-1].ts > back + 2 * MINUTE_NS)
    assert_whole(it.bars("NVDA"))


async def test_one_dead_stream_is_named_and_the_others_trade_on(line):
    it = await line(**WARY)
    it.gateway.plant("stale", symbol="NVDA")
    await it.until_state("degraded", "NVDA since")
    assert "AAPL" not in it.state.why
    assert it.gate() == "open"
    assert it.state.blind_since is None
    it.gateway.lift("stale")
    await it.again()


async def test_a_dead_stream_of_what_is_only_compared_with_is_logged_and_leaves_the_link_alone(line, capsys):
    it = await line(beside=("SPY", "NOSUCH"), **WARY)
    assert it.link.beside == {"SPY", "NOSUCH"}
    assert "unknown symbol NOSUCH" in capsys.readouterr().out
    it.gateway.plant("stale", symbol="SPY")
    said: list[str] = []
    await it.until(lambda: said.append(capsys.readouterr().out) or "no bar" in "".join(said))
    assert "not_compared" in "".join(said)
    assert it.state.phase == "ready"
    assert it.gate() == "open"


async def test_the_history_of_what_is_only_compared_with_is_fetched_too(line, tmp_path):
    it = await line(beside=("SPY",))
    async with await Database.open(tmp_path / "desk.db") as database:
        history = await it.link.history(database, 2)
    assert set(history.bars) == {"AAPL", "NVDA", "SPY"}
    assert all(len(bars) >= 2 * 210 for bars in history.bars.values())
    assert {asked.symbol for asked in history.asked} == {"AAPL", "NVDA", "SPY"}


async def test_days_of_tws_are_the_minutes_of_their_sessions_summed_up(line, tmp_path):
    it = await line(beside=("SPY",))
    days = await it.link.days()
    assert set(days) == {"AAPL", "NVDA", "SPY"}
    async with await Database.open(tmp_path / "desk.db") as database:
        minutes = (await it.link.history(database, 9)).bars["AAPL"]  # over Christmas Eve, which ends at one
    session_of = XnysCalendar().session
    for day in days["AAPL"][-9:]:
        bars = [bar for bar in minutes if session_of(bar.ts) == session_of(day.ts)]
        summed = (bars[0].open, max(b.high for b in bars), min(b.low for b in bars), bars[-1].close)
        assert (day.open, day.high, day.low, day.close) == summed
        assert day.ts == session_of(day.ts).close
    assert len(days["AAPL"]) > 146  # enough for every rule


async def test_a_frozen_tws_is_left_and_found_again_when_it_wakes(line):
    it = await line(connect_timeout_s=0.5)
    it.gateway.plant("freeze")
    await it.until_state("lost", "did not answer the heartbeat")
    await it.until_state("waiting", "did not finish the handshake")
    it.gateway.lift("freeze")
    await it.again()
    assert it.link.connection.logins == 2


async def test_an_account_that_tws_refuses_to_tell_is_asked_for_in_another_session(line, monkeypatch):
    it = await line()
    refusals = [RequestRefused(321, "not now")]
    snapshot = it.link.broker.snapshot

    async def once_refused():
        if refusals:
            raise refusals.pop()
        return await snapshot()

    monkeypatch.setattr(it.link.broker, "snapshot", once_refused)
    it.gateway.plant("drop-rst")
    await it.until_state("lost", "TWS refused the request (321): not now")
    await it.again()
    assert it.said().count("account") == 2  # the two looks of the session that could be caught up with


async def test_a_client_id_that_tws_has_not_let_go_of_is_waited_for(line):
    it = await line()
    it.gateway.plant("client-id-in-use")
    it.gateway.plant("drop-rst")
    await it.until_state("waiting", "client id 1 is already in use")
    assert it.state.until is not None
    it.gateway.lift("client-id-in-use")
    await it.again()


async def test_prices_that_are_not_live_are_not_traded_on(line):
    it = await line(**WARY)
    await it.until(lambda: it.bars("AAPL"))
    it.gateway.plant("delayed-type")
    it.gateway.plant("drop-rst")
    await it.until_state("degraded", "delayed data instead of live (type 3)")
    reconnected = max(i for i, event in enumerate(it.events) if isinstance(event, AccountSnapshot))
    before = it.gateway.now()
    await it.until(lambda: it.gateway.now() > before + 5 * MINUTE_NS)
    later = it.events[reconnected:]
    assert [event for event in later if isinstance(event, Bar | Quote) and event.ts > before] == []
    assert it.gate() == "shut"
    it.gateway.lift("delayed-type")
    await it.again()
    back = it.gateway.now()
    await it.until(lambda: it.bars("AAPL")[-1].ts > back + 2 * MINUTE_NS)
    assert_whole(it.bars("AAPL"))


async def test_another_session_that_uses_the_live_data_degrades_with_that_reason(line):
    it = await line(**WARY)
    it.gateway.plant("competing-session")
    await it.until_state("degraded", "(10197)")
    await it.until(lambda: any(word.startswith("stop session: no stream is fresh: ") for word in it.said()))
    it.gateway.lift("competing-session")
    await it.again()


async def test_before_the_restart_entries_stop_and_within_it_silence_is_expected(line):
    it = await line(speed=300.0, window=parse_window("09:40-10:00 America/New_York"), lead_s=300)
    await it.until(lambda: it.said() and it.said()[-1].startswith("stop restart window"))
    stop = (
        it.events[-1]
        if isinstance(it.events[-1], Halt)
        else next(e for e in it.events if isinstance(e, Halt))
    )
    assert CALENDAR.session(stop.ts).open + 4 * MINUTE_NS <= stop.ts
    it.gateway.plant("restart-keep", at="09:46", **{"for": 240})
    await it.until_state("waiting", "TWS restarts, 09:40-10:00 America/New_York; ")
    assert it.state.blind_since is None
    await it.until(lambda: it.said()[-1].startswith("go restart window"))
    assert not any(word.startswith("stop session") for word in it.said())
    await it.until(lambda: it.state.phase == "ready")


async def test_shares_that_somebody_else_bought_are_watched_from_then_on(line):
    it = await line(symbols=("AAPL",))
    it.gateway.plant("manual-order", symbol="MSFT")
    await it.until(lambda: it.gateway.books.quantity("MSFT"))
    await it.link.compare()
    await it.until(lambda: any(isinstance(e, Quote) and e.symbol == "MSFT" for e in it.events))
    it.gateway.plant("drop-rst")
    await it.until_state("lost")
    await it.again()
    since = it.gateway.now()
    await it.until(
        lambda: any(isinstance(e, Quote) and e.symbol == "MSFT" and e.ts > since for e in it.events)
    )


async def test_a_fill_of_an_unknown_share_makes_it_watched(line, make_fill):
    it = await line(symbols=("AAPL",))
    await it.link.record(make_fill("MSFT"), NOTHING)
    await it.until(lambda: any(isinstance(e, Quote) and e.symbol == "MSFT" for e in it.events))


async def test_a_share_that_cannot_be_watched_is_told_once(line, make_fill, capsys):
    it = await line(symbols=("AAPL",))
    for _ in range(3):
        await it.link.record(make_fill("NOSUCHX"), NOTHING)
        await it.link.watch("NOSUCHX")
    assert capsys.readouterr().out.count("held_unpriced") == 1


def test_the_settings_say_when_tws_restarts_and_how_long_before_entries_stop():
    options = link_options(load(ibkr_restart_window="01:00-02:00 UTC", ibkr_restart_lead_s=60), ("AAPL",))
    assert options.beside == ("SPY",)
    compared = link_options(
        load(features_market="", features_sectors="AAPL=XLK,NVDA=XLK,JPM=XLF"), ("NVDA", "AAPL")
    )
    assert compared.beside == ("XLK",)  # nobody trades JPM
    assert link_options(load(market_data_depth="AAPL"), ("AAPL",)).depth == ("AAPL",)
    assert (str(options.window), options.lead_s) == ("01:00-02:00 UTC", 60)


async def test_an_order_tws_is_silent_about_is_asked_for_and_not_sent_again(line, monkeypatch):
    monkeypatch.setattr("robo_trader.bootstrap.upkeep.DOUBT_S", 0.0)
    it = await line(symbols=("AAPL",))
    it.gateway.plant("missing-status")
    it.gateway.plant("missing-open-order", times=1)
    order = Order("s-1.1", "s-1", "AAPL", Side.BUY, 10, OrderType.LIMIT, Decimal(1))
    it.orders.submit(order)
    await it.link.broker.submit(order)
    assert it.orders.state("s-1.1").status is OrderStatus.INTENT

    async def answered() -> bool:
        await it.link.resolve_doubts(it.orders)
        return any(isinstance(e, OrderUpdate) and e.status is OrderStatus.WORKING for e in it.events)

    async with asyncio.timeout(5):
        while not await answered():
            await asyncio.sleep(0.01)
    assert len(it.gateway.orders.working()) == 1


async def test_where_nothing_is_in_doubt_nothing_is_asked(line):
    it = await line(symbols=("AAPL",))
    ib = it.link.connection.ib
    sent = ib.client.conn.numMsgSent
    await it.link.resolve_doubts(it.orders)
    assert ib.client.conn.numMsgSent - sent <= 1  # a heartbeat, perhaps


async def test_between_two_sessions_no_account_is_compared(line):
    it = await line(symbols=("AAPL",))
    it.gateway.plant("client-id-in-use")
    it.gateway.plant("drop-rst")
    await it.until_state("waiting", "client id 1 is already in use")
    accounts = it.said().count("account")
    with pytest.raises(ConnectionLost, match="the session with TWS is lost"):
        await it.link.compare()
    assert it.said().count("account") == accounts
    it.gateway.lift("client-id-in-use")
    await it.again()
