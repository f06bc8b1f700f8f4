"""The drills with faults: what they plan, what they call wrong, and some faults on a real daemon from end to end."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from decimal import Decimal
from pathlib import Path

import msgspec
import pytest

from robo_trader.core.errors import ConfigurationError
from robo_trader.core.events import MINUTE_NS, Side
from robo_trader.data.sessions import XnysCalendar
from robo_trader.drills import faults, soak
from robo_trader.drills.days import Day, Pulse
from robo_trader.drills.expectations import BOOKS, EXPECTATIONS
from robo_trader.drills.faults import PAIRS, Wish, plan
from robo_trader.drills.ledger import (
    BOOKS_DIFFER,
    EXITS_FLIPPED,
    FILLS_LOST,
    STOPS_MISSING,
    Books,
    BrokerFill,
    Finding,
    OurFill,
    Truth,
    compare,
)
from robo_trader.drills.night import bars_wrong
from robo_trader.drills.round import Round, pieced
from robo_trader.drills.stage import StageOptions
from robo_trader.drills.verdict import BY_NAME, DIED, NOT_RESUMED, NOT_TOLD, Planned, Seen, wrongs
from robo_trader.practice.faults.catalogue import CATALOGUE, make
from robo_trader.practice.market.exchange import Exchange
from robo_trader.simulation.market import SyntheticMarket
from robo_trader.storage.schema import migrate


def seen(*names: str, **changes: object) -> Seen:
    """A round of these faults in which all went well, but for what is changed."""
    told = [BY_NAME[name].tells for name in names if BY_NAME[name].tells]
    well = Seen(Planned(1, names, 7), told_s=12.0 if told else None, resumed_s=1.0)
    return msgspec.structs.replace(well, **changes)


def counted(one: Seen) -> list[str]:
    return [finding.counter for finding in wrongs(one, faults.expected(one))]


# ---------------------------------------------------------------------------------------------------- the plan


def test_every_fault_of_the_catalogue_has_an_expectation_and_each_its_own_name():
    assert {e.fault for e in EXPECTATIONS} == set(CATALOGUE)
    assert len(BY_NAME) == len(EXPECTATIONS)


def test_every_expectation_can_be_planted():
    for e in EXPECTATIONS:
        needs = {"symbol": "AAPL"} if CATALOGUE[e.fault].needs_symbol else {}
        make(e.fault, {**e.given, **e.seconds, **needs})
        if e.provoked_by:
            make(e.provoked_by, {})


def test_the_same_seed_plans_the_same_rounds_and_another_seed_others():
    wish = Wish(rounds=2, pairs=50, seed=3)
    assert plan(wish) == plan(wish)
    assert plan(wish) != plan(Wish(rounds=2, pairs=50, seed=4))
    assert len(plan(wish)) == 2 * len(EXPECTATIONS) + 50


def test_a_pair_is_of_two_different_faults():
    pairs = [one.faults for one in plan(Wish(rounds=0, pairs=300))]
    assert all(BY_NAME[a].fault != BY_NAME[b].fault for a, b in pairs)


def test_only_plays_all_variants_of_a_fault_or_the_one_that_is_named():
    assert [one.name for one in plan(Wish(only="bad-body on=11"))] == ["bad-body on=11"]
    assert len(plan(Wish(only="bad-body"))) == 5


def test_an_unknown_fault_is_refused_with_the_nearest_name():
    with pytest.raises(ConfigurationError, match="did you mean 'freeze'"):
        plan(Wish(only="freze"))


# ------------------------------------------------------------------------------------------------- the verdict


def test_a_round_in_which_all_went_well_has_nothing_wrong():
    for name in BY_NAME:
        assert counted(seen(name)) == []


def test_every_counter_of_the_ledger_counts():
    lost = Finding(FILLS_LOST, "x", "an execution is missing")
    assert counted(seen("drop-fin", findings=(lost,))) == [FILLS_LOST]


def test_a_daemon_that_ended_by_itself_or_badly_has_died():
    assert counted(seen("drop-fin", ended_early=True)) == [DIED]
    assert counted(seen("drop-fin", exit_code=1)) == [DIED]
    assert counted(seen("drop-fin", exit_code=None)) == [DIED]


def test_a_user_who_is_not_told_within_a_minute_is_counted():
    assert counted(seen("freeze", told_s=None)) == [NOT_TOLD]
    assert counted(seen("freeze", told_s=60.1)) == [NOT_TOLD]
    assert counted(seen("freeze", told_s=59.9)) == []
    assert counted(seen("position-change", told_s=None)) == [NOT_TOLD]


def test_what_passes_by_itself_need_not_be_told():
    assert counted(seen("drop-fin", told_s=None)) == []


def test_of_two_faults_only_what_stays_wrong_must_be_told():
    assert counted(seen("freeze", "stale", told_s=None)) == []
    assert counted(seen("freeze", "position-change", told_s=None)) == [NOT_TOLD]


def test_trading_that_does_not_come_back_in_time_is_counted():
    assert counted(seen("drop-fin", resumed_s=None)) == [NOT_RESUMED]
    assert counted(seen("drop-fin", resumed_s=BY_NAME["drop-fin"].within_s + 1)) == [NOT_RESUMED]


def test_books_that_agree_after_a_person_adopted_them_are_no_sum_of_fills_and_not_wrong():
    agreed, differs = Finding(BOOKS_DIFFER, "AAPL 0 0 100", ""), Finding(BOOKS_DIFFER, "AAPL 100 0 0", "")
    assert counted(seen("position-change", findings=(agreed,))) == []
    assert counted(seen("position-change", findings=(differs,))) == [BOOKS_DIFFER]
    assert counted(seen("drop-fin", findings=(agreed,))) == [BOOKS_DIFFER]


def test_cash_and_stops_are_never_forgiven():
    cash, stop = Finding(BOOKS_DIFFER, "cash 12.50", ""), Finding(STOPS_MISSING, "AAPL 10 0", "")
    assert counted(seen("restart-lose", findings=(cash, stop))) == [BOOKS_DIFFER, STOPS_MISSING]


def test_only_a_fault_that_moves_shares_may_turn_an_exit_round():
    turned = Finding(EXITS_FLIPPED, "x", "")
    assert counted(seen("bust", findings=(turned,))) == []
    assert counted(seen("cancel-fill-race", findings=(turned,))) == [EXITS_FLIPPED]


def test_what_stays_wrong_is_put_right_by_a_person_and_what_stops_trading_is_not():
    assert {e.fault for e in EXPECTATIONS if e.stays == BOOKS} == {"position-change", "restart-lose"}
    assert not any(e.stops and e.stays for e in EXPECTATIONS)


# ------------------------------------------------------------------------------- executions told in several pieces


def told_in_pieces(*sizes: int) -> tuple[Truth, Books]:
    done = BrokerFill("a.b.01", 1, "AAPL", Side.BUY, 30, Decimal(10), Decimal(1))
    ours = [
        OurFill(f"a.b{n:02d}.01", "AAPL", Side.BUY, size, Decimal(10), Decimal("0.5"))
        for n, size in enumerate(sizes, 1)
    ]
    return Truth({}, (done,), {"AAPL": 30}, Decimal(0)), Books(
        fills=tuple(ours), positions={"AAPL": (30, 30)}
    )


def test_the_pieces_of_an_execution_that_add_up_are_that_execution():
    truth, books = told_in_pieces(10, 20)
    assert not [f for f in compare(pieced(truth, books), books) if f.counter != STOPS_MISSING]


def test_pieces_that_do_not_add_up_are_an_execution_lost():
    truth, books = told_in_pieces(10, 10)
    assert FILLS_LOST in {f.counter for f in compare(pieced(truth, books), books)}


# ------------------------------------------------------------------------------------------------ what is printed


def test_the_table_has_a_row_for_each_fault_one_for_all_pairs_and_only_counters_that_were_hit():
    rounds = [seen("freeze"), seen("drop-fin", resumed_s=None), seen("freeze", "stale"), seen("halt", "bust")]
    table = faults.table(rounds)
    assert "| freeze | 1 | 1 | 12.0 | 1.0 | 0 | 0 |" in table
    assert "| drop-fin | 1 | 1 |  |  | 1 | 1 |" in table
    assert f"| {PAIRS} | 2 | 2 |" in table
    assert NOT_RESUMED in table.splitlines()[0]
    assert NOT_TOLD in table.splitlines()[-1]


def test_the_json_has_every_counter_and_each_round_with_its_seed():
    told = msgspec.json.decode(faults.as_json([seen("freeze", told_s=None)], Wish(seed=9)))
    assert {"rounds", "sent_twice", "fills_lost", "fills_doubled", "stops_missing", "books_differ"} <= set(
        told
    )
    assert (told["seed"], told["rounds"], told[NOT_TOLD]) == (9, 1, 1)
    assert told["seen"][0]["findings"][0]["counter"] == NOT_TOLD


# ----------------------------------------------------------------------------------------------------- the soak


def lived(days: int, mb: float = 0.0, files: int = 0, **pulse: float) -> list[Day]:
    return [
        Day("2026-01-05", (), 10, 1.0, 200 + n * mb, 20 + n * files, Pulse(**pulse), ()) for n in range(days)
    ]


def test_memory_or_files_that_grow_from_day_to_day_are_counted():
    assert [f.key for f in soak.flat(lived(30, mb=5))] == ["memory"]
    assert [f.key for f in soak.flat(lived(30, files=1))] == ["files"]
    assert soak.flat(lived(30, mb=0.3)) == []


def test_blocks_of_the_loop_count_where_the_machine_was_not_busy_elsewhere():
    assert [f.key for f in soak.blocked(lived(1, blocks=3, starved=1, max_ms=140.0))] == ["loop"]
    assert soak.blocked(lived(1, blocks=3, starved=3, max_ms=140.0)) == []


def test_the_soak_prints_a_line_for_each_day():
    table = soak.table(lived(3), [])
    assert table.count("2026-01-05") == 3
    assert "nothing wrong" in table


# ----------------------------------------------------------------------------------------------------- its bars


@pytest.fixture
def stored(tmp_path: Path) -> tuple[Path, Exchange]:
    """A database with one session's bars as the market had them."""
    path, exchange = tmp_path / "bars.db", Exchange(SyntheticMarket(1), XnysCalendar(), None)
    minutes = exchange.minutes("AAPL", exchange.session)
    with closing(sqlite3.connect(path)) as connection:
        migrate(connection)
        rows = zip(minutes.start.tolist(), minutes.close.tolist(), minutes.volume.tolist(), strict=True)
        connection.executemany(
            "INSERT INTO bars VALUES ('AAPL', ?, ?, ?, ?, ?, ?, ?, 0, NULL)",
            [
                (MINUTE_NS, start + MINUTE_NS, close, close, close, close, volume)
                for start, close, volume in rows
            ],
        )
        connection.commit()
    return path, exchange


