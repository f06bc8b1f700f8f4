"""Which part of the gateway answers which request of a client."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Protocol

from robo_trader.core.events import SECOND_NS
from robo_trader.practice.protocol.clients import Answer, Client
from robo_trader.practice.protocol.wire import Cursor, frame

# Questions TWS would answer and we do not, with the fields before their request id: a client must not wait for ever.
_NOT_HERE = {22: 0, 52: 1, 54: 1, 55: 1, 84: 0, 86: 0, 100: 0, 102: 0}
# The same for questions without a request id: with which empty list they are answered.
_EMPTY = {24: frame(19, 1, "<ScanParameterResponse/>"), 85: frame(85, 0)}
# What has nothing to change here: the log's level, news that never come, the end of what was refused.
_TAKEN = (12, 13, 14, 23, 53, 56, 57, 101, 103)
_CURRENT_TIME, _USER_INFO = 49, 104


class Subject(Protocol):
    """Answers the requests about one subject, by their message ids."""

    answers: dict[int, Answer]

    def drop(self, client: Client) -> None:
        """Forget a client that has gone."""


class Answers:
    """Hands each message of a client to the subject it is about."""

    def __init__(self, now: Callable[[], int], subjects: Iterable[Subject]) -> None:
        self._now = now
        self._subjects = tuple(subjects)
        self._answers: dict[int, Answer] = {
            **dict.fromkeys(_TAKEN, self._ignore),
            _CURRENT_TIME: self._current_time,
            _USER_INFO: self._user_info,
        }
        for subject in self._subjects:
            self._answers |= subject.answers

    def __call__(self, client: Client, kind: int, cursor: Cursor) -> None:
        """Answer one message. Raises WireError where it cannot be read."""
        answer = self._answers.get(kind)
        if answer is not None:
            answer(client, cursor)
        elif kind in _NOT_HERE:
            cursor.skip(_NOT_HERE[kind])
            client.error(cursor.integer(), 354, "This is not available in the practice market")
        elif kind in _EMPTY:
            client.send(_EMPTY[kind])
        else:
            client.error(-1, 505, f"Fatal error: unknown message id {kind}")

    def drop(self, client: Client) -> None:
        """Forget a client that has gone."""
        for subject in self._subjects:
            subject.drop(client)

    def _current_time(self, client: Client, _cursor: Cursor) -> None:
        client.send(frame(49, 1, self._now() // SECOND_NS))

    def _user_info(self, client: Client, cursor: Cursor) -> None:
        client.send(frame(107, cursor.integer(), ""))  # no white branding

    def _ignore(self, _client: Client, _cursor: Cursor) -> None:
        """Accept a request that has nothing to change here."""
