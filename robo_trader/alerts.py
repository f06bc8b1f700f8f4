"""Tells the user what needs a person: once when it begins and once when it is over, by every way that is set up."""

from __future__ import annotations

import asyncio
import http.client
import importlib.util
import json
import queue
import smtplib
import ssl
import threading
import time
import urllib.error
import urllib.request
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from email.message import EmailMessage
from email.utils import formatdate
from enum import StrEnum
from typing import Any, Protocol
from urllib.parse import urlsplit

import structlog

from robo_trader.core.errors import ConfigurationError, RoboTraderError
from robo_trader.core.events import SECOND_NS

log = structlog.get_logger()
HOUR_S = 3600.0
SMTPS_PORT, SUBMISSION_PORT = 465, 587
LOOPBACK = frozenset({"127.0.0.1", "::1", "localhost"})


class Severity(StrEnum):
    """How soon a person should look."""

    INFO = "info"
    WARNING = "warning"
    CRITICAL = "critical"


@dataclass(frozen=True)
class Alert:
    """One message to the user; `key` names the matter, `at` is wall time in UTC ns."""

    key: str
    subject: str
    text: str
    severity: Severity
    at: int


class NotDelivered(RoboTraderError):
    """A way could not deliver an alert; caught by whoever sends it, who says so."""


@dataclass(frozen=True)
class AlertOptions:
    """Where alerts go besides the log; what is empty is not used. `Settings` keeps the secret ones."""

    webhook_url: str = ""
    smtp_host: str = ""
    smtp_port: int = SUBMISSION_PORT
    smtp_user: str = ""
    smtp_password: str = ""
    mail_from: str = ""
    mail_to: tuple[str, ...] = ()
    apprise_urls: tuple[str, ...] = ()
    timeout_s: float = 5.0
    pauses_s: tuple[float, ...] = (1.0, 5.0)  # between the tries, of which there is one more
    per_hour: int = 60  # a matter that flaps must not bury the one that counts
    waiting: int = 100


class Way(Protocol):
    """Delivers an alert."""

    name: str

    def send(self, alert: Alert) -> None:
        """Deliver it, however long that takes within the way's time limit. Raises NotDelivered."""


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    def redirect_request(self, *_: Any) -> None:
        """Follow none: the post would become a get, and the alert be lost behind a friendly answer."""


class Webhook:
    """Posts JSON that Slack, Mattermost and Discord show as it is, with the parts beside for programs."""

    name = "webhook"

    def __init__(self, options: AlertOptions) -> None:
        """Raise ConfigurationError where the address is no http or https one."""
        parts = urlsplit(options.webhook_url)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise ConfigurationError("ALERT_WEBHOOK_URL is no http or https address: give it whole")
        self._url, self._timeout_s = options.webhook_url, options.timeout_s
        self._opener = urllib.request.build_opener(_NoRedirect)

    def send(self, alert: Alert) -> None:
        """Post it. Raises NotDelivered, and never tells the address: its path is mostly a secret."""
        words = f"{alert.subject}\n{alert.text}"
        body = {
            "text": words,
            "content": words,
            "key": alert.key,
            "subject": alert.subject,
            "severity": alert.severity,
            "at": datetime.fromtimestamp(alert.at / SECOND_NS, UTC).isoformat(timespec="seconds"),
        }
        headers = {"Content-Type": "application/json", "User-Agent": "robo-trader"}
        request = urllib.request.Request(self._url, json.dumps(body).encode(), headers, method="POST")
        try:
            with self._opener.open(request, timeout=self._timeout_s) as answer:
                answer.read(1024)
        except urllib.error.HTTPError as error:
            error.close()
            raise NotDelivered(f"the server answered {error.code} {error.reason}") from None
        except urllib.error.URLError as error:
            raise NotDelivered(str(error.reason)) from None
        except (OSError, ValueError, http.client.HTTPException) as error:
            raise NotDelivered(f"{type(error).__name__}: {error}") from None


