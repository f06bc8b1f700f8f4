"""The catalogue: one entry for each fault, each with a test, and words that make no sense refused."""

from __future__ import annotations

import asyncio
import random
import re
from datetime import UTC, datetime
from pathlib import Path

import pytest
from ib_async import IB, Contract, MarketOrder

from robo_trader.core.errors import ConfigurationError
from robo_trader.practice.faults.catalogue import (
    CATALOGUE,
    TRIGGERS,
    listing,
    make,
    markdown,
    market_time,
    parameters,
    read,
)
from robo_trader.practice.faults.engine import MAX_PLANTED
from robo_trader.practice.faults.kinds import cut, message
from robo_trader.practice.gateway import PracticeGateway, PracticeOptions
from robo_trader.practice.protocol.wire import frame
from robo_trader.simulation.tape import TapeMarket
from tests.practice.conftest import Desk, desk_of
from tests.practice.test_faults_connection import codes_of

NOON = int(datetime(2026, 1, 13, 17, tzinfo=UTC).timestamp()) * 1_000_000_000


@pytest.mark.parametrize("name", sorted(CATALOGUE))
def test_every_fault_has_a_test_that_shows_what_it_breaks(name: str) -> None:
    tests = [
        path.read_text() for path in Path(__file__).parent.glob("test_faults_*.py") if path != Path(__file__)
    ]
    planted = re.compile(rf'"{re.escape(name)}"')
    assert any(planted.search(text) for text in tests)


@pytest.mark.parametrize("name", sorted(CATALOGUE))
def test_every_fault_says_what_it_does_what_it_breaks_and_what_its_parameters_mean(name: str) -> None:
    what, _, breaks = (CATALOGUE[name].__doc__ or "").partition("\n\n")
    assert what.strip().endswith(".")
    assert breaks.strip().endswith(".")
    assert not set(parameters(CATALOGUE[name])) & set(TRIGGERS)
    for told in (listing(), markdown()):
        assert name in told
        assert all(f"{own}=" in told for own in parameters(CATALOGUE[name]))


@pytest.mark.parametrize(
    ("name", "given", "said"),
    [
        ("drop-fim", {}, "did you mean 'drop-fin'"),
        ("", {}, "no fault is called ''"),
        ("stale", {"symbl": "AAPL"}, "did you mean 'symbol'"),
        ("stale", {"chance": 2}, "chance is from 0 to 1"),
        ("stale", {"for": 0}, "more than 0"),
        ("stale", {"on": "1,x"}, "stale"),
        ("withhold-end", {"of": "nothing"}, "withhold-end"),
        ("spike", {"factor": "much"}, "spike"),
        ("manual-order", {}, "needs symbol="),
        ("stale", {"at": "25:00"}, "not a time"),
        ("stale", {"for": "inf"}, "no more than"),
        ("delay-ack", {"seconds": "nan"}, "seconds=nan"),
        ("partial-fills", {"pieces": 0}, "pieces=0 is not between 1 and 1000"),
        ("slow-drip", {"size": "0"}, "size=0"),
        ("correction", {"by": 1e12}, "by="),
        ("manual-order", {"symbol": "AAPL", "shares": 0}, "0 shares of AAPL cannot be ordered"),
    ],
)
async def test_what_makes_no_sense_is_refused_with_the_nearest_name(
    desk: Desk, name: str, given: dict[str, object], said: str
) -> None:
    with pytest.raises(ConfigurationError, match=said):
        desk.gateway.plant(name, **given)
    assert desk.gateway.planted() == []


def test_values_may_be_text_as_the_command_line_has_them() -> None:
    fault, trigger = make(
        "spike",
        {"factor": "1.5", "times": "3", "for": "60", "on": "1, 50", "symbol": "aapl", "chance": "0.5"},
    )
    assert fault.factor == 1.5
    assert (trigger.times, trigger.lasts, trigger.on, trigger.symbol, trigger.chance) == (
        3, 60.0, (1, 50), "AAPL", 0.5,
    )  # fmt: skip


@pytest.mark.parametrize(
    ("text", "hours"),
    [("12:30", 0.5), ("12:00:00", 0), ("11:30", 23.5), ("2026-01-14T12:00", 24), ("2026-01-14 12:00:00", 24),
     ("2026-01-14 17:00:00+00:00", 24)],
)  # fmt: skip
def test_a_time_is_the_next_one_in_new_york(text: str, hours: float) -> None:
    assert market_time(text, NOON) - NOON == hours * 3600 * 1_000_000_000


async def test_a_file_of_faults_is_planted_at_the_start(tmp_path: Path, tape: TapeMarket) -> None:
    path = tmp_path / "faults.toml"
    path.write_text(
        '[[fault]]\nname = "outage-flood"\nat = 09:31:00\ncount = 2\n\n'
        '[[fault]]\nname = "stale"\nsymbol = "AAPL"\non = [1, 2]\nfor = 30\n'
    )
    async with desk_of(PracticeOptions(speed=0, faults=read(path)), tape) as desk:
        ib = await desk.connect()
        codes = codes_of(ib)
        await desk.advance(60)
        assert codes == []
        await desk.advance(10)
        assert codes == [1100, 1102] * 2
        assert [fault["name"] for fault in desk.gateway.planted()] == ["stale"]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[[faults]]\n", "did you mean 'fault'"),
        ("[fault]\nname='stale'\n", "array"),
        ("[[fault]]\nname='stal'\n", "did you mean 'stale'"),
        ("[[fault]]\nsymbol='AAPL'\n", "no fault is called ''"),
        ("[[fault\n", "faults.toml"),
    ],
)
def test_a_file_that_makes_no_sense_is_refused(tmp_path: Path, text: str, said: str) -> None:
    path = tmp_path / "faults.toml"
    path.write_text(text)
    with pytest.raises(ConfigurationError, match=said):
        read(path)
    with pytest.raises(ConfigurationError, match="missing"):
        read(tmp_path / "missing.toml")


