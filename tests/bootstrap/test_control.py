"""Commands of a person, carried out by the real engine over the real socket, and answered with what was done."""

from __future__ import annotations

import asyncio
import stat
from collections.abc import AsyncIterator, Mapping
from decimal import Decimal
from pathlib import Path

import msgspec
import pytest

from robo_trader.bootstrap import wishes
from robo_trader.bootstrap.control import Control
from robo_trader.bootstrap.kill_switch import KillFile
from robo_trader.core.command_socket import ask
from robo_trader.core.errors import ConfigurationError, ConnectionLost
from robo_trader.core.events import MINUTE_NS, SECOND_NS, Event, Fill, Halt, Holding, Side, TradingState
from robo_trader.core.inbox import Inbox
from robo_trader.core.steps import SplitSuspected
from tests.desks import OPEN, Scripted, bar, desk, opening, quote


class Running:
    """A desk at work on its inbox, with a control socket; the broker's account is what the test says it is."""

    def __init__(self, path: Path) -> None:
        self.strategy = Scripted(wants=[("NVDA", 1)])
        self.engine = desk(self.strategy)
        self.inbox = Inbox()
        self.kill_file = KillFile(path / "KILL")
        self.socket = path / "run" / "DU1.sock"
        self.broker: Mapping[str, int] = {"NVDA": 100}
        self.connected = True
        view = self.engine.desk
        self.control = Control(self.socket, self.inbox, view, self, self.kill_file, {"account": "DU1"})

    @property
    def lost(self) -> str:
        return "" if self.connected else "there is no session with TWS"

    async def compare(self) -> None:
        if self.lost:
            raise ConnectionLost(self.lost)
        holdings = tuple(Holding(symbol, shares, (), shares) for symbol, shares in self.broker.items())
        self.inbox.put(msgspec.structs.replace(opening(holdings=holdings), ts=self.inbox.now + 1))

    async def work(self) -> None:
        async for event in self.inbox:
            await self.control.record(event, self.engine.on_event(event))

    async def happens(self, *events: Event) -> None:
        for event in events:
            self.inbox.put(event)
        while len(self.inbox):
            await asyncio.sleep(0)

    async def told(self, do: str, **what: object) -> dict[str, object]:
        """Give a command as another process would."""
        return await asyncio.to_thread(ask, self.socket, {"do": do, **what})

    async def said(self, do: str, **what: object) -> str:
        lines = (await self.told(do, **what))["said"]
        assert isinstance(lines, list)
        return "\n".join(lines)

    async def differ(self) -> None:
        """Have the broker hold ten shares more, at two looks."""
        self.broker = {"NVDA": 110}
        for _ in range(2):
            await self.told("reconcile")


@pytest.fixture
async def running(tmp_path: Path) -> AsyncIterator[Running]:
    """A desk that has bought a hundred NVDA."""
    running = Running(tmp_path)
    async with running.control:
        work = asyncio.create_task(running.work())
        bought = Fill(OPEN + MINUTE_NS, "s-1.1", "e.01", "NVDA", Side.BUY, 100, Decimal(100), Decimal(1))
        await running.happens(bar(-1, history=True), opening(), quote(0.5), bar(1), bought)
        yield running
        running.inbox.close()
        await work


async def test_a_halt_is_answered_once_the_desk_has_halted(running: Running) -> None:
    answer = await running.told("halt", reason="looked odd")
    assert (answer["done"], answer["state"]) == (True, "halted")
    assert "looked odd (command line)" in str(answer["stopped"])
    assert running.engine.desk.state is TradingState.HALTED
    assert stat.S_IMODE(running.socket.stat().st_mode) == 0o600


async def test_to_resume_needs_a_reason_and_takes_the_kill_file_away(running: Running) -> None:
    await running.told("halt")
    running.kill_file.write("killed")
    with pytest.raises(ConfigurationError, match="needs a reason"):
        await running.told("resume", reason="  ")
    assert running.kill_file.text()
    answer = await running.told("resume", reason="it was a drill")
    assert (answer["state"], answer["kill_file_removed"], running.kill_file.text()) == ("active", True, None)


async def test_to_reduce_does_not_loosen_a_halt_and_others_stops_stand(running: Running) -> None:
    assert (await running.told("reduce"))["state"] == "reducing"
    await running.told("halt")
    with pytest.raises(ConfigurationError, match="resume first"):
        await running.told("reduce")
    await running.happens(Halt(running.inbox.now, "nightly", "restart window", TradingState.REDUCING))
    answer = await running.told("resume", reason="seen")
    assert (answer["state"], "nightly" in str(answer["stopped"])) == ("reducing", True)


async def test_where_nothing_is_held_there_is_nothing_to_flatten(running: Running) -> None:
    sold = Fill(OPEN + 2 * MINUTE_NS, "s-2.1", "f.01", "NVDA", Side.SELL, 100, Decimal(100), Decimal(1))
    await running.happens(sold)
    with pytest.raises(ConfigurationError, match="nothing is held"):
        await running.told("flatten", all=True)


