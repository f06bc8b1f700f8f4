"""Through the running daemon: bars to fills, books equal the broker's, every gate seen to refuse, replay the same."""

from __future__ import annotations

import itertools
import json
import signal
import sqlite3
from decimal import Decimal

import pytest

from tests.daemon.conftest import Desk, account_at

pytestmark = pytest.mark.daemon

IDENTITY = "SELECT count(*) FROM equity WHERE round(cash + value - start - realised - unrealised, 6) != 0"


def count(desk: Desk, table: str) -> int:
    return desk.rows(f"SELECT count(*) FROM {table}")[0][0]


async def test_bars_become_features_signals_orders_fills_and_equity_and_the_books_equal_the_brokers(
    desk: Desk,
):
    _, port = await desk.gateway()
    run = await desk.daemon(port)
    await run.until("SELL")
    run.signal(signal.SIGTERM)
    assert await run.end() == 0, run.text
    for table in (
        "sessions",
        "journal",
        "bars",
        "ticks",
        "features",
        "signals",
        "decisions",
        "orders",
        "fills",
        "equity",
    ):
        assert count(desk, table) > 0, table
    theirs = await account_at(port)
    (cash,) = desk.rows("SELECT cash FROM equity ORDER BY id DESC LIMIT 1")[0]
    assert Decimal(cash) == theirs.cash
    assert dict(desk.rows("SELECT symbol, quantity FROM positions WHERE quantity != 0")) == theirs.positions
    assert dict(desk.rows("SELECT exec_id, quantity FROM fills")) == theirs.executions
    assert desk.rows("SELECT count(*) FROM fills WHERE commission IS NULL") == [(0,)]
    assert desk.rows(IDENTITY) == [(0,)]
    assert all(why for (why,) in desk.rows("SELECT reason FROM signals"))
    replayed = await desk.command("replay")
    assert await replayed.end() == 0
    assert "PASS" in replayed.text


async def test_replay_names_the_first_step_that_differs(desk: Desk):
    _, port = await desk.gateway()
    run = await desk.daemon(port, "--once")
    assert await run.end() == 0, run.text
    with sqlite3.connect(desk.database()) as connection:
        (seq,) = connection.execute("SELECT max(seq) FROM journal WHERE step LIKE '%FeatureRow%'").fetchone()
        connection.execute(
            "UPDATE journal SET step = replace(step, 'FeatureRow', 'featureRow') WHERE seq = ?", (seq,)
        )
    connection.close()
    replayed = await desk.command("replay")
    assert await replayed.end() == 7
    assert f"differs first at event {seq}" in replayed.text


@pytest.mark.parametrize(
    ("gate", "settings"),
    [
        ("order_notional", {"risk_max_order_notional_usd": 100}),
        ("position_size", {"risk_max_position_fraction": 0.001}),
        ("portfolio_heat", {"risk_max_heat_fraction": 1e-9}),
        ("daily_loss", {"risk_max_daily_loss_fraction": 0}),
        # A slice on a timer meets a price from before its time.
        ("price_age", {"risk_max_price_age_s": 1e-9, "execution_algorithm": "twap"}),
    ],
)
async def test_each_gate_refuses_with_its_number_and_its_limit(
    desk: Desk, gate: str, settings: dict[str, float]
):
    _, port = await desk.gateway()
    run = await desk.daemon(port, **settings)
    await run.until(f"gate={gate}")
    run.signal(signal.SIGTERM)
    assert await run.end() == 0, run.text
    ((value, limit),) = desk.rows(f"SELECT value, \"limit\" FROM violations WHERE gate = '{gate}' LIMIT 1")
    assert value >= limit
    assert count(desk, "fills") == 0 or gate == "price_age"
    assert count(desk, "decisions") > 0


async def test_a_halted_desk_refuses_until_it_is_resumed_also_after_a_restart(desk: Desk):
    _, port = await desk.gateway()
    run = await desk.daemon(port)
    await run.until("ready")
    run.signal(signal.SIGUSR1)
    await run.until("gate=halted")
    run.signal(signal.SIGTERM)
    assert await run.end() == 0, run.text
    again = await desk.daemon(port)
    await again.until("gate=halted")
    again.signal(signal.SIGTERM)
    assert await again.end() == 0
    assert count(desk, "orders") == 0
    resumed = await desk.daemon(port, "--resume", "looked into it")
    await resumed.until("status=filled")
    resumed.signal(signal.SIGTERM)
    assert await resumed.end() == 0


async def test_atr_sizing_gives_the_steps_of_its_size(desk: Desk):
    _, port = await desk.gateway()
    run = await desk.daemon(port, risk_target_fraction=1, risk_per_trade=0.0005)
    await run.until("status=filled")
    run.signal(signal.SIGTERM)
    await run.end()
    quantity, steps = desk.rows("SELECT quantity, steps FROM decisions WHERE side = 'BUY' LIMIT 1")[0]
    step = json.loads(steps)
    assert quantity == int(step["equity_usd"] * 0.0005 / (step["atr_usd"] * 3))