@pytest.mark.parametrize("nonsense", [("stal", {}), ("halt", {"at": "25:00"}), ("manual-order", {})])
async def test_a_gateway_that_is_given_nonsense_never_opens_its_port(
    tape: TapeMarket, nonsense: tuple[str, dict[str, object]]
) -> None:
    gateway = PracticeGateway(PracticeOptions(speed=0, faults=[nonsense]), tape)
    with pytest.raises(ConfigurationError):
        await gateway.start()
    assert gateway._door.port == 0
    await gateway.stop()


async def test_a_fault_that_cannot_strike_any_more_stops_neither_clock_nor_client(
    desk: Desk, stock: Contract
) -> None:
    ib = await desk.connect()
    codes = codes_of(ib)
    desk.gateway.plant("manual-order", symbol="AAPL", limit=0.001, at="09:31")
    desk.gateway.plant("manual-order", symbol="AAPL", limit=0.001, on=3)
    await desk.advance(65)
    ib.placeOrder(stock, MarketOrder("BUY", 1))
    await desk.advance(5)
    assert len(ib.fills()) == 1
    assert codes == []
    assert desk.gateway.planted() == []


async def test_faults_are_bounded_and_lifted_by_name_number_or_all(desk: Desk) -> None:
    gateway = desk.gateway
    numbers = [gateway.plant("stale") for _ in range(MAX_PLANTED)]
    with pytest.raises(ConfigurationError, match="lift some"):
        gateway.plant("stale")
    assert gateway.lift(str(numbers[3])) == 1
    gateway.plant("gap")
    assert gateway.lift("stale") == MAX_PLANTED - 1
    assert gateway.lift("stale") == 0
    with pytest.raises(ConfigurationError, match="did you mean 'stale'"):
        gateway.lift("stal")
    assert gateway.lift() == 1


@pytest.mark.parametrize(
    ("name", "keeps"), [("competing-session", "lines"), ("crossed", "asks"), ("late-bars", "kept"), ("freeze", "kept")]
)  # fmt: skip
async def test_a_fault_keeps_nothing_of_clients_that_have_gone(
    desk: Desk, stock: Contract, name: str, keeps: str
) -> None:
    ib = await desk.connect()
    await desk.advance(10)
    number = desk.gateway.plant(name)
    (planted,) = desk.gateway._faults._planted
    ib.reqMktData(stock)
    ib.reqRealTimeBars(stock, 5, "TRADES", True)
    (client,) = desk.gateway.clients()
    client.listen(True)  # where nothing is read, nobody is seen to go
    async with asyncio.timeout(5):
        while not getattr(planted.fault, keeps):
            await desk.gateway.advance(1)
        ib.disconnect()
        while desk.gateway.clients():
            await asyncio.sleep(0)
    assert not getattr(planted.fault, keeps)
    assert desk.gateway.lift(str(number)) == 1


async def test_nobody_stands_in_between_while_nothing_is_planted(desk: Desk) -> None:
    ib = await desk.connect()
    (client,) = desk.gateway.clients()
    assert client.middle is None
    desk.gateway.plant("stale")
    assert client.middle is not None
    desk.gateway.lift()
    assert client.middle is None
    assert await ib.reqCurrentTimeAsync()


async def test_a_fault_aimed_at_a_share_finds_it_by_its_contract_id_too(
    desk: Desk, stock: Contract, thin: Contract
) -> None:
    ib = await desk.connect()
    await ib.qualifyContractsAsync(Contract(conId=stock.conId))
    await desk.advance(5)
    nameless = Contract(conId=stock.conId, exchange="SMART")
    bars, other = (ib.reqRealTimeBars(share, 5, "TRADES", True) for share in (nameless, thin))
    desk.gateway.plant("stale", symbol="AAPL")
    await desk.advance(10)
    assert (len(bars), len(other)) == (0, 2)


async def test_any_mixture_of_faults_leaves_the_gateway_standing(
    options: PracticeOptions, tape: TapeMarket, stock: Contract
) -> None:
    dice = random.Random(5)
    names = sorted(set(CATALOGUE) - {"slow-drip"})
    async with desk_of(options, tape) as desk:
        for round_ in range(12):
            for name in dice.sample(names, 6):
                desk.gateway.plant(name, symbol="AAPL", chance=dice.random(), seed=round_)
            ib = IB()
            try:
                await ib.connectAsync("127.0.0.1", desk.port, clientId=round_, timeout=0.05)
            except (TimeoutError, ConnectionError):
                pass
            else:
                ib.reqMktData(stock)
                ib.reqRealTimeBars(stock, 5, "TRADES", True)
            await desk.gateway.advance(15)
            ib.disconnect()
            desk.gateway.lift()
        assert (await desk.connect(99)).isConnected()


def test_messages_are_cut_and_put_together_unchanged() -> None:
    frames = [
        frame(1, 6, 7, 1, 200.5, 100, 1),
        frame(4, 2, -1, 2104, "größer €", ""),
        frame(53, 1),
        frame(102),
    ]
    assert [told.data for told in cut(b"".join(frames))] == frames
    assert [message(*told.fields).data for told in cut(b"".join(frames))] == frames
    assert cut(b"") == []
