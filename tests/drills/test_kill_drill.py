"""The kill switch through the running daemon: what opens is gone, stops stay, exits pass, resume needs a reason."""

from __future__ import annotations

from pathlib import Path

import pytest

from robo_trader.core.errors import ConfigurationError
from robo_trader.core.events import Side
from robo_trader.drills import kill as drill
from robo_trader.drills.kill import NOT_STOPPED, WRONGS, KillOptions, KillResult, Pull, kill, opens, table
from robo_trader.drills.ledger import BrokerOrder, Finding
from robo_trader.drills.stage import Stage
from robo_trader.drills.switches import Way


@pytest.mark.parametrize(
    ("side", "held", "shares", "stop", "expected"),
    [
        (Side.BUY, 0, 10, False, True),
        (Side.BUY, 5, 10, False, True),
        (Side.SELL, 10, 10, False, False),
        (Side.SELL, 9, 10, False, True),
        (Side.SELL, -1, 1, False, True),
        (Side.SELL, 0, 10, True, False),
    ],
)
def test_an_order_opens_unless_it_is_a_stop_or_takes_no_more_than_is_held(
    side: Side, held: int, shares: int, stop: bool, expected: bool
):
    assert opens(BrokerOrder(1, "s-1.1", "AAPL", side, shares, stop=stop), held, shares) is expected


def test_each_wrong_of_the_switch_and_of_the_books_makes_the_drill_fail():
    assert KillResult(pulls=[Pull("trading", "halt")]).is_clean
    for wrong in WRONGS:
        result = KillResult(pulls=[Pull("trading", "halt", wrongs=[wrong])])
        assert not result.is_clean
        assert result.counts[wrong] == 1
    result = KillResult()
    result.ledger.add([Finding("stops_missing", "AAPL", "AAPL: 10 held, stops of 0")])
    assert not result.is_clean


def test_the_table_has_a_line_for_each_pull_and_names_what_was_wrong():
    pulls = [Pull("trading", "halt", 2, 0.034), Pull("disk full", "page", ended=4, wrongs=[NOT_STOPPED])]
    assert table(pulls).splitlines()[2:] == [
        "| trading | halt | 2 | 0.03 |  |  |  |",
        "| disk full | page | 0 |  | 4 |  | not_stopped |",
    ]


async def test_a_way_that_does_not_exist_is_refused_with_those_that_do(tmp_path: Path):
    with pytest.raises(ConfigurationError, match="SIGUSR1"):
        await kill(KillOptions(ways=("prayer",)), tmp_path)


@pytest.mark.daemon
@pytest.mark.parametrize(
    ("night", "way"), [("trading", "page"), ("hub dead", "KILL file"), ("link lost", "socket")]
)
async def test_the_desk_stops_stays_protected_reduces_and_resumes_with_a_reason_only(
    tmp_path: Path, night: str, way: str
):
    result = await kill(KillOptions((way,), (night,)), tmp_path)
    (pull,) = result.pulls
    assert (pull.wrongs, pull.found) == ([], [])
    assert pull.working
    assert pull.ended is None


async def _nothing(stage: Stage) -> None:
    """Pull no switch at all."""


@pytest.mark.daemon
async def test_a_switch_that_does_nothing_is_caught(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(drill, "STOPPED_WITHIN_S", 6.0)
    monkeypatch.setattr(drill, "WAYS", (Way("dummy", "wired to nothing", _nothing),))
    result = await kill(KillOptions(("dummy",), ("trading",)), tmp_path)
    assert result.counts[NOT_STOPPED] == 1
    assert not result.is_clean