class Mail:
    """Sends by SMTP: TLS from the start on port 465, STARTTLS on all others; a password never travels in the open."""

    name = "mail"

    def __init__(self, options: AlertOptions) -> None:
        """Raise ConfigurationError where it is not said from whom and to whom."""
        if not options.mail_to or not options.mail_from:
            raise ConfigurationError("ALERT_SMTP_HOST needs ALERT_MAIL_FROM and ALERT_MAIL_TO as well")
        self._options = options

    def send(self, alert: Alert) -> None:
        """Send it. Raises NotDelivered."""
        try:
            with self._server() as server:
                self._require_privacy(server)
                if self._options.smtp_user:
                    server.login(self._options.smtp_user, self._options.smtp_password)
                server.send_message(self._letter(alert))
        except (OSError, ValueError) as error:  # what smtplib raises of its own is an OSError
            raise NotDelivered(f"{type(error).__name__}: {error}") from None

    def _server(self) -> smtplib.SMTP:
        at = self._options
        if at.smtp_port == SMTPS_PORT:
            return smtplib.SMTP_SSL(
                at.smtp_host, at.smtp_port, timeout=at.timeout_s, context=ssl.create_default_context()
            )
        return smtplib.SMTP(at.smtp_host, at.smtp_port, timeout=at.timeout_s)

    def _require_privacy(self, server: smtplib.SMTP) -> None:
        at = self._options
        if at.smtp_port == SMTPS_PORT:
            return
        server.ehlo()
        if server.has_extn("starttls"):
            server.starttls(context=ssl.create_default_context())
        elif at.smtp_port == SUBMISSION_PORT or (at.smtp_user and at.smtp_host not in LOOPBACK):
            raise NotDelivered(
                f"{at.smtp_host}:{at.smtp_port} offers no STARTTLS: nothing is sent in the open"
            )

    def _letter(self, alert: Alert) -> EmailMessage:
        letter = EmailMessage()
        letter["Subject"] = " ".join(alert.subject.split())
        letter["From"], letter["To"] = self._options.mail_from, ", ".join(self._options.mail_to)
        letter["Date"] = formatdate(alert.at / SECOND_NS)
        letter.set_content(f"{alert.text}\n\n{alert.severity}, {alert.key}\n")
        return letter


class Apprise:
    """Hands over to the `apprise` library, which knows a hundred services; it comes with the extra `apprise`."""

    name = "apprise"

    def __init__(self, options: AlertOptions) -> None:
        """Raise ConfigurationError where the library is missing or does not know an address."""
        if importlib.util.find_spec("apprise") is None:
            raise ConfigurationError(
                "ALERT_APPRISE_URLS is set and apprise is not installed: pip install 'robo-trader[apprise]'"
            )
        import apprise

        self._services = apprise.Apprise()
        for number, url in enumerate(options.apprise_urls, start=1):
            if not self._services.add(url):
                raise ConfigurationError(f"ALERT_APPRISE_URLS: apprise does not know address number {number}")

    def send(self, alert: Alert) -> None:
        """Send it. Raises NotDelivered."""
        if not self._services.notify(title=alert.subject, body=alert.text):
            raise NotDelivered("a service did not take it; apprise does not say why")


def ways(options: AlertOptions) -> list[Way]:
    """Return the ways that are set up. Raises ConfigurationError where one is set up wrongly."""
    found: list[Way] = []
    if options.webhook_url:
        found.append(Webhook(options))
    if options.smtp_host:
        found.append(Mail(options))
    if options.apprise_urls:
        found.append(Apprise(options))
    return found


class Courier:
    """Goes one way, in a thread of its own: neither a slow nor a dead way holds up the desk or another way."""

    def __init__(self, way: Way, options: AlertOptions) -> None:
        self.way = way
        self.failing = ""  # why the last alert did not arrive
        self.lost = 0
        self._options = options
        self._waiting: queue.Queue[Alert] = queue.Queue(options.waiting)
        # It may hang in a library for good: a process must be able to end without it.
        threading.Thread(target=self._work, name=f"alerts-{way.name}", daemon=True).start()

    def offer(self, alert: Alert) -> None:
        """Take an alert along, or count it as lost where too many wait."""
        try:
            self._waiting.put_nowait(alert)
        except queue.Full:
            self.lost += 1

    @property
    def busy(self) -> bool:
        """Whether something is still to be delivered."""
        return self._waiting.unfinished_tasks > 0

    def _work(self) -> None:
        while True:
            self._deliver(self._waiting.get())
            self._waiting.task_done()

    def _deliver(self, alert: Alert) -> None:
        for pause in (*self._options.pauses_s, None):
            try:
                self.way.send(alert)
            except NotDelivered as error:
                if pause is None:
                    self._failed(str(error))
                else:
                    time.sleep(pause)
            else:
                if self.failing:
                    log.info("alerts_arrive_again", what=self.way.name)
                self.failing = ""
                return

    def _failed(self, why: str) -> None:
        self.lost += 1
        if not self.failing:  # it is told once, not with every alert
            log.warning("alert_not_delivered", what=self.way.name, why=why)
        self.failing = why


@dataclass
class _Matter:
    alert: Alert
    begun: float
    due: float | None  # not told before this; None once told


