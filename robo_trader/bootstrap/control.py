"""The hand on the switch, inside the daemon: commands of a person become events, and are answered once they are done."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from contextlib import suppress
from datetime import date, timedelta
from pathlib import Path
from types import TracebackType
from typing import Protocol, Self

from robo_trader.bootstrap import wishes
from robo_trader.bootstrap.kill_switch import KillFile
from robo_trader.core.command_socket import CommandSocket
from robo_trader.core.errors import ConfigurationError
from robo_trader.core.events import (
    OPERATOR,
    AccountSnapshot,
    Event,
    Flatten,
    Halt,
    Remedy,
    Resolve,
    Resume,
    Split,
    TradingState,
)
from robo_trader.core.holds import Holds
from robo_trader.core.inbox import Inbox
from robo_trader.core.protocols import View
from robo_trader.core.steps import (
    Agreed,
    Fact,
    Halted,
    Ignored,
    Mismatch,
    Resumed,
    SplitBooked,
    SplitSuspected,
    Step,
    Unprotected,
)
from robo_trader.data.sessions import XnysCalendar

LOOK_S = 3.0  # wall seconds the broker has to tell the account to who asks for it
LOOK_AGAIN_S = 0.4  # the same, of a look whose outcome is only told
DONE_S = 1.5  # wall seconds a command waits for the desk before it is answered as accepted only

Answer = dict[str, object]


class Account(Protocol):
    """The broker's account, as far as a person's commands need it."""

    @property
    def lost(self) -> str:
        """Why it cannot be reached now, empty where it can."""

    async def compare(self) -> None:
        """Put it into the inbox. Raises RoboTraderError where it is not to be had."""


class Control:
    """Takes commands on the socket at `path`, and hears as a listener what the desk did about them.

    `about` is told with the status.
    """

    def __init__(
        self,
        path: Path,
        inbox: Inbox,
        view: View,
        link: Account,
        kill_file: KillFile,
        about: Mapping[str, object],
    ) -> None:
        self._socket = CommandSocket(path, self.obey, ours=True)
        self._inbox = inbox
        self._view = view
        self._link = link
        self._kill_file = kill_file
        self._about = dict(about)
        self._waiting: list[tuple[Event, asyncio.Future[Step]]] = []
        self._looking: list[asyncio.Future[AccountSnapshot]] = []
        self._holds = Holds()
        self._differing: dict[str, Mismatch] = {}
        self._left: dict[str, tuple[int, int]] = {}  # shares that are not ours to trade, and until when
        self._unprotected: dict[str, str] = {}
        self._suspected: dict[str, int] = {}  # by symbol, when a night looked like a split
        self._calendar = XnysCalendar()

    async def __aenter__(self) -> Self:
        try:
            await self._socket.open()
        except OSError as error:
            raise ConfigurationError(
                f"control socket {self._socket.path}: {error.strerror or error}; set XDG_RUNTIME_DIR to a directory "
                "of this user"
            ) from error
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._socket.close()

    # ---------------------------------------------------------------------------------------- what the desk says

    async def record(self, event: Event, step: Step) -> None:
        """Note what the desk did, for the commands that wait for it."""
        for fact in step.facts:
            self._note(fact)
        for waited, answer in self._waiting:
            if waited is event and not answer.done():
                answer.set_result(step)
        if isinstance(event, AccountSnapshot):
            for held in event.holdings:
                if held.not_ours_until > event.ts:  # so the books opened
                    self._left[held.symbol] = held.not_ours, held.not_ours_until
            for look in self._looking:
                if not look.done():
                    look.set_result(event)

    def _note(self, fact: Fact) -> None:
        match fact:
            case Halted() | Resumed():
                self._holds.hear(fact)
            case Mismatch():
                self._differing[fact.symbol] = fact
            case Ignored():
                self._left[fact.symbol] = fact.shares, fact.until
            case Agreed():
                self._differing.pop(fact.symbol, None)
            case SplitSuspected(is_over=False):
                self._suspected[fact.symbol] = fact.ts
            case SplitSuspected() | SplitBooked():
                self._suspected.pop(fact.symbol, None)
            case Unprotected():
                self._unprotected[fact.symbol] = fact.why
                if not fact.shares:
                    del self._unprotected[fact.symbol]
            case _:
                return

    @property
    def _stands(self) -> Answer:
        return {"state": self._holds.state, "stopped": self._view.stopped}

    # --------------------------------------------------------------------------------------------- what is wanted

    async def obey(self, wanted: Mapping[str, object]) -> Answer:
        """Do one command and return what came of it. Raises RoboTraderError saying why it cannot be done."""
        wish = wishes.read(wanted)
        now = self._inbox.now
        match wish:
            case wishes.Halt():
                return await self._put(Halt(now, wish.why, OPERATOR))
            case wishes.Reduce():
                return await self._reduce(wish, now)
            case wishes.Resume():
                return await self._resume(wish, now)
            case wishes.Flatten():
                return await self._flatten(wish, now)
            case wishes.Resolve():
                return await self._put(self._remedy(wish, now))
            case wishes.Split():
                return await self._split(wish)
            case wishes.Reconcile():
                return await self._reconcile()
            case wishes.Status():
                return self._status()

    async def _reduce(self, wish: wishes.Reduce, now: int) -> Answer:
        mine = self._holds.by.get(OPERATOR)
        if mine is not None and mine.state is TradingState.HALTED:
            raise ConfigurationError("the desk is halted, which reaches further: resume first, with a reason")
        return await self._put(Halt(now, wish.why, OPERATOR, TradingState.REDUCING))

    async def _resume(self, wish: wishes.Resume, now: int) -> Answer:
        wish.require_reason("resume")
        # First the file: still there, it would halt the desk again within a second.
        removed = self._kill_file.remove()
        return {**await self._put(Resume(now, wish.why, OPERATOR)), "kill_file_removed": removed}

    async def _flatten(self, wish: wishes.Flatten, now: int) -> Answer:
        symbol = self._position(wish)
        if not symbol and not self._view.held():
            raise ConfigurationError("nothing is held and nothing is at work: there is nothing to flatten")
        answer = await self._put(Flatten(now, symbol, wish.why, OPERATOR))
        said = answer["said"]
        assert isinstance(said, list), "what was said is a list"
        if not said:
            said.append("nothing to send: it is closing already, or the broker knows of no such position")
        elif not any(line.startswith("sent ") for line in said) and answer["done"]:
            said.append("the exit follows as soon as the broker has confirmed that its stop is gone")
        return answer

    def _position(self, wish: wishes.Flatten) -> str:
        symbol = wish.symbol.strip().upper()
        if wish.all == bool(symbol):
            raise ConfigurationError("name one symbol to flatten, or say --all, and not both")
        # An entry at work is no position yet and is given up all the same.
        if symbol and symbol not in self._view.held():
            raise ConfigurationError(f"nothing of {symbol} is held: there is nothing to flatten")
        return symbol

    def _remedy(self, wish: wishes.Resolve, now: int) -> Resolve:
        symbol = wish.symbol.strip().upper()
        if not self._view.quarantined(symbol):
            raise ConfigurationError(
                f"{symbol or 'a symbol'} is not quarantined: there is nothing to resolve"
            )
        wish.require_reason(wish.how)
        until = 0
        if wish.how is Remedy.IGNORE:
            until = wishes.parse_until(wish.until, now)
        elif wish.until:
            raise ConfigurationError(f"{wish.how} has no end: a time goes with ignore only")
        return Resolve(now, symbol, wish.how, wish.why, OPERATOR, until)

    async def _split(self, wish: wishes.Split) -> Answer:
        """Book a split where the broker's account bears it out, and compare both sides at once."""
        symbol, (new, old) = wish.symbol.strip().upper(), wishes.parse_ratio(wish.ratio)
        wish.require_reason("book a split")
        if self._view.price(symbol) is None and not self._view.position(symbol):
            raise ConfigurationError(f"{symbol} is neither held nor watched: there is nothing to split")
        if self._about.get("simulated") and self._view.position(symbol):
            raise ConfigurationError(f"the account of a dry run knows of no splits: flatten {symbol} first")
        since = self._since(symbol, wish.since)
        broker = {held.symbol: held.broker_quantity for held in (await self._look()).holdings}
        wanted = Split(
            self._inbox.now, symbol, new, old, since, broker.get(symbol, 0), wish.why, OPERATOR, wish.again
        )
        answer = await self._put(wanted)
        said = answer["said"]
        assert isinstance(said, list), "what was said is a list"
        if answer["done"] and not any(line.startswith(f"{symbol} is split") for line in said):
            raise ConfigurationError("\n".join(said))
        if self._view.quarantined(symbol):
            with suppress(ConfigurationError):  # it is looked at within the minute anyhow
                await self._look(LOOK_AGAIN_S)
            agreed = not self._view.quarantined(symbol)
            said.append(
                f"{symbol} {'is out of quarantine' if agreed else 'differs still: robo-trader reconcile'}"
            )
        return answer

    def _since(self, symbol: str, label: str) -> int:
        """Return when prices in new shares begin (UTC ns): midnight in New York before the first session that has them.

        Raises ConfigurationError where no session is named and the prices do not say which.
        """
        now = self._inbox.now
        if label:
            return wishes.midnight_of(label)
        if symbol in self._suspected:
            return wishes.midnight_of(self._calendar.label_of(self._suspected[symbol]))
        today = self._calendar.label_of(now)
        session = self._calendar.after((date.fromisoformat(today) - timedelta(days=1)).isoformat())
        if now > session.open:
            raise ConfigurationError(
                f"no price of {symbol} shows since when: say --since YYYY-MM-DD, the first session at the new price"
            )
        return wishes.midnight_of(session.label)

    async def _put(self, event: Event) -> Answer:
        """Hand the desk an event; return what it did, once that is on disk and sent."""
        step = asyncio.get_running_loop().create_future()
        waiting = (event, step)
        self._waiting.append(waiting)
        try:
            self._inbox.put(event)
            done = await asyncio.wait_for(step, DONE_S)
        except TimeoutError:
            return {"done": False, "said": ["accepted; the desk has not come to it yet"], **self._stands}
        finally:
            self._waiting.remove(waiting)
        said = wishes.in_words(done)
        if self._link.lost and wishes.sends(done):
            said.append(
                f"but {self._link.lost}; what is changed or taken back follows with the next one, an order does not; "
                "look again then"
            )
        return {"done": True, "said": said, **self._stands}

    async def _look(self, within_s: float = LOOK_S) -> AccountSnapshot:
        """Have the desk look at the broker's account; return that. Raises ConfigurationError where it does not come."""
        told: asyncio.Future[AccountSnapshot] = asyncio.get_running_loop().create_future()
        self._looking.append(told)
        # Never broken off: the rest of its answers would be taken for those of the next one.
        look = asyncio.ensure_future(self._link.compare())
        try:
            async with asyncio.timeout(within_s):
                await asyncio.shield(look)
                return await told
        except TimeoutError:
            look.add_done_callback(lambda done: done.cancelled() or done.exception())  # nobody else hears it
            raise ConfigurationError(
                f"the account was not told within {within_s:g} s; `robo-trader status` says how the link is, ask again"
            ) from None
        finally:
            self._looking.remove(told)

    async def _reconcile(self) -> Answer:
        """Take a fresh look at the broker's account; return both sides by symbol."""
        account = await self._look()
        broker = {held.symbol: held.broker_quantity for held in account.holdings if held.broker_quantity}
        ours = {symbol: shares for symbol in self._view.held() if (shares := self._view.position(symbol))}
        return {"rows": [self._row(s, ours, broker) for s in sorted({*ours, *broker, *self._differing})]}

    def _row(self, symbol: str, ours: Mapping[str, int], broker: Mapping[str, int]) -> Answer:
        row: Answer = {
            "symbol": symbol,
            "ours": ours.get(symbol, 0),
            "broker": broker.get(symbol, 0),
            "quarantined": self._view.quarantined(symbol),
        }
        if symbol in self._differing:
            row["since_ns"] = self._differing[symbol].ts
        shares, until = self._left.get(symbol, (0, 0))
        if until > self._inbox.now:
            row |= {"ignored": shares, "ignored_until_ns": until}
        return row

    def _status(self) -> Answer:
        holds = [
            {"by": hold.by, "state": hold.state, "reason": hold.reason, "since_ns": hold.ts}
            for hold in self._holds.by.values()
        ]
        positions = {s: shares for s in self._view.held() if (shares := self._view.position(s))}
        return {
            **self._about,
            "state": self._holds.state,
            "holds": holds,
            "now_ns": self._inbox.now,
            "positions": positions,
            "quarantined": sorted(s for s in self._differing if self._view.quarantined(s)),
            "unprotected": self._unprotected,
            "kill_file": self._kill_file.text() is not None,
        }
