"""What there is to trade, asked with the real client."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import UTC, date, datetime
from pathlib import Path

import pytest
from ib_async import IB, Contract, Stock

from robo_trader.data.sessions import XnysCalendar
from robo_trader.practice.gateway import PracticeOptions
from robo_trader.practice.market.contracts import con_id_of, details_fields
from robo_trader.practice.market.listings import WELL_KNOWN, american, check_digit, drawn_isin
from robo_trader.simulation.market import SyntheticMarket
from robo_trader.simulation.tape import TapeMarket
from tests.practice.conftest import Desk, desk_of


@pytest.fixture
async def synthetic() -> AsyncIterator[Desk]:
    """A market of any symbol, the day before Thanksgiving."""
    async with desk_of(PracticeOptions(speed=0, start="2026-11-25"), SyntheticMarket(1)) as desk:
        yield desk


def refusals(ib: IB) -> list[tuple[int, str]]:
    heard: list[tuple[int, str]] = []
    ib.errorEvent += lambda _about, code, text, *_: heard.append((code, text))
    return heard


def test_every_isin_has_its_check_digit() -> None:
    assert {
        check_digit(american(symbol).isin[:11]) == american(symbol).isin[11] for symbol in WELL_KNOWN
    } == {True}
    assert len({american(symbol).isin for symbol in WELL_KNOWN}) == len(WELL_KNOWN)
    assert drawn_isin("ZZZZ") == drawn_isin("ZZZZ") != drawn_isin("ZZZY")


@pytest.mark.parametrize(("version", "count"), [(157, 39), (163, 40), (164, 40), (176, 40), (178, 40)])
def test_contract_details_have_forty_fields_and_two_for_the_isin(version: int, count: int) -> None:
    assert len(details_fields(version, 1, american("AAPL"), "", "")) == count + 2


async def test_a_share_is_described_as_tws_describes_it(desk: Desk) -> None:
    ib = await desk.connect()
    (details,) = await ib.reqContractDetailsAsync(Stock("AAPL", "SMART", "USD"))
    contract = details.contract
    assert contract is not None
    assert (contract.conId, contract.primaryExchange, contract.exchange) == (
        con_id_of("AAPL"),
        "NASDAQ",
        "SMART",
    )
    assert (contract.tradingClass, details.marketName, contract.localSymbol) == ("NMS", "NMS", "AAPL")
    assert (details.longName, details.industry, details.category) == ("APPLE INC", "Technology", "Computers")
    assert (details.minTick, details.stockType, details.timeZoneId) == (0.01, "COMMON", "US/Eastern")
    assert [(tag.tag, tag.value) for tag in details.secIdList] == [("ISIN", "US0378331005")]
    assert len(details.validExchanges.split(",")) == len(details.marketRuleIds.split(","))
    assert {"LMT", "MKT", "STP", "TRAIL"} <= set(details.orderTypes.split(","))


async def test_hours_name_the_holiday_the_half_day_and_the_weekend(synthetic: Desk) -> None:
    ib = await synthetic.connect()
    (details,) = await ib.reqContractDetailsAsync(Stock("SPY", "SMART", "USD"))
    assert details.stockType == "ETF"
    assert details.liquidHours.split(";") == [
        "20261125:0930-20261125:1600", "20261126:CLOSED", "20261127:0930-20261127:1300",
        "20261128:CLOSED", "20261129:CLOSED", "20261130:0930-20261130:1600", "20261201:0930-20261201:1600",
    ]  # fmt: skip
    assert details.tradingHours.split(";")[:3] == [
        "20261125:0400-20261125:2000", "20261126:CLOSED", "20261127:0400-20261127:1700",
    ]  # fmt: skip
    half_day = details.liquidSessions()[1]
    assert half_day.start.astimezone(UTC) == datetime(2026, 11, 27, 14, 30, tzinfo=UTC)
    assert half_day.end.astimezone(UTC) == datetime(2026, 11, 27, 18, 0, tzinfo=UTC)


async def test_liquid_hours_are_the_calendars_sessions(synthetic: Desk) -> None:
    ib = await synthetic.connect()
    (details,) = await ib.reqContractDetailsAsync(Stock("SPY", "SMART", "USD"))
    sessions = XnysCalendar().sessions(date(2026, 11, 25), date(2026, 12, 1))
    heard = [
        (int(s.start.timestamp()) * 10**9, int(s.end.timestamp()) * 10**9) for s in details.liquidSessions()
    ]
    assert heard == [(session.open, session.close) for session in sessions]


async def test_a_name_beyond_ascii_arrives_whole(synthetic: Desk) -> None:
    ib = await synthetic.connect()
    (details,) = await ib.reqContractDetailsAsync(Stock("EL", "SMART", "USD"))
    assert details.longName == "ESTÉE LAUDER COMPANIES-CL A"


async def test_without_a_currency_a_symbol_is_ambiguous(desk: Desk) -> None:
    ib = await desk.connect()
    found = await ib.reqContractDetailsAsync(Stock("AAPL", "SMART"))
    assert [(d.contract.currency, d.contract.primaryExchange) for d in found] == [
        ("USD", "NASDAQ"),
        ("CAD", "AEQLIT"),
    ]
    assert len({d.contract.conId for d in found}) == 2
    assert await ib.qualifyContractsAsync(Stock("AAPL", "SMART")) == [None]
    (qualified,) = await ib.qualifyContractsAsync(Stock("AAPL", "SMART", primaryExchange="NASDAQ"))
    assert qualified is not None
    assert qualified.conId == con_id_of("AAPL")


async def test_without_an_exchange_every_exchange_of_every_listing_is_told(desk: Desk) -> None:
    ib = await desk.connect()
    found = await ib.reqContractDetailsAsync(Stock("AAPL"))
    assert {(d.contract.currency, d.contract.exchange) for d in found} >= {
        ("USD", "SMART"), ("USD", "NASDAQ"), ("USD", "IEX"), ("CAD", "AEQLIT"), ("MXN", "MEXI"),
    }  # fmt: skip
    assert {d.contract.conId for d in found} == {con_id_of("AAPL", c) for c in ("USD", "CAD", "MXN")}
    alone = await ib.reqContractDetailsAsync(Stock("THIN"))
    assert {d.contract.conId for d in alone} == {con_id_of("THIN")}


@pytest.mark.parametrize(
    "contract",
    [
        Contract(conId=con_id_of("AAPL")),
        Contract(secType="STK", secIdType="ISIN", secId="US0378331005", exchange="SMART"),
        Contract(secType="STK", secIdType="CUSIP", secId="037833100", exchange="SMART", currency="USD"),
        Contract(secType="STK", secIdType="FIGI", secId="BBG000B9XRY4", exchange="SMART"),
        Stock("AAPL", "ISLAND", "USD"),
        Stock("AAPL", "SMART", "USD", tradingClass="NMS", localSymbol="AAPL"),
    ],
)
async def test_a_share_is_found_by_any_of_its_numbers(desk: Desk, contract: Contract) -> None:
    ib = await desk.connect()
    (details,) = await ib.reqContractDetailsAsync(contract)
    assert (details.contract.symbol, details.contract.currency) == ("AAPL", "USD")


@pytest.mark.parametrize(
    "contract",
    [
        Stock("AAPL", "TSEJ", "USD"),
        Stock("AAPL", "SMART", "USD", primaryExchange="NYSE"),
        Stock("AAPL", "SMART", "USD", conId=con_id_of("THIN")),
        Contract(secType="STK", secIdType="ISIN", secId="US0378331006", exchange="SMART"),
        Contract(secType="IND", symbol="SPX", exchange="CBOE", currency="USD"),
    ],
)
async def test_what_contradicts_itself_is_unknown(desk: Desk, contract: Contract) -> None:
    ib = await desk.connect()
    heard = refusals(ib)
    assert await ib.reqContractDetailsAsync(contract) == []
    assert [code for code, _ in heard] == [200]


async def test_data_of_a_listing_abroad_is_not_subscribed_and_of_two_listings_ambiguous(desk: Desk) -> None:
    ib = await desk.connect()
    heard = refusals(ib)
    for contract in (Stock("AAPL", "AEQLIT", "CAD"), Stock("AAPL", "SMART"), Stock("GONE", "SMART", "USD")):
        assert not await ib.reqHistoricalDataAsync(contract, "", "1 D", "1 min", "TRADES", True)
    assert [code for code, _ in heard] == [354, 200, 200]
    assert heard[1][1] == "The contract description specified for AAPL is ambiguous."


async def test_symbols_are_searched_by_their_beginning_and_by_words_of_the_name(synthetic: Desk) -> None:
    ib = await synthetic.connect()
    found = await ib.reqMatchingSymbolsAsync("AM")
    assert {d.contract.symbol for d in found} >= {"AM", "AMAT", "AMD", "AMGN", "AMZN"}
    assert len(found) <= 16
    found = await ib.reqMatchingSymbolsAsync("micro")
    assert [d.contract.symbol for d in found if d.contract.currency == "USD"] == [
        "MICRO",
        "AMD",
        "MSFT",
        "MU",
        "SMCI",
    ]
    (apple,) = [d.contract for d in await ib.reqMatchingSymbolsAsync("AAPL") if d.contract.currency == "USD"]
    assert (apple.conId, apple.primaryExchange, apple.description) == (
        con_id_of("AAPL"),
        "NASDAQ.NMS",
        "APPLE INC",
    )
    assert await ib.reqMatchingSymbolsAsync("NO SUCH") == []


@pytest.mark.parametrize("version", [157, 175, 176])
async def test_symbols_are_searched_by_older_clients_too(desk: Desk, version: int) -> None:
    ib = IB()
    ib.client.MaxClientVersion = version
    await ib.connectAsync("127.0.0.1", desk.port, clientId=5)
    found = await ib.reqMatchingSymbolsAsync("AAPL")
    assert [d.contract.currency for d in found] == ["USD", "CAD", "MXN"]
    (details, *_) = await ib.reqContractDetailsAsync(Stock("AAPL", "SMART", "USD"))
    assert details.longName == "APPLE INC"
    ib.disconnect()


async def test_on_a_tape_only_its_symbols_are_found(desk: Desk) -> None:
    ib = await desk.connect()
    assert [d.contract.symbol for d in await ib.reqMatchingSymbolsAsync("T")] == ["THIN"]
    assert await ib.reqMatchingSymbolsAsync("MSFT") == []


async def test_the_market_rule_says_the_price_steps(desk: Desk) -> None:
    ib = await desk.connect()
    (details,) = await ib.reqContractDetailsAsync(Stock("AAPL", "SMART", "USD"))
    rule = await ib.reqMarketRuleAsync(int(details.marketRuleIds.split(",")[0]))
    assert [(step.lowEdge, step.increment) for step in rule] == [(0.0, 0.01)]
    heard = refusals(ib)
    ib.client.reqMarketRule(99)
    await desk.settle()
    assert [code for code, _ in heard] == [321]


async def test_a_penny_stock_moves_in_finer_steps(tmp_path: Path) -> None:
    tape = tmp_path / "penny.csv"
    rows = [f"2026-01-0{day}T15:00:00Z,PENY,0.50,0.51,0.49,0.50,1000" for day in (6, 7, 8, 9)]
    tape.write_text("\n".join(["ts,symbol,open,high,low,close,volume", *rows]) + "\n")
    async with desk_of(PracticeOptions(speed=0), TapeMarket(tape)) as desk:
        ib = await desk.connect()
        (details,) = await ib.reqContractDetailsAsync(Stock("PENY", "SMART", "USD"))
        assert details.minTick == 0.0001
        rule = await ib.reqMarketRuleAsync(int(details.marketRuleIds.split(",")[0]))
        assert [(step.lowEdge, step.increment) for step in rule] == [(0.0, 0.0001), (1.0, 0.01)]


async def test_there_are_no_option_chains(desk: Desk) -> None:
    ib = await desk.connect()
    assert await ib.reqSecDefOptParamsAsync("AAPL", "", "STK", con_id_of("AAPL")) == []


async def test_a_share_found_by_its_symbol_is_found_by_its_number_from_then_on(synthetic: Desk) -> None:
    ib = await synthetic.connect()
    assert await ib.reqContractDetailsAsync(Contract(conId=con_id_of("QZX"))) == []
    await ib.reqContractDetailsAsync(Stock("QZX", "SMART", "USD"))
    (details,) = await ib.reqContractDetailsAsync(Contract(conId=con_id_of("QZX")))
    assert (details.contract.symbol, details.longName) == ("QZX", "QZX PRACTICE SHARE")