class Alerts:
    """What stands between the user and a good night: matters that have begun and are not over, each told twice."""

    def __init__(
        self,
        options: AlertOptions = AlertOptions(),
        clock: Callable[[], float] = time.monotonic,
        wall_ns: Callable[[], int] = time.time_ns,
    ) -> None:
        """Set up every way. Raises ConfigurationError where one is set up wrongly."""
        self.label = "RoboTrader"
        self.couriers = [Courier(way, options) for way in ways(options)]
        self._per_hour = options.per_hour
        self._clock = clock
        self._wall_ns = wall_ns
        self._matters: dict[str, _Matter] = {}
        self._told: deque[float] = deque()
        self._left_out = 0

    def begin(
        self, key: str, subject: str, text: str, severity: Severity = Severity.WARNING, after_s: float = 0.0
    ) -> None:
        """Tell that a matter has begun, once; where it may pass by itself, only when it still stands after a while."""
        alert = Alert(key, subject, text, severity, self._wall_ns())
        known = self._matters.setdefault(key, _Matter(alert, self._clock(), self._clock() + after_s))
        known.alert = known.alert if known.due is None else alert
        self.tell_due()

    def over(self, key: str, text: str = "") -> None:
        """Tell that a matter is over and how long it took; nothing where it was never told to have begun."""
        matter = self._matters.pop(key, None)
        if matter is None or matter.due is not None:
            return
        took = f"over after {_lasting(self._clock() - matter.begun)}"
        words = f"{took}: {text}" if text else took
        self._send(Alert(key, f"over: {matter.alert.subject}", words, Severity.INFO, self._wall_ns()))

    def tell(
        self, key: str, subject: str, text: str, severity: Severity = Severity.WARNING, logged: bool = False
    ) -> None:
        """Tell something that has happened and has no end; with `logged` it stands in the log already, or will."""
        self._send(Alert(key, subject, text, severity, self._wall_ns()), logged)

    def tell_due(self) -> None:
        """Tell the matters that have stood long enough; call it each second."""
        now = self._clock()
        for matter in self._matters.values():
            if matter.due is not None and matter.due <= now:
                matter.due = None
                self._send(matter.alert)

    def known(self, prefix: str = "") -> list[str]:
        """Return the keys of what has begun and is not over, told or not."""
        return [key for key in self._matters if key.startswith(prefix)]

    async def drain(self, budget_s: float) -> None:
        """Give what waits this long to be delivered."""
        deadline = time.monotonic() + budget_s
        while any(courier.busy for courier in self.couriers) and time.monotonic() < deadline:  # noqa: ASYNC110 threads
            await asyncio.sleep(0.02)

    def _send(self, alert: Alert, logged: bool = False) -> None:
        tell = {Severity.INFO: log.info, Severity.WARNING: log.warning, Severity.CRITICAL: log.error}
        if not logged:
            tell[alert.severity]("alert", what=alert.subject, matter=alert.key, why=alert.text)
        if not self.couriers or self._is_too_much():
            return
        text = (
            f"{alert.text}\n({self._left_out} alerts before this one were left out)" if self._left_out else ""
        )
        self._left_out = 0
        sent = Alert(
            alert.key, f"{self.label}: {alert.subject}", text or alert.text, alert.severity, alert.at
        )
        for courier in self.couriers:
            courier.offer(sent)

    def _is_too_much(self) -> bool:
        now = self._clock()
        while self._told and now - self._told[0] >= HOUR_S:
            self._told.popleft()
        if len(self._told) >= self._per_hour:
            self._left_out += 1
            return True
        self._told.append(now)
        return False


def try_ways(options: AlertOptions, label: str) -> list[tuple[str, str]]:
    """Send a test by each way, once; return each way's name and why it failed, empty where it arrived."""
    alert = Alert("test", f"{label}: test", "A test asked for by hand.", Severity.INFO, time.time_ns())
    return [(way.name, _outcome(way, alert)) for way in ways(options)]


def _outcome(way: Way, alert: Alert) -> str:
    try:
        way.send(alert)
    except NotDelivered as error:
        return str(error)
    return ""


def _lasting(seconds: float) -> str:
    """Say a duration.

    >>> [_lasting(s) for s in (7.4, 200, 7500)]
    ['7 s', '3 min 20 s', '2 h 5 min']
    """
    minutes, rest = divmod(round(seconds), 60)
    if not minutes:
        return f"{rest} s"
    return f"{minutes} min {rest} s" if minutes < 60 else f"{minutes // 60} h {minutes % 60} min"
