"""What the user is told of a session: each matter once, at its time, and when it is over."""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal

import pytest
from structlog.testing import capture_logs

from robo_trader.alerts import Alerts
from robo_trader.bootstrap.watch import (
    ONLY_THE_LOG,
    AlertJournal,
    Look,
    Watch,
    alert_options,
    try_alerts,
)
from robo_trader.config import load
from robo_trader.core.events import SECOND_NS, Feed, FeedStatus, OrderStatus, TradingState
from robo_trader.core.steps import (
    Agreed,
    Anomaly,
    CashMoved,
    Drifted,
    DriftSummary,
    Fact,
    Halted,
    Mismatch,
    OrderChanged,
    Resumed,
    SplitBooked,
    SplitSuspected,
    Step,
    Unprotected,
)
from tests.mail_server import Hook, serving

NOTHING_NEW = FeedStatus(1, "", Feed.LIVE)
OTHER = OrderStatus


class Desk:
    """An alert journal and a watch on a clock of their own, and what they told."""

    def __init__(self, logs: list[dict[str, object]]) -> None:
        self.now = 0.0
        self._logs = logs
        self.alerts = Alerts(clock=lambda: self.now, wall_ns=self.wall_ns)
        self.journal = AlertJournal(self.alerts, 30.0, self.wall_ns)
        self.watch = Watch(self.alerts, self.journal, 30.0, lambda: self.now, self.wall_ns)

    def wall_ns(self) -> int:
        return int(self.now * SECOND_NS)

    async def says(self, *facts: Fact) -> None:
        await self.journal.record(NOTHING_NEW, Step(facts=facts))

    def look(self, now: float, **more: object) -> None:
        self.now = now
        self.watch.look(Look(**more))

    @property
    def told(self) -> list[str]:
        """What was told since it was last asked for."""
        said = [str(line["what"]) for line in self._logs if line["event"] == "alert"]
        self._logs.clear()
        return said


@pytest.fixture
def desk() -> Iterator[Desk]:
    with capture_logs() as logs:
        yield Desk(logs)


async def test_a_halt_is_told_at_once_and_its_end_as_well(desk: Desk):
    await desk.says(Halted(1, "too much lost", "risk"))
    assert desk.told == ["halted by risk"]
    await desk.says(Resumed(2, "looked at it", "operator", ("risk",)))
    assert desk.told == ["over: halted by risk"]


async def test_of_two_halts_the_one_that_is_not_lifted_stays(desk: Desk):
    await desk.says(
        Halted(1, "by hand", "operator", TradingState.REDUCING), Halted(1, "too much lost", "risk")
    )
    assert desk.told == ["only reducing, by operator", "halted by risk"]
    await desk.says(Resumed(2, "done", "operator", ("operator",), TradingState.HALTED))
    assert desk.told == ["over: only reducing, by operator"]


async def test_a_halt_that_follows_upon_reducing_is_told_as_well_and_one_resume_ends_both(desk: Desk):
    await desk.says(Halted(1, "a bad day", "operator", TradingState.REDUCING))
    await desk.says(Halted(2, "a worse one", "operator"))
    assert desk.told == ["only reducing, by operator", "halted by operator"]
    await desk.says(Resumed(3, "over", "operator", ("operator",)))
    assert desk.told == ["over: only reducing, by operator", "over: halted by operator"]


async def test_the_nightly_restart_is_no_news_and_a_session_lost_for_moments_neither(desk: Desk):
    await desk.says(Halted(1, "TWS restarts", "restart window", TradingState.REDUCING))
    await desk.says(Halted(1, "lost", "session", TradingState.REDUCING))
    desk.look(29.0, blind_since=0, why_blind="lost")
    await desk.says(Resumed(2, "all is well", "session", ("session",)))
    desk.look(31.0)
    assert desk.told == []


async def test_blindness_is_told_after_its_time_once_and_when_it_is_over(desk: Desk):
    for second in range(28, 40):
        desk.look(second, blind_since=0, why_blind="waiting: nothing listens", connected=False)
    assert desk.told == ["not trading"]
    desk.look(200)
    assert desk.told == ["over: not trading"]


async def test_a_link_that_is_back_and_not_trusted_yet_is_told_though_it_is_not_blind(desk: Desk):
    await desk.says(Halted(1, "the session was lost", "session", TradingState.REDUCING))
    for second in (10, 35):
        desk.look(second, connected=True)
    assert desk.told == ["not trading"]


async def test_while_tws_restarts_as_expected_nothing_is_told_until_it_is_late(desk: Desk):
    await desk.says(Halted(1, "the session was lost", "session", TradingState.REDUCING))
    desk.look(1000, blind_since=None, connected=False)
    assert desk.told == []
    desk.look(3600, blind_since=0, connected=False)
    assert desk.told == ["not trading"]


async def test_a_quarantine_and_a_position_without_a_stop_are_told_by_symbol(desk: Desk):
    await desk.says(Mismatch(1, "NVDA", 5, 7), Unprotected(1, "AAPL", -40, "the stop was rejected"))
    assert desk.told == ["NVDA quarantined", "AAPL UNPROTECTED"]
    await desk.says(Agreed(2, "NVDA", 7, "adopt"), Unprotected(2, "AAPL", 0, "a stop works"))
    assert desk.told == ["over: NVDA quarantined", "over: AAPL UNPROTECTED"]


async def test_cash_that_moved_by_no_trade_is_told_each_time(desk: Desk):
    for _ in range(2):
        await desk.says(CashMoved(1, Decimal("12.50"), Decimal("1012.50"), "dividend"))
    assert desk.told == ["cash moved", "cash moved"]


