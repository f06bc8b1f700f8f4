"""Alerts: told once when a matter begins and once when it is over, by ways that may be slow, dead or lying."""

from __future__ import annotations

import shutil
import sys
import threading
import time
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from robo_trader import alerts as module
from robo_trader.alerts import (
    Alert,
    AlertOptions,
    Alerts,
    Apprise,
    Courier,
    Mail,
    NotDelivered,
    Severity,
    Webhook,
    try_ways,
    ways,
)
from robo_trader.core.errors import ConfigurationError
from tests.mail_server import Hook, MailServer, certificate, serving

HASTE = {"timeout_s": 2.0, "pauses_s": (0.0, 0.0)}
ONE = Alert("k", "NVDA quarantined", "ours 5, theirs 7", Severity.WARNING, 1_767_623_400_000_000_000)


class Clock:
    """Time that moves when it is told to."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def told(logs: list[dict[str, object]]) -> list[tuple[object, object]]:
    return [(line["what"], line["why"]) for line in logs if line["event"] == "alert"]


def quiet() -> tuple[Alerts, Clock]:
    clock = Clock()
    return Alerts(clock=clock), clock


def test_a_matter_is_told_once_when_it_begins_and_once_when_it_is_over_with_how_long_it_took():
    alerts, clock = quiet()
    with capture_logs() as logs:
        for _ in range(3):
            alerts.begin("k", "blind", "no session")
        clock.now = 200.0
        for _ in range(3):
            alerts.over("k", "streaming")
    assert told(logs) == [("blind", "no session"), ("over: blind", "over after 3 min 20 s: streaming")]


def test_a_matter_that_passes_before_its_time_is_never_told():
    alerts, clock = quiet()
    with capture_logs() as logs:
        alerts.begin("k", "doubt", "asked", after_s=30)
        clock.now = 29.9
        alerts.tell_due()
        alerts.over("k")
    assert told(logs) == []


def test_a_matter_that_stands_is_told_when_its_time_has_come_and_in_its_latest_words():
    alerts, clock = quiet()
    with capture_logs() as logs:
        alerts.begin("k", "doubt", "first words", after_s=30)
        alerts.begin("k", "doubt", "last words", after_s=30)
        clock.now = 30.0
        alerts.tell_due()
        alerts.tell_due()
        alerts.begin("k", "doubt", "too late")
    assert told(logs) == [("doubt", "last words")]
    assert alerts.known() == ["k"]


def test_the_webhook_gets_json_that_chats_show_and_programs_read():
    with serving(Hook()) as hook:
        alerts = Alerts(AlertOptions(webhook_url=hook.url, **HASTE))
        alerts.label = "RoboTrader DU1"
        alerts.begin("quarantine:NVDA", "NVDA quarantined", "ours 5, theirs 7", Severity.CRITICAL)
        post = hook.wait()
    assert post["text"] == post["content"] == "RoboTrader DU1: NVDA quarantined\nours 5, theirs 7"
    assert (post["key"], post["severity"]) == ("quarantine:NVDA", "critical")
    assert post["at"].endswith("+00:00")


def test_a_webhook_that_fails_is_tried_three_times_and_told_of_once_until_it_works_again():
    with serving(Hook(*[500] * 6)) as hook:
        courier = Courier(Webhook(AlertOptions(webhook_url=hook.url)), AlertOptions(**HASTE))
        with capture_logs() as logs:
            for _ in range(3):
                courier.offer(ONE)
            hook.wait()
            while courier.busy:
                time.sleep(0.005)
    assert hook.asked == 7
    assert courier.lost == 2
    events = [line["event"] for line in logs]
    assert events == ["alert_not_delivered", "alerts_arrive_again"]
    assert "500" in logs[0]["why"]


@pytest.mark.parametrize("code", [302, 403, 404])
def test_an_answer_that_is_no_success_is_a_failure_and_the_address_stays_secret(code: int):
    with serving(Hook(code)) as hook, pytest.raises(NotDelivered, match=str(code)) as complaint:
        Webhook(AlertOptions(webhook_url=hook.url)).send(ONE)
    assert "secret" not in str(complaint.value)
    assert hook.asked == 1


def test_a_webhook_nobody_listens_at_is_a_failure_and_no_more():
    with serving(Hook()) as hook:
        url = hook.url
    assert try_ways(AlertOptions(webhook_url=url), "RoboTrader")[0][1].endswith("Connection refused")


@pytest.mark.parametrize("url", ["ftp://somewhere/", "nonsense", "http://", "file:///etc/passwd"])
def test_an_address_that_is_none_is_refused_at_once(url: str):
    with pytest.raises(ConfigurationError, match="ALERT_WEBHOOK_URL"):
        ways(AlertOptions(webhook_url=url))


class Hanging:
    """A way that never returns."""

    name = "hanging"

    def __init__(self) -> None:
        self.entered, self.leave = threading.Event(), threading.Event()

    def send(self, alert: Alert) -> None:
        self.entered.set()
        self.leave.wait()


async def test_a_way_that_hangs_holds_up_neither_the_loop_nor_another_way_and_fills_no_memory():
    hanging = Hanging()
    options = AlertOptions(waiting=5, **HASTE)
    with serving(Hook()) as hook:
        alerts = Alerts(AlertOptions(webhook_url=hook.url, **HASTE))
        alerts.couriers.append(Courier(hanging, options))
        alerts.tell("a", "first", "words")
        hanging.entered.wait()
        for n in range(10):
            alerts.tell("a", f"number {n}", "words")
        posts = [hook.wait() for _ in range(11)]
        assert [post["subject"] for post in posts][-1] == "RoboTrader: number 9"
        assert alerts.couriers[1].lost == 5
        began = time.monotonic()
        await alerts.drain(0.1)
        assert 0.1 <= time.monotonic() - began < 1.0
    hanging.leave.set()


async def test_what_is_on_its_way_when_the_daemon_ends_is_given_time_to_arrive():
    with serving(Hook()) as hook:
        alerts = Alerts(AlertOptions(webhook_url=hook.url, **HASTE))
        alerts.tell("end", "the daemon ended", "DeskHalted")
        await alerts.drain(5.0)
        assert len(hook.posts) == 1


def test_a_flood_is_cut_and_the_next_alert_says_how_many_were_left_out():
    clock = Clock()
    with serving(Hook()) as hook:
        alerts = Alerts(AlertOptions(webhook_url=hook.url, per_hour=2, **HASTE), clock)
        with capture_logs() as logs:
            for n in range(5):
                alerts.tell("a", f"number {n}", "words")
            clock.now = 3600.0
            alerts.tell("a", "later", "words")
        posts = [hook.wait() for _ in range(3)]
    assert len(told(logs)) == 6, "the log has them all"
    assert "3 alerts before this one were left out" in posts[2]["text"]


# ----------------------------------------------------------------------------------------------------- mail


def by_mail(port: int, **more: object) -> AlertOptions:
    options = {
        "smtp_host": "127.0.0.1",
        "mail_from": "robo@example.org",
        "mail_to": ("a@example.org", "b@example.org"),
    }
    return AlertOptions(**(options | {"smtp_port": port, "timeout_s": 2.0} | more))


@pytest.fixture
def keys(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[Path, Path]:
    if shutil.which("openssl") is None:
        pytest.skip("openssl is not installed")
    pair = certificate(tmp_path)
    monkeypatch.setenv("SSL_CERT_FILE", str(pair[0]))
    return pair


def test_a_mail_goes_to_everybody_with_a_subject_of_one_line():
    letter = Alert("k", "broken\nsubject", "the text", Severity.CRITICAL, ONE.at)
    with serving(MailServer()) as server:
        Mail(by_mail(server.port)).send(letter)
    (said,) = server.letters
    assert "Subject: broken subject\r\n" in said
    assert "To: a@example.org, b@example.org\r\n" in said
    assert "Date: Mon, 05 Jan 2026" in said
    assert "the text" in said
    assert [word for _, word in server.said].count("RCPT") == 2


def test_where_the_server_offers_it_everything_after_the_greeting_is_private(keys: tuple[Path, Path]):
    with serving(MailServer(keys)) as server:
        Mail(by_mail(server.port, smtp_user="me", smtp_password="swordfish")).send(ONE)
    assert len(server.letters) == 1
    assert [word for private, word in server.said if not private] == ["EHLO", "STARTTLS"]
    assert (True, "AUTH") in server.said


def test_the_port_of_smtps_is_private_from_the_first_byte(
    keys: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch
):
    with serving(MailServer(keys, implicit=True)) as server:
        monkeypatch.setattr(module, "SMTPS_PORT", server.port)
        Mail(by_mail(server.port, smtp_user="me", smtp_password="swordfish")).send(ONE)
    assert all(private for private, _ in server.said)
    assert len(server.letters) == 1


def test_a_server_whose_certificate_nobody_vouches_for_gets_no_password(
    keys, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.delenv("SSL_CERT_FILE")
    with (
        serving(MailServer(keys)) as server,
        pytest.raises(NotDelivered, match="CERTIFICATE_VERIFY_FAILED"),
    ):
        Mail(by_mail(server.port, smtp_user="me", smtp_password="swordfish")).send(ONE)
    assert "AUTH" not in [word for _, word in server.said]


@pytest.mark.parametrize("demanding", ["a password", "the port of submission"])
def test_a_server_without_tls_gets_neither_password_nor_mail(demanding: str, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(module, "LOOPBACK", frozenset())
    with serving(MailServer()) as server:
        more = {"smtp_user": "me", "smtp_password": "swordfish"} if demanding == "a password" else {}
        if not more:
            monkeypatch.setattr(module, "SUBMISSION_PORT", server.port)
        with pytest.raises(NotDelivered, match="no STARTTLS"):
            Mail(by_mail(server.port, **more)).send(ONE)
    assert server.letters == []
    assert "AUTH" not in [word for _, word in server.said]


def test_a_mail_server_that_is_not_there_is_a_failure_and_no_more():
    with serving(MailServer()) as server:
        port = server.port
    with pytest.raises(NotDelivered, match="refused"):
        Mail(by_mail(port)).send(ONE)


@pytest.mark.parametrize("missing", [{"mail_to": ()}, {"mail_from": ""}])
def test_mail_without_sender_or_receiver_is_refused_at_once(missing: dict[str, object]):
    with pytest.raises(ConfigurationError, match="ALERT_MAIL_FROM and ALERT_MAIL_TO"):
        ways(by_mail(25, **missing))


# -------------------------------------------------------------------------------------------------- apprise


def test_apprise_that_is_set_and_not_installed_says_how_to_install_it(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(module.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(ConfigurationError, match=r"pip install 'robo-trader\[apprise\]'"):
        ways(AlertOptions(apprise_urls=("ntfy://robo",)))


STAND_IN = """
class Apprise:
    sent = []
    def add(self, url): return url.startswith("ntfy://")
    def notify(self, title, body):
        self.sent.append((title, body))
        return "fail" not in body
"""


def test_apprise_is_given_subject_and_text_and_believed_when_it_says_no(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    (tmp_path / "apprise.py").write_text(STAND_IN)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "apprise", raising=False)
    way = Apprise(AlertOptions(apprise_urls=("ntfy://robo",)))
    way.send(ONE)
    assert way._services.sent == [("NVDA quarantined", "ours 5, theirs 7")]
    with pytest.raises(NotDelivered, match="did not take it"):
        way.send(Alert("k", "s", "fail", Severity.INFO, 0))
    with pytest.raises(ConfigurationError, match="address number 2"):
        Apprise(AlertOptions(apprise_urls=("ntfy://robo", "nonsense://secret")))
    monkeypatch.delitem(sys.modules, "apprise")
