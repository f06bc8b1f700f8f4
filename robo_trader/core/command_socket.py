"""A command socket: one line of JSON in, one out, on a socket of this user alone."""

from __future__ import annotations

import asyncio
import os
import socket
import stat
import tempfile
from collections.abc import Awaitable, Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import msgspec

from robo_trader.core.errors import ConfigurationError, NobodyAnswers, RoboTraderError

MAX_LINE = 1 << 16  # bytes of a command
MAX_ANSWER = 1 << 20  # bytes
LONGEST_NAME = 100  # bytes; Linux allows 107, macOS 103
MAX_GUESTS = 8
IDLE_S = 10.0  # wall seconds a guest may say nothing: hung ones must not shut out the next
ANSWER_S = 5.0  # wall seconds a command waits for its answer

Wish = Mapping[str, object]
Answer = Mapping[str, object]


class CommandSocket:
    """Takes commands from this user. `obey` does one and returns what to say of it, or raises RoboTraderError.

    Whoever opens it must hold, by a port or a lock, the sole right to the path. `ours` says that the directory is for
    such sockets only, and may be closed to everybody else.
    """

    def __init__(self, path: Path, obey: Callable[[Wish], Awaitable[Answer]], *, ours: bool) -> None:
        self.path = path
        self._obey = obey
        self._ours = ours
        self._server: asyncio.AbstractServer | None = None
        self._guests: set[asyncio.StreamWriter] = set()

    async def open(self) -> None:
        """Listen, in place of what an earlier process left behind. Raises OSError."""
        keep_private(self.path.parent, ours=self._ours)
        self.path.unlink(missing_ok=True)
        with _short(self.path) as name:
            self._server = await asyncio.start_unix_server(self._serve, name, limit=MAX_LINE)
        self.path.chmod(0o600)

    async def close(self) -> None:
        """Hang up and take the socket away."""
        if self._server is not None:
            self._server.close()
            for guest in list(self._guests):
                guest.transport.abort()
            await asyncio.sleep(0)
            self.path.unlink(missing_ok=True)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if len(self._guests) >= MAX_GUESTS:
            writer.transport.abort()
            return
        self._guests.add(writer)
        try:
            while line := await _line(reader):
                writer.write(msgspec.json.encode(await self._answer(line)) + b"\n")
                await writer.drain()
        except ConnectionError:
            pass  # a guest that left
        finally:
            self._guests.discard(writer)
            writer.close()

    async def _answer(self, line: bytes) -> Answer:
        try:
            return {"ok": True, **await self._obey(read_json(line))}
        except RoboTraderError as error:
            return {"ok": False, "error": str(error)}


async def _line(reader: asyncio.StreamReader) -> bytes:
    """Return the next line; nothing at the end, nor of a guest that says nothing or says it without end."""
    try:
        return await asyncio.wait_for(reader.readline(), IDLE_S)
    except (ValueError, TimeoutError):
        return b""


def read_json(text: bytes) -> dict[str, object]:
    """Return a command or an answer. Raises ConfigurationError where the bytes are no JSON object."""
    try:
        return msgspec.json.decode(text, type=dict[str, object])
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise ConfigurationError(f"not a command: {error}") from error


def ask(path: Path, command: Wish, answer_s: float = ANSWER_S) -> dict[str, object]:
    """Give the process that listens there a command and return its answer.

    Raises NobodyAnswers where nobody of this user listens or nothing is said in `answer_s` wall seconds,
    ConfigurationError where the command is refused.
    """
    try:
        _require_own(path.parent)
        with _short(path) as name, socket.socket(socket.AF_UNIX) as plug:
            plug.settimeout(answer_s)
            plug.connect(name)
            plug.sendall(msgspec.json.encode(command) + b"\n")
            with plug.makefile("rb") as answers:
                line = answers.readline(MAX_ANSWER)
        answer = read_json(line)
    except (OSError, ConfigurationError) as error:
        raise NobodyAnswers(f"nobody answers at {path} ({error})") from error
    if not answer.pop("ok", False):
        raise ConfigurationError(str(answer.get("error")))
    return answer


@contextmanager
def _short(path: Path) -> Iterator[str]:
    """Yield a name of `path` that a socket may have: systems allow some 100 bytes, a directory may need more."""
    if len(os.fsencode(path)) <= LONGEST_NAME:
        yield str(path)
        return
    with tempfile.TemporaryDirectory(prefix="rt-") as directory:
        link = Path(directory) / "to"
        link.symlink_to(path.parent.absolute())
        yield str(link / path.name)


def keep_private(directory: Path, *, ours: bool) -> None:
    """Make a directory for this user alone, or see that nobody else can write to it. Raises OSError."""
    directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    mode = _require_own(directory)
    if ours:
        directory.chmod(0o700)
    elif mode & 0o022:  # somebody's own place is not ours to close
        raise PermissionError(f"others can write to {directory}")


def _require_own(directory: Path) -> int:
    """Return the mode of a directory that belongs to this user. Raises OSError where it does not."""
    found = directory.lstat()
    if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.getuid():
        raise PermissionError(f"{directory} is not a directory of this user")
    return found.st_mode
