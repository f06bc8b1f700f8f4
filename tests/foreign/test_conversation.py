"""One conversation, four clients: each hears what it should, and all hear the same."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from robo_trader.core.events import SECOND_NS
from robo_trader.core.protocols import Session
from robo_trader.data.sessions import XnysCalendar
from robo_trader.practice.gateway import account_of
from robo_trader.practice.market.contracts import con_id_of
from robo_trader.simulation.tape import SLICE_NS, TapeMarket, slice_session
from tests.practice.conftest import LAST

Document = dict[str, Any]
Converse = Callable[[str], Awaitable[Document]]

# What each client's newest version comes to.
VERSIONS = {"async": 178, "insync": 176, "ibapi": 157, "stoqey": 178}
UNSET = 1.7976931348623157e308
EACH = pytest.mark.parametrize("client", VERSIONS)
pytestmark = pytest.mark.foreign


def course(heard: Document) -> dict[str, list[str]]:
    """Return the statuses of each order; one that takes several levels of the book may work for a moment."""
    takers = ("market", "parent", "sell")
    return {
        name: [status for status in statuses if name not in takers or status != "Submitted"]
        for name, statuses in heard["orders"].items()
    }


def live_session() -> Session:
    (session,) = XnysCalendar().sessions(LAST, LAST)
    return session


def when(text: str) -> float:
    """Read the time of an execution as each client's user gets it; without a zone it is New York's."""
    if "T" in text:
        return datetime.fromisoformat(text).timestamp()
    day, clock, *zone = text.split()
    at = datetime.fromisoformat(f"{day}T{clock}").replace(tzinfo=ZoneInfo([*zone, "America/New_York"][0]))
    return at.timestamp()


def slices(tape: TapeMarket) -> dict[int, tuple[float, ...]]:
    """Return open, high, low, close and volume of the live session's slices by the second each begins."""
    cut = slice_session(tape.minutes("AAPL", live_session()))
    rows = zip(cut.open, cut.high, cut.low, cut.close, cut.volume, strict=True)
    return {int(start) // SECOND_NS: row for start, row in zip(cut.start, rows, strict=True)}


@EACH
async def test_a_client_gets_in_and_hears_the_account_and_the_time(
    client: str, converse: Converse, tape: TapeMarket
) -> None:
    heard = await converse(client)
    assert heard["version"] == VERSIONS[client]
    assert heard["accounts"] == [account_of(tape)]
    # The market stands before the open until somebody listens.
    assert heard["time"] == (live_session().open - SLICE_NS) // SECOND_NS


@EACH
async def test_a_client_finds_a_share_and_is_told_of_one_that_is_not_there(
    client: str, converse: Converse
) -> None:
    heard = await converse(client)
    contract = heard["contract"]
    assert contract["conId"] == con_id_of("AAPL")
    assert (contract["currency"], contract["primaryExchange"], contract["minTick"]) == ("USD", "NASDAQ", 0.01)
    assert ZoneInfo(contract["timeZoneId"])
    today = datetime.fromtimestamp(live_session().open // SECOND_NS, UTC)
    assert contract["tradingHours"].startswith(f"{today:%Y%m%d}:")
    assert contract["longName"]
    assert heard["errors"]["request"] == [200]


@EACH
async def test_a_client_reads_the_account_before_anything_has_traded(client: str, converse: Converse) -> None:
    summary = (await converse(client))["summary"]
    assert summary["AccountType"] == ["INDIVIDUAL", ""]
    assert {tag: (float(value), currency) for tag, (value, currency) in summary.items() if currency} == {
        "NetLiquidation": (100_000, "USD"),
        "TotalCashValue": (100_000, "USD"),
        "BuyingPower": (200_000, "USD"),  # overnight leverage: nothing is open yet
    }


@EACH
async def test_a_client_gets_yesterdays_bars_as_the_tape_has_them(
    client: str, converse: Converse, tape: TapeMarket
) -> None:
    told = (await converse(client))["history"]
    (monday,) = XnysCalendar().before(live_session().label, 1)
    minutes = tape.minutes("AAPL", monday)
    assert told["count"] == len(minutes) == 390
    for row, k in ((told["first"], 0), (told["last"], -1)):
        columns = (minutes.open, minutes.high, minutes.low, minutes.close, minutes.volume)
        assert row[:6] == [minutes.start[k] // SECOND_NS, *(column[k] for column in columns)]
        low, average, high = row[3], row[6], row[2]
        assert low <= average <= high
        assert row[7] > 0


@EACH
async def test_a_client_sees_a_quote(client: str, converse: Converse) -> None:
    heard = await converse(client)
    quote = heard["quote"]
    assert quote["type"] == 1
    assert 0 < quote["ask"] - quote["bid"] < 0.5
    # @stoqey/ib drops the size of a bid that comes with its price, and hears the one that follows.
    assert min(quote["sizes"]) > 0
    assert quote["close"] == heard["history"]["last"][4]


@EACH
async def test_a_client_gets_the_five_second_bars_of_the_tape(
    client: str, converse: Converse, tape: TapeMarket
) -> None:
    first, second = (await converse(client))["bars"]
    assert second[0] - first[0] == 5
    source = slices(tape)
    for start, *figures in (first, second):
        assert tuple(figures[:5]) == source[int(start)]
        assert figures[2] <= figures[5] <= figures[1]


@EACH
async def test_a_client_sees_a_ladder_of_bids_and_asks(client: str, converse: Converse) -> None:
    depth = (await converse(client))["depth"]
    bids, asks = [price for price, _ in depth["bids"]], [price for price, _ in depth["asks"]]
    assert len(bids) == len(asks) == 5
    assert bids == sorted(set(bids), reverse=True)
    assert asks == sorted(set(asks))
    assert bids[0] < asks[0]
    assert all(size > 0 for _, size in depth["bids"] + depth["asks"])


@EACH
async def test_a_clients_orders_go_their_way(client: str, converse: Converse) -> None:
    heard = await converse(client)
    assert course(heard) == {
        "market": ["PreSubmitted", "Filled"],
        "limit": ["PreSubmitted", "Submitted", "Cancelled"],
        "parent": ["PreSubmitted", "Filled"],
        "target": ["PreSubmitted", "Submitted", "Cancelled"],
        "stop": ["PreSubmitted", "Cancelled"],
        "sell": ["PreSubmitted", "Filled"],
    }
    # The legs of a bracket cancel each other.
    assert {name: codes for name, codes in heard["errors"].items() if name != "request"} == {
        "limit": [202],
        "stop": [202],
        "target": [202],
    }
    assert heard["open"] == [["LMT", 101.0, 7, "GTC", "low"]]


@EACH
async def test_a_client_is_told_of_every_fill_and_what_it_cost(
    client: str, converse: Converse, tape: TapeMarket
) -> None:
    heard = await converse(client)
    source = slices(tape)
    for fill in heard["fills"]:
        assert fill["account"] == account_of(tape)
        assert fill["currency"] == "USD"
        _, high, low, *_ = source[int(when(fill["time"])) // 5 * 5]
        assert low - 0.25 <= fill["price"] <= high + 0.25
        # Each client has its own word for none.
        assert (fill.get("realized") in (None, 0, UNSET)) == (fill["side"] == "BOT")
    for name, side, shares in (("market", "BOT", 10), ("parent", "BOT", 10), ("sell", "SLD", 20)):
        parts = [fill for fill in heard["fills"] if fill["order"] == name]
        assert {fill["side"] for fill in parts} == {side}
        assert sum(fill["shares"] for fill in parts) == shares == parts[-1]["cumulative"]
        assert sum(fill["commission"] for fill in parts) >= 1
    assert heard["executions"] == [fill["execId"] for fill in heard["fills"]]


@EACH
async def test_a_client_holds_what_it_bought_and_nothing_once_it_has_sold(
    client: str, converse: Converse
) -> None:
    heard = await converse(client)
    ((symbol, shares, average),) = heard["positions"]
    spent = sum(f["shares"] * f["price"] + f["commission"] for f in heard["fills"] if f["side"] == "BOT")
    assert (symbol, shares) == ("AAPL", 20)
    assert average == pytest.approx(spent / 20)
    assert heard["positions_after"] == []


@EACH
async def test_a_client_reads_back_the_orders_that_have_ended(client: str, converse: Converse) -> None:
    heard = await converse(client)
    assert sorted(heard["completed"]) == [
        ["BUY", "LMT", 7, 0, "Cancelled"],
        ["BUY", "LMT", 10, 10, "Filled"],
        ["BUY", "MKT", 10, 10, "Filled"],
        ["SELL", "LMT", 10, 0, "Cancelled"],
        ["SELL", "MKT", 20, 20, "Filled"],
        ["SELL", "STP", 10, 0, "Cancelled"],
    ]
    # ib_async and ib_insync throw these away.
    for at, how in heard.get("endings", []):
        assert live_session().open <= when(at) * SECOND_NS < live_session().close
        assert how


def timeless(heard: Document) -> Document:
    """Return what must not depend on how fast a client was."""
    kept = ("accounts", "time", "contract", "summary", "history", "errors", "open", "positions_after")
    same = {key: heard[key] for key in kept}
    same["close"], same["type"] = heard["quote"]["close"], heard["quote"]["type"]
    same["orders"], same["completed"] = course(heard), sorted(heard["completed"])
    sums: dict[tuple[str, str, str], list[float]] = {}
    for fill in heard["fills"]:
        total = sums.setdefault((fill["order"], fill["side"], fill["currency"]), [0, 0])
        total[0] += fill["shares"]
        total[1] = round(total[1] + fill["commission"], 6) if fill["side"] == "BOT" else 0
    return same | {"fills": sums}


@pytest.mark.parametrize("client", [client for client in VERSIONS if client != "async"])
async def test_a_foreign_client_hears_exactly_what_ib_async_hears(client: str, converse: Converse) -> None:
    theirs = timeless(await converse(client))
    assert theirs == timeless(await converse("async"))