async def test_an_entry_at_work_is_given_up_though_nothing_is_held_yet(running: Running) -> None:
    sold = Fill(OPEN + 2 * MINUTE_NS, "s-2.1", "f.01", "NVDA", Side.SELL, 100, Decimal(100), Decimal(1))
    running.strategy.wants = [("NVDA", 1)]
    await running.happens(sold, quote(2.5), bar(3))
    assert running.engine.desk.held() == ["NVDA"]
    assert "cancelling" in await running.said("flatten", symbol="nvda")
    assert "closing already" in await running.said("flatten", all=True)


async def test_a_position_is_flattened_once_however_often_it_is_asked(running: Running) -> None:
    assert "sent SELL 100 NVDA" in await running.said("flatten", symbol="nvda", reason="enough")
    assert "closing already" in await running.said("flatten", all=True)


async def test_the_books_are_compared_anew_with_both_sides(running: Running) -> None:
    (row,) = (await running.told("reconcile"))["rows"]
    assert row == {"symbol": "NVDA", "ours": 100, "broker": 100, "quarantined": False}
    running.broker = {"NVDA": 110, "META": -5}
    rows = {row["symbol"]: row for row in (await running.told("reconcile"))["rows"]}
    assert (rows["META"]["ours"], rows["META"]["broker"], rows["NVDA"]["quarantined"]) == (0, -5, False)
    rows = {row["symbol"]: row for row in (await running.told("reconcile"))["rows"]}
    assert rows["NVDA"]["quarantined"]
    assert rows["NVDA"]["since_ns"] > OPEN
    running.connected = False
    with pytest.raises(ConfigurationError, match="no session with TWS"):
        await running.told("reconcile")