async def test_twap_sends_its_slices_over_market_time(desk: Desk):
    _, port = await desk.gateway()
    run = await desk.daemon(port, symbols="NVDA", execution_algorithm="twap", execution_twap_duration_s=60)
    await run.until("-1.5 status=filled")
    run.signal(signal.SIGTERM)
    assert await run.end() == 0, run.text
    slices = desk.rows("SELECT quantity, created FROM orders WHERE parent_id LIKE '%-1' ORDER BY id")
    ((wanted,),) = desk.rows("SELECT quantity FROM decisions WHERE order_id LIKE '%-1'")
    assert sum(quantity for quantity, _ in slices) == wanted
    times = [created for _, created in slices]
    assert 40e9 <= times[-1] - times[0] <= 80e9
    assert times == sorted(set(times))


async def test_a_daemon_killed_without_warning_comes_back_to_the_brokers_books_and_sends_nothing_twice(
    desk: Desk,
):
    # The market waits for the daemon: on a slow machine a night would pass, and brokers tell no trades of yesterday.
    gateway, port = await desk.gateway(speed=0)
    await gateway.advance(60)  # to the open
    sent: set[str] = set()
    for _ in range(3):
        run = await desk.daemon(port, execution_algorithm="twap", execution_twap_duration_s=120)
        await run.until("state=live")
        assert "status=working" not in run.text
        while "status=working" not in run.text:
            await desk.minute(gateway, run)
            assert run.process.returncode is None, run.text
        run.signal(signal.SIGKILL)
        await run.end()
        ids = {order for (order,) in desk.rows("SELECT id FROM orders")}
        assert sent < ids
        sent = ids
    run = await desk.daemon(port, "--once")
    await run.until("state=live")
    while run.process.returncode is None:
        await desk.minute(gateway, run)
    assert await run.end() == 0, run.text
    theirs = await account_at(port)
    assert dict(desk.rows("SELECT exec_id, quantity FROM fills")) == theirs.executions
    assert dict(desk.rows("SELECT symbol, quantity FROM positions WHERE quantity != 0")) == theirs.positions
    assert Decimal(desk.rows("SELECT cash FROM equity ORDER BY id DESC LIMIT 1")[0][0]) == theirs.cash
    assert desk.rows(
        "SELECT count(*) FROM orders WHERE type != 'STP' AND status IN ('intent', 'working', 'partial', 'unknown')"
    ) == [(0,)]


@pytest.mark.parametrize(
    ("flags", "interval_s"),
    [(("--bar-size", "5 mins", "--interval", "300"), 300), (("--interval", "300"), 60)],
)
async def test_decisions_come_at_the_interval_asked_for_whatever_the_bars(desk: Desk, flags, interval_s: int):
    _, port = await desk.gateway(speed=2400)
    run = await desk.daemon(port, *flags)
    await run.until("fill ")
    run.signal(signal.SIGTERM)
    assert await run.end() == 0, run.text
    assert desk.rows("SELECT DISTINCT interval_ns / 1000000000 FROM bars") == [(interval_s,)]
    assert desk.rows("SELECT count(*) FROM signals WHERE ts % 300000000000 != 0") == [(0,)]
    replayed = await desk.command("replay")
    assert await replayed.end() == 0, replayed.text


async def test_what_is_held_is_watched_and_priced_though_another_symbol_is_traded(desk: Desk):
    _, port = await desk.gateway()
    first = await desk.daemon(port, symbols="NVDA")
    await first.until("fill ")
    first.signal(signal.SIGTERM)
    assert await first.end() == 0, first.text
    run = await desk.daemon(port, symbols="AAPL")
    await run.until("held, not traded")
    await run.until("fill ")
    await run.until(" bar ", times=8)
    run.signal(signal.SIGTERM)
    assert await run.end() == 0, run.text
    ((session,),) = desk.rows("SELECT id FROM sessions ORDER BY rowid DESC LIMIT 1")
    assert desk.rows(f"SELECT DISTINCT symbol FROM orders WHERE session_id = '{session}'") == [("AAPL",)]
    assert desk.rows(f"SELECT count(*) > 5 FROM equity WHERE session_id = '{session}'") == [(1,)]
    replayed = await desk.command("replay")
    assert await replayed.end() == 0, replayed.text


async def test_a_dry_run_fills_on_live_quotes_and_leaves_the_account_alone(desk: Desk):
    _, port = await desk.gateway()
    run = await desk.daemon(port, "--mode", "dry-run")
    await run.until("fill ")
    run.signal(signal.SIGTERM)
    assert await run.end() == 0, run.text
    assert count(desk, "fills") > 0
    assert (await account_at(port)).executions == {}
    replayed = await desk.command("replay")
    assert await replayed.end() == 0, replayed.text


async def test_a_lost_session_is_told_restored_and_its_gap_filled(desk: Desk):
    gateway, port = await desk.gateway(speed=2400)
    run = await desk.daemon(port, symbols="NVDA", features_market="", features_sessions=1)
    await run.until(" bar ")
    for client in list(gateway._sockets):
        client.abort()
    await run.until("state=lost")
    await run.until("state=ready", times=2)
    await run.until(" bar ", times=run.text.count(" bar ") + 20)
    assert "state=gap" in run.text
    run.signal(signal.SIGTERM)
    assert await run.end() == 0, run.text
    live = desk.rows(
        "SELECT ts FROM bars WHERE symbol = 'NVDA' AND ts > (SELECT min(ts) FROM equity) ORDER BY ts"
    )
    times = [ts for (ts,) in live]
    assert len(times) > 20
    assert {later - earlier for earlier, later in itertools.pairwise(times)} == {60_000_000_000}
