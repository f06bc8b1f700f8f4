"""A symbol is one share, or refused."""

from decimal import Decimal

import pytest
from ib_async.contract import Contract, ContractDetails

from robo_trader.core.errors import ConfigurationError
from robo_trader.ibkr.contracts import Contracts, tick_of


async def test_a_known_symbol_becomes_a_contract_and_an_instrument(desks):
    desk = desks()
    await desk.connection.connect()
    record = await desk.contracts.qualify("AAPL")
    assert (record.contract.symbol, record.contract.exchange, record.contract.secType) == (
        "AAPL",
        "SMART",
        "STK",
    )
    assert record.contract.conId > 0
    assert (record.instrument.symbol, record.instrument.tick) == ("AAPL", Decimal("0.01"))


async def test_a_symbol_is_asked_for_once(desks):
    desk = desks()
    await desk.connection.connect()
    record = await desk.contracts.qualify("AAPL")
    await desk.connection.close()
    assert await desk.contracts.qualify("AAPL") is record


async def test_an_unknown_symbol_is_a_configuration_error(desks):
    desk = desks()
    await desk.connection.connect()
    with pytest.raises(ConfigurationError, match="unknown symbol NOSUCHCO"):
        await desk.contracts.qualify("NOSUCHCO")


async def test_an_ambiguous_symbol_is_refused_with_its_meanings(desks, monkeypatch):
    found = [
        ContractDetails(
            contract=Contract(conId=1, symbol="X", primaryExchange="NYSE"), longName="X Steel", minTick=0.01
        ),
        ContractDetails(
            contract=Contract(conId=2, symbol="X", primaryExchange="ARCA"), longName="X Fund", minTick=0.01
        ),
    ]

    async def two(_self, _symbol):
        return found

    monkeypatch.setattr(Contracts, "_look_up", two)
    with pytest.raises(ConfigurationError, match=r"X Steel \(NYSE, id 1\); X Fund \(ARCA, id 2\)"):
        await desks().contracts.qualify("X")


@pytest.mark.parametrize(
    ("told", "tick"), [(0.01, "0.01"), (0.0001, "0.01"), (0.05, "0.05"), (1.7e308, "0.01"), (0.0, "0.01")]
)
def test_a_tick_is_never_finer_than_what_is_valid_everywhere(told, tick):
    assert tick_of(told) == Decimal(tick)