async def test_an_account_that_does_not_come_is_told_as_that_and_the_question_is_not_broken_off(
    running: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("robo_trader.bootstrap.control.LOOK_S", 0.05)
    answers, compare = asyncio.Event(), running.compare

    async def late() -> None:
        await answers.wait()
        await compare()

    running.compare = late  # type: ignore[method-assign]
    with pytest.raises(ConfigurationError, match="was not told within"):
        await running.told("reconcile")
    running.broker = {"NVDA": 110}
    answers.set()
    while not running.engine.desk.theirs:  # the late answer is looked at all the same
        await asyncio.sleep(0)
    assert running.engine.desk.theirs == {"NVDA": 110}


async def test_what_cannot_be_sent_now_is_not_told_as_sent(running: Running) -> None:
    running.connected = False
    said = await running.said("flatten", symbol="NVDA", reason="enough")
    assert "but there is no session with TWS; what is changed or taken back follows" in said
    assert "session" not in await running.said("reduce", reason="nothing to send")


async def test_a_quarantine_is_adopted_by_a_person_who_says_why(running: Running) -> None:
    with pytest.raises(ConfigurationError, match="NVDA is not quarantined"):
        await running.told("resolve", symbol="NVDA", how="adopt", reason="mine")
    await running.differ()
    with pytest.raises(ConfigurationError, match="adopt needs a reason"):
        await running.told("resolve", symbol="NVDA", how="adopt")
    assert "out of quarantine with 110" in await running.said(
        "resolve", symbol="nvda", how="adopt", reason="bought by hand"
    )
    assert running.engine.desk.position("NVDA") == 110


async def test_a_difference_is_left_alone_until_a_time(running: Running) -> None:
    await running.differ()
    for until, wrong in (
        ("", "expected a time"),
        ("2020-01-01", "over already"),
        ("soon", "expected a time"),
    ):
        with pytest.raises(ConfigurationError, match=wrong):
            await running.told("resolve", symbol="NVDA", how="ignore", reason="lent", until=until)
    with pytest.raises(ConfigurationError, match="ignore only"):
        await running.told("resolve", symbol="NVDA", how="adopt", reason="lent", until="2h")
    said = await running.said("resolve", symbol="NVDA", how="ignore", reason="lent", until="2h")
    assert "10 NVDA are not ours to trade" in said
    (row,) = (await running.told("reconcile"))["rows"]
    assert (row["quarantined"], row["ignored"]) == (False, 10)


async def test_a_quarantine_is_flattened_with_what_the_broker_holds(running: Running) -> None:
    await running.differ()
    said = await running.said("resolve", symbol="NVDA", how="flatten", reason="not wanted")
    assert "sent SELL 110 NVDA" in said


async def test_status_tells_who_stops_what_and_what_is_held(running: Running) -> None:
    await running.told("reduce", reason="lunch", via="page")
    told = await running.told("status")
    assert (told["account"], told["state"], told["positions"]) == ("DU1", "reducing", {"NVDA": 100})
    (hold,) = told["holds"]
    assert (hold["by"], hold["reason"]) == ("operator", "lunch (page)")
    assert told["kill_file"] is False


async def test_a_desk_that_does_not_come_to_it_is_told_as_that(
    running: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("robo_trader.bootstrap.control.DONE_S", 0.05)
    running.inbox.close()  # nobody works on it any more
    answer = await running.told("halt")
    assert (answer["done"], "has not come to it" in str(answer["said"])) == (False, True)


@pytest.mark.parametrize(
    ("wish", "said"),
    [
        ({"do": "dance"}, "dance"),
        ({}, "do"),
        ({"do": "halt", "please": 1}, "please"),
        ({"do": "halt", "reason": "x" * 501}, "reason"),
        ({"do": "flatten"}, "name one symbol"),
        ({"do": "flatten", "symbol": "NVDA", "all": True}, "not both"),
        ({"do": "flatten", "symbol": "META"}, "nothing of META"),
        ({"do": "resolve", "symbol": "NVDA", "how": "forget", "reason": "x"}, "forget"),
        ({"do": "resolve", "symbol": ""}, "symbol"),
    ],
)
async def test_what_makes_no_sense_is_refused_and_changes_nothing(
    running: Running, wish: dict[str, object], said: str
) -> None:
    with pytest.raises(ConfigurationError, match=said):
        await asyncio.to_thread(ask, running.socket, wish)
    assert running.engine.desk.state is TradingState.ACTIVE


async def test_a_place_that_takes_no_socket_is_told_with_what_to_set(
    running: Running, tmp_path: Path
) -> None:
    (tmp_path / "file").touch()
    path = tmp_path / "file" / "DU1.sock"
    view = running.engine.desk
    with pytest.raises(ConfigurationError, match="XDG_RUNTIME_DIR"):
        async with Control(path, running.inbox, view, running, running.kill_file, {}):
            pass


@pytest.mark.parametrize(
    ("text", "seconds"), [("90m", 5400), ("2h", 7200), ("1.5d", 129_600), ("2026-01-05T16:00", 390 * 60)]
)
def test_a_time_is_said_as_a_span_or_in_new_york(text: str, seconds: float) -> None:
    assert wishes.parse_until(text, OPEN) == OPEN + seconds * SECOND_NS


@pytest.mark.parametrize(
    "text", ["", "h", "nanh", "infd", "-2h", "0m", "9e99d", "2026-01-05T09:30", "tomorrow"]
)
def test_a_time_that_is_none_or_over_is_refused(text: str) -> None:
    with pytest.raises(ConfigurationError, match="until"):
        wishes.parse_until(text, OPEN)


async def test_a_split_is_booked_where_the_account_bears_it_out_and_lifts_the_quarantine_at_once(
    running: Running,
) -> None:
    unreadable, unheard_of = "say new shares for old ones", "no share is split so"
    for ratio, wrong in (("four", unreadable), ("4:0", unreadable), ("1", unheard_of), ("101", unheard_of)):
        with pytest.raises(ConfigurationError, match=wrong):
            await running.told("split", symbol="NVDA", ratio=ratio, reason="announced")
    with pytest.raises(ConfigurationError, match="needs a reason"):
        await running.told("split", symbol="NVDA", ratio="4")
    with pytest.raises(ConfigurationError, match="TSLA is neither held nor watched"):
        await running.told("split", symbol="TSLA", ratio="4", reason="announced")
    with pytest.raises(ConfigurationError, match="say --since"):
        await running.told("split", symbol="NVDA", ratio="4", reason="announced")
    with pytest.raises(ConfigurationError, match="such as 2026-01-05"):
        await running.told("split", symbol="NVDA", ratio="4", reason="announced", since="tomorrow")
    wish = {"symbol": "nvda", "ratio": "4:1", "reason": "announced", "since": "2026-01-05"}
    with pytest.raises(ConfigurationError, match="100 shares would become 400, and the broker holds 100"):
        await running.told("split", **wish)
    running.broker = {"NVDA": 400}
    for _ in range(2):
        await running.told("reconcile")
    assert running.engine.desk.quarantined("NVDA")
    said = await running.said("split", **wish)
    assert "NVDA is split 4 for 1" in said
    assert "our books hold 400 NVDA" in said
    assert "NVDA is out of quarantine" in said
    assert not running.engine.desk.quarantined("NVDA")
    with pytest.raises(ConfigurationError, match="say --again where there were two"):
        await running.told("split", **wish)


async def test_a_night_that_looked_so_says_from_which_session_on(running: Running) -> None:
    running.broker = {"NVDA": 400}
    running.control._note(SplitSuspected(OPEN + MINUTE_NS, "NVDA", 4, 1, "opened so"))
    assert "NVDA is split 4 for 1" in await running.said(
        "split", symbol="NVDA", ratio="4", reason="announced"
    )
    (since,) = running.engine._splits._booked.values()
    assert since == OPEN - 570 * MINUTE_NS  # midnight in New York


async def test_without_a_session_no_split_is_booked(running: Running) -> None:
    running.connected = False
    with pytest.raises(ConfigurationError, match="no session with TWS"):
        await running.told("split", symbol="NVDA", ratio="4", reason="announced", since="2026-01-05")