async def test_what_the_broker_should_not_have_done_is_told_once_for_all_parts_of_an_order(desk: Desk):
    after = [
        Anomaly(n, "NVDA", f"fill of s-{order}.1 after it was cancelled") for n, order in enumerate((1, 1, 2))
    ]
    await desk.says(*after)
    assert desk.told == ["NVDA: look at the broker"] * 2


def changed(status: OrderStatus, order_id: str = "s-1.1") -> OrderChanged:
    return OrderChanged(1, order_id, status, 0, reason="why")


async def test_three_rejections_without_a_trade_between_are_told_and_a_trade_ends_it(desk: Desk):
    await desk.says(changed(OTHER.REJECTED), changed(OTHER.REJECTED), changed(OTHER.PARTIAL))
    await desk.says(changed(OTHER.REJECTED), changed(OTHER.REJECTED))
    assert desk.told == []
    await desk.says(changed(OTHER.REJECTED), changed(OTHER.REJECTED))
    assert desk.told == ["the broker rejects our orders"]
    await desk.says(changed(OTHER.FILLED))
    assert desk.told == ["over: the broker rejects our orders"]


async def test_an_order_in_doubt_is_told_when_asking_has_not_helped_for_half_a_minute(desk: Desk):
    await desk.says(changed(OTHER.UNKNOWN, "s-1.1"), changed(OTHER.UNKNOWN, "s-2.1"))
    desk.look(20)
    await desk.says(changed(OTHER.WORKING, "s-1.1"))
    desk.look(30)
    assert desk.told == ["order in doubt"]
    await desk.says(changed(OTHER.CANCELLED, "s-2.1"))
    assert desk.told == ["over: order in doubt"]


async def test_a_desk_that_decides_nothing_while_events_wait_is_stuck(desk: Desk):
    desk.look(0, inbox=3)
    desk.look(9, inbox=3)
    await desk.says()
    desk.look(12, inbox=3)
    assert desk.told == []
    desk.look(22, inbox=3)
    assert desk.told == ["the desk is stuck"]
    desk.look(23)
    assert desk.told == ["over: the desk is stuck"]


async def test_queues_that_fill_are_told_once_and_when_they_have_emptied(desk: Desk):
    for second, full in enumerate((0.5, 0.4, 0.6, 0.25)):
        desk.look(second, journal_load=full)
    assert desk.told == ["journal 50% full", "over: journal 50% full"]
    desk.look(10, inbox_load=0.9)
    assert desk.told == ["inbox 90% full"]


async def test_a_long_block_of_the_loop_is_told_once_until_it_has_been_calm(desk: Desk):
    desk.look(1, blocked_s=1.5)
    desk.look(30, blocked_s=2.5)
    desk.look(80)
    assert desk.told == ["the daemon was blocked"]
    desk.look(91)
    assert desk.told == ["over: the daemon was blocked"]


def test_every_setting_of_the_alerts_reaches_them():
    options = alert_options(
        load(
            alert_webhook_url="https://a.example/x",
            alert_smtp_host="mail.example",
            alert_smtp_port=465,
            alert_smtp_user="me",
            alert_smtp_password="swordfish",
            alert_mail_from="robo@example.org",
            alert_mail_to="a@example.org, b@example.org,",
            alert_apprise_urls="ntfy://robo  tgram://1/2",
        )
    )
    assert options.webhook_url == "https://a.example/x"
    assert (options.smtp_host, options.smtp_port) == ("mail.example", 465)
    assert (options.smtp_user, options.smtp_password) == ("me", "swordfish")
    assert (options.mail_from, options.mail_to) == ("robo@example.org", ("a@example.org", "b@example.org"))
    assert options.apprise_urls == ("ntfy://robo", "tgram://1/2")


def test_a_test_asked_for_by_hand_says_how_each_way_went(capsys: pytest.CaptureFixture[str]):
    assert try_alerts(load()) == 0
    assert ONLY_THE_LOG in capsys.readouterr().out
    with serving(Hook()) as hook:
        assert try_alerts(load(alert_webhook_url=hook.url)) == 0
        assert hook.wait()["key"] == "test"
    mail = {"alert_smtp_host": "127.0.0.1", "alert_smtp_port": hook.server_port}
    mail |= {"alert_mail_from": "a@example.org", "alert_mail_to": "b@example.org"}
    assert try_alerts(load(**mail)) == 1
    assert "FAIL  mail" in capsys.readouterr().out


async def test_drift_is_told_when_it_is_an_alarm_and_when_that_is_over(desk: Desk):
    reading = Drifted(1, "atr_close_14", "psi", 8.0, 4.0)
    await desk.says(reading, DriftSummary(1, "2026-01-05", 720, 34, 1, False, (reading,)))
    assert desk.told == []
    await desk.says(DriftSummary(2, "2026-01-06", 720, 34, 3, True, (reading,)))
    await desk.says(DriftSummary(3, "2026-01-06", 720, 34, 4, True, (reading,)))
    assert desk.told == ["the market is not the one of the training"]
    await desk.says(DriftSummary(4, "2026-01-07", 720, 34, 0, False, (reading,)))
    assert desk.told == ["over: the market is not the one of the training"]


async def test_a_night_that_looks_like_a_split_names_the_command_until_it_is_booked_or_over(desk: Desk):
    looks = SplitSuspected(1, "NVDA", 4, 1, "opened so")
    await desk.says(looks, SplitSuspected(1, "GE", 1, 8, "opened so"))
    assert desk.told == ["NVDA looks like a 4:1 split", "GE looks like a 1:8 split"]
    await desk.says(SplitBooked(2, "NVDA", 4, 1, 0, None, "announced"), SplitSuspected(2, "GE", 1, 1, "no"))
    assert desk.told == ["over: NVDA looks like a 4:1 split", "over: GE looks like a 1:8 split"]
