"""Bad input and every way to end: a clear error, its exit code, nothing lost, and never longer than five seconds."""

from __future__ import annotations

import asyncio
import json
import signal
import socket
import sqlite3
import time
from collections.abc import Callable
from contextlib import closing

import pytest

from robo_trader.practice.gateway import PracticeGateway
from robo_trader.simulation.flow import FlowOptions
from robo_trader.simulation.market import SyntheticMarket
from tests.daemon.conftest import PATIENCE_S, Desk
from tests.mail_server import Hook, serving

pytestmark = pytest.mark.daemon


async def ended(run, seconds: float = 5.0) -> int:
    began = time.monotonic()
    code = await run.end()
    assert time.monotonic() - began < seconds, run.text
    return code


async def mute(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """A TWS that listens and never says a word."""
    await reader.read()
    writer.close()


async def test_an_unknown_symbol_names_itself(desk: Desk):
    _, port = await desk.gateway()
    run = await desk.daemon(port, symbols="AAPL,NOSUCHX")
    assert await run.end() == 2
    assert "NOSUCHX" in run.text
    assert "Traceback" not in run.text


@pytest.mark.parametrize(
    ("words", "settings", "code", "said"),
    [
        ((), {"risk_max_positon_fraction": 0.1}, 2, "did you mean RISK_MAX_POSITION_FRACTION?"),
        ((), {"risk_per_trade": "much"}, 2, "RISK_PER_TRADE"),
        (("--bar-size", "7 mins"), {}, 2, "choose one of"),
        (("--run-for", "soon"), {}, 2, "expected a time"),
        (("--use-ml", "--bar-size", "30 mins"), {}, 2, "use bars of 1 or 5 minutes"),
        (("--mode", "live"), {}, 2, "practice account"),
        (("--mode", "wrong"), {}, 2, "EXECUTION_MODE"),
    ],
)
async def test_wrong_settings_and_flags_are_refused_with_a_hint(
    desk: Desk, words, settings, code: int, said: str
):
    _, port = await desk.gateway()
    run = await desk.daemon(port, *words, **settings)
    assert await run.end() == code, run.text
    assert said in run.text
    assert "Traceback" not in run.text


async def test_a_database_that_is_none_is_left_as_it_is(desk: Desk):
    gateway, port = await desk.gateway()
    path = desk.home / "data" / f"practice-{gateway.account}.db"
    path.parent.mkdir()
    path.write_bytes(b"these are my notes, not a database" * 100)
    run = await desk.daemon(port)
    assert await run.end() == 5, run.text
    assert path.name in run.text
    assert path.read_bytes().startswith(b"these are my notes")


async def test_the_books_of_another_account_are_refused(desk: Desk):
    _, port = await desk.gateway()
    first = await desk.daemon(port, "--once")
    assert await first.end() == 0, first.text
    _, other = await desk.gateway(SyntheticMarket(8))
    run = await desk.daemon(other, "--db", str(desk.database()))
    assert await run.end() == 5
    assert "name another --db" in run.text


async def test_a_port_that_is_taken_is_named(desk: Desk):
    _, port = await desk.gateway()
    with closing(socket.create_server(("127.0.0.1", 0))) as taken:
        run = await desk.command(
            "run", "--symbols", "NVDA", ibkr_port=port, dashboard_port=taken.getsockname()[1], hub_port=1
        )
        assert await run.end() == 2
    assert "is taken" in run.text
    assert "DASHBOARD_PORT" in run.text


async def test_a_second_daemon_is_told_who_trades_the_account(desk: Desk):
    _, port = await desk.gateway()
    first = await desk.daemon(port)
    await first.until("ready")
    same = await desk.daemon(port)
    assert await same.end() == 6
    assert str(first.process.pid) in same.text
    other_client = await desk.daemon(port, ibkr_client_id=8)
    assert await other_client.end() == 6
    assert str(first.process.pid) in other_client.text
    elsewhere = await desk.daemon(port, ibkr_client_id=9, robo_data_dir="elsewhere", ibkr_host="localhost")
    assert await elsewhere.end() == 6
    assert not list(desk.home.glob("elsewhere/*.db"))
    first.signal(signal.SIGTERM)
    assert await ended(first) == 0


async def test_where_a_tws_was_named_nothing_stands_in_for_it(desk: Desk):
    with closing(socket.create_server(("127.0.0.1", 0))) as free:
        port = free.getsockname()[1]
    run = await desk.daemon(port, ibkr_give_up_s=0.5)
    assert await run.end() == 3
    assert "nothing listens" in run.text
    assert "gave up after 0.5 s" in run.text


async def test_a_tws_that_never_answers_is_given_up(desk: Desk):
    async with await asyncio.start_server(mute, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        run = await desk.daemon(port, ibkr_give_up_s=0, ibkr_connect_timeout_s=0.5)
        assert await run.end() == 3
        assert "did not finish the handshake" in run.text


STREAMING = "state=ready"


def drop(gateway: PracticeGateway) -> None:
    gateway.plant("drop-rst")


def refuse(gateway: PracticeGateway) -> None:
    gateway.plant("refuse-connections")
    gateway.plant("drop-rst")


def silence(gateway: PracticeGateway) -> None:
    gateway.plant("stale")
    gateway.plant("drop-rst")


@pytest.mark.parametrize(
    ("fault", "parameters", "state"),
    [
        ("mute-handshake", {}, "state=connecting"),
        ("no-accounts", {}, "state=connecting"),
        ("withhold-end", {"of": "positions"}, "state=connecting"),
        ("client-id-in-use", {}, "state=waiting"),
        ("refuse-connections", {}, "state=waiting"),
        ("history-timeout", {}, "state=synchronising"),
    ],
)
async def test_sigterm_before_there_is_a_session_ends_it(
    desk: Desk, fault: str, parameters: dict, state: str
):
    gateway, port = await desk.gateway()
    gateway.plant(fault, **parameters)
    run = await desk.daemon(port, ibkr_connect_timeout_s=60)
    await run.until(state)
    run.signal(signal.SIGTERM)
    assert await ended(run) == 0, run.text
    assert "ended as asked" in (desk.home / "data" / "last_exit.txt").read_text()


@pytest.mark.parametrize(
    ("happens", "state"),
    [
        (lambda gateway: None, STREAMING),
        (lambda gateway: gateway.plant("bars-busted"), "state=degraded"),
        (lambda gateway: gateway.plant("freeze"), STREAMING),
        (drop, "state=lost"),
        (refuse, "state=waiting"),
        (silence, "state=synchronising"),
    ],
    ids=["ready", "degraded", "frozen", "lost", "waiting", "synchronising"],
)
async def test_sigterm_while_trading_ends_it_from_every_state_of_the_link(
    desk: Desk, happens: Callable[[PracticeGateway], None], state: str
):
    gateway, port = await desk.gateway(flow=FlowOptions(depth=0.00001))
    run = await desk.daemon(port)
    await run.until("status=partial")
    times = run.text.count(state)
    happens(gateway)
    await run.until(state, times=times + 1 if state != STREAMING else 1)
    run.signal(signal.SIGTERM)
    assert await ended(run) == 0, run.text
    assert desk.rows("SELECT outcome FROM sessions") == [("stopped",)]
    assert "Traceback" not in run.text


async def test_the_user_is_told_of_a_tws_that_is_lost_and_when_it_is_back(desk: Desk):
    gateway, port = await desk.gateway()
    with serving(Hook()) as hook:
        run = await desk.daemon(port, alert_webhook_url=hook.url, alert_blind_s=0.3, ibkr_restart_window="")
        await run.until(STREAMING)
        gateway.plant("refuse-connections")
        gateway.plant("drop-rst")
        begun = await asyncio.to_thread(hook.wait, 20)
        assert (begun["key"], begun["severity"]) == ("blind", "critical")
        assert f"RoboTrader {gateway.account}: not trading" in begun["text"]
        gateway.lift("refuse-connections")
        over = await asyncio.to_thread(hook.wait, 20)
        assert "over after" in over["text"]
        run.signal(signal.SIGTERM)
        assert await ended(run) == 0
    assert "secret" not in run.text


async def test_the_user_is_told_of_a_tws_that_never_was_there_and_of_the_end(desk: Desk):
    with closing(socket.create_server(("127.0.0.1", 0))) as free:
        port = free.getsockname()[1]
    with serving(Hook()) as hook:
        run = await desk.daemon(port, ibkr_give_up_s=2.5, alert_webhook_url=hook.url, alert_blind_s=0.5)
        assert (await asyncio.to_thread(hook.wait, 20))["key"] == "blind"
        end = await asyncio.to_thread(hook.wait, 20)
        assert end["key"] == "ended"
        assert "BrokerUnreachable: nothing listens" in end["text"]
        assert await run.end() == 3


async def test_a_dead_webhook_delays_no_end(desk: Desk):
    _, port = await desk.gateway()
    async with await asyncio.start_server(mute, "127.0.0.1", 0) as server:
        url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/"
        run = await desk.daemon(port, alert_webhook_url=url)
        await run.until("ready")
        run.signal(signal.SIGUSR1)
        await run.until("alert")
        run.signal(signal.SIGTERM)
        assert await ended(run) == 0, run.text


async def test_a_kill_file_halts_a_running_desk_and_one_that_starts(desk: Desk):
    _, port = await desk.gateway()
    run = await desk.daemon(port)
    await run.until(" bar ")
    (desk.home / "data" / "KILL").write_text("the news is bad")
    await run.until("halted by KILL file")
    assert "the news is bad" in run.text
    run.signal(signal.SIGTERM)
    assert await ended(run) == 0
    (desk.home / "data" / "KILL").write_text("still bad")
    again = await desk.daemon(port)
    await again.until("still bad")
    await again.until(" bar ", times=3)
    assert "decision   BUY" not in again.text
    again.signal(signal.SIGTERM)
    assert await ended(again) == 0


async def test_the_link_and_the_loop_are_in_the_books_for_whoever_looks(desk: Desk):
    _, port = await desk.gateway()
    run = await desk.daemon(port)
    await run.until(" bar ", times=3)
    async with asyncio.timeout(PATIENCE_S):
        while len(rows := dict(desk.rows("SELECT name, state FROM jobs"))) < 3:
            await asyncio.sleep(0.05)
    assert rows.keys() == {"desk", "link", "loop"}
    ((detail,),) = desk.rows("SELECT detail FROM jobs WHERE name = 'loop'")
    assert json.loads(detail).keys() >= {"blocks", "max_ms", "rss_mb", "open_files"}
    run.signal(signal.SIGTERM)
    assert await ended(run) == 0


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
async def test_a_signal_while_trading_cancels_what_works_and_ends_it(desk: Desk, number: int):
    _, port = await desk.gateway()
    run = await desk.daemon(port, execution_algorithm="twap", execution_twap_duration_s=300)
    await run.until("status=working")
    run.signal(number)
    assert await ended(run) == 0, run.text
    assert desk.rows("SELECT outcome FROM sessions") == [("stopped",)]
    left = desk.rows("SELECT type FROM orders WHERE status IN ('intent', 'working', 'partial')")
    assert {kind for (kind,) in left} <= {"STP"}


async def test_a_bar_of_nan_is_dropped_told_and_never_traded_on(desk: Desk):
    gateway, port = await desk.gateway()
    gateway.plant("nan-bars", after=30, times=1, on="50")  # in the third minute
    run = await desk.daemon(port, symbols="NVDA")
    await run.until(" bar ", times=8)
    run.signal(signal.SIGTERM)
    assert await ended(run) == 0
    assert "state=rejected" in run.text, run.text
    with closing(sqlite3.connect(desk.database())) as connection:
        assert connection.execute(
            "SELECT count(*) FROM bars WHERE close IS NULL OR close != close"
        ).fetchone() == (0,)


async def test_status_tells_a_living_daemon_from_a_dead_one(desk: Desk):
    _, port = await desk.gateway()
    run = await desk.daemon(port)
    await run.until("ready")
    await run.until(" bar ")
    while not desk.rows("SELECT 1 FROM jobs WHERE name = 'desk'"):  # a heartbeat
        await asyncio.sleep(0.05)
    alive = await desk.command("status")
    assert await alive.end() == 0, alive.text
    assert "alive" in alive.text
    run.signal(signal.SIGKILL)
    await run.end()
    dead = await desk.command("status", "--json")
    assert await dead.end() == 1
    assert '"alive": false' in dead.text


async def test_the_database_is_copied_while_the_daemon_writes(desk: Desk):
    _, port = await desk.gateway()
    run = await desk.daemon(port)
    await run.until(" bar ")
    copied = await desk.command("db", "backup", "copy.db")
    assert await copied.end() == 0, copied.text
    with closing(sqlite3.connect(desk.home / "copy.db")) as connection:
        assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)
    run.signal(signal.SIGTERM)
    await run.end()


async def test_a_live_account_is_refused_in_paper_mode_before_an_order_can_be_made(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr("robo_trader.practice.gateway.account_of", lambda source: "U1234567")
    gateway, port = await desk.gateway()
    run = await desk.daemon(port)
    assert await run.end() == 2, run.text
    assert "U1234567 is a live account, the mode is paper" in run.text
    assert not gateway._orders.executed()
