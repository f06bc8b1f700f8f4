"""How the desk is linked to its market."""

from robo_trader.bootstrap.link import pacing_with
from robo_trader.ibkr.pacing import PacingOptions
from robo_trader.processes import Child


async def test_only_a_gateway_of_our_own_is_asked_for_history_without_tws_s_limit():
    gateway = Child("robo_trader.practice", ["--help"])
    assert pacing_with(gateway) == PacingOptions()
    await gateway.start("usage")
    assert pacing_with(gateway).history_per_10_min > 20 * 60
    await gateway.stop()