def test_bars_as_the_market_had_them_are_right(stored: tuple[Path, Exchange]):
    path, exchange = stored
    assert bars_wrong(path, exchange, exchange.session, ("AAPL",)) == []


@pytest.mark.parametrize(
    "damage",
    ["DELETE FROM bars WHERE ts = (SELECT max(ts) FROM bars)", "UPDATE bars SET volume = volume * 2"],
)
def test_a_hole_in_the_bars_or_a_volume_counted_twice_is_found(stored: tuple[Path, Exchange], damage: str):
    path, exchange = stored
    with closing(sqlite3.connect(path)) as connection:
        connection.execute(damage)
        connection.commit()
    assert bars_wrong(path, exchange, exchange.session, ("AAPL",))


# -------------------------------------------------------------------------------------------------- end to end


@pytest.mark.daemon
@pytest.mark.parametrize("name", ["accept-then-drop", "correction", "bad-body on=11"])
async def test_a_fault_on_a_trading_daemon_loses_nothing_and_trading_goes_on(name: str, tmp_path: Path):
    one = await Round(Planned(1, (name,), 7), tmp_path, StageOptions()).play()
    assert [f"{f.counter}: {f.what}" for f in wrongs(one, faults.expected(one))] == []
    assert not list(tmp_path.iterdir())
