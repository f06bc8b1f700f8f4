"""The TWS socket's bytes: length-prefixed frames of text fields, and the cursor that reads them."""

from __future__ import annotations

import math
import re
import struct
from decimal import Decimal

OLDEST_VERSION = 157
NEWEST_VERSION = 178
MAX_FRAME = 1 << 20  # bytes; no client sends a request near this size
UNSET_DOUBLE = "1.7976931348623157E308"
INVALID = "Error validating request.-'bW' : cause - "  # how the text of error 321 begins
UNSET_INT = "2147483647"

_GREETING = b"API\0"
_VERSIONS = re.compile(rb"v(\d{1,6})(?:\.\.(\d{1,6}))?(?: .*)?\Z", re.DOTALL)
_LENGTH = struct.Struct(">I")

Field = str | int | float | bool | Decimal | None


class WireError(Exception):
    """A client's bytes make no sense; caught by its connection, which answers 320 or hangs up."""


def frame(*fields: Field) -> bytes:
    """Encode one message: 4-byte big-endian length, then each field closed by a NUL."""
    # Most fields are text already, and a call costs more than the check.
    body = "".join([(field if type(field) is str else _text(field)) + "\0" for field in fields]).encode()
    return _LENGTH.pack(len(body)) + body


def error(version: int, about: int, code: int, text: str) -> bytes:
    """Encode errMsg (4) about a request or order id, -1 for none."""
    return frame(4, 2, about, code, text, *(("",) if version >= 166 else ()))


def _text(field: Field) -> str:
    if field is None:
        return ""
    if isinstance(field, str):
        return field
    if isinstance(field, bool):
        return "1" if field else "0"
    if isinstance(field, Decimal):
        return format(field, "f")
    return repr(field)


def plain(value: Decimal) -> str:
    """Write a Decimal without exponent and without the zeros that a division left behind.

    >>> plain(Decimal("1E+2")), plain(Decimal("0.250"))
    ('100', '0.25')
    """
    text = format(value, "f")
    return text.rstrip("0").rstrip(".") if "." in text else text


def choose_version(oldest: int, newest: int) -> int | None:
    """Return the server version for a client that speaks `oldest`..`newest`, None where there is none.

    Never 158: ib_async reads `duration` from 159 on where other clients read it from 158 on.
    """
    version = min(newest, NEWEST_VERSION)
    if version == 158:
        version = OLDEST_VERSION
    return version if version >= max(oldest, OLDEST_VERSION) else None


class Framer:
    """Cuts a client's byte stream into its greeting and its messages, however the network cut it."""

    def __init__(self) -> None:
        self._data = bytearray()

    def feed(self, data: bytes) -> None:
        self._data += data

    def greeting(self) -> tuple[int, int] | None:
        """Return (oldest, newest) version once the whole greeting is in. Raises WireError on anything else."""
        head = bytes(self._data[: len(_GREETING)])
        if not _GREETING.startswith(head):
            raise WireError("the greeting is not API")
        if len(head) < len(_GREETING):
            return None
        body = self._cut(len(_GREETING))
        if body is None:
            return None
        found = _VERSIONS.match(body)
        if found is None:
            raise WireError("the greeting names no versions")
        return int(found[1]), int(found[2] or found[1])

    def message(self) -> list[str] | None:
        """Return the fields of the next whole message, None while there is none. Raises WireError."""
        body = self._cut(0)
        if body is None:
            return None
        if not body.endswith(b"\0"):
            raise WireError("a message does not end in a NUL")
        return body[:-1].decode(errors="backslashreplace").split("\0")

    def _cut(self, start: int) -> bytes | None:
        if len(self._data) < start + 4:
            return None
        (length,) = _LENGTH.unpack_from(self._data, start)
        if length > MAX_FRAME:
            raise WireError(f"a message of {length} bytes")
        end = start + 4 + length
        if len(self._data) < end:
            return None
        body = bytes(self._data[start + 4 : end])
        del self._data[:end]
        return body


class Cursor:
    """Reads a message field by field; every client writes 'not set' in its own way, and all of them count."""

    def __init__(self, fields: list[str]) -> None:
        self._fields = fields
        self._at = 0

    @property
    def fields(self) -> list[str]:
        """The whole message, whatever was read of it."""
        return self._fields

    def text(self) -> str:
        """Return the next field as text. Raises WireError when the message is too short."""
        try:
            field = self._fields[self._at]
        except IndexError:
            raise WireError("the message is too short") from None
        self._at += 1
        return field

    def skip(self, count: int) -> None:
        """Pass over fields that this server does not read."""
        for _ in range(count):
            self.text()

    def number(self) -> float | None:
        """Return the next field as a float, None where unset (empty or DBL_MAX)."""
        text = self.text()
        if not text:
            return None
        try:
            value = float(text)
        except ValueError:
            raise WireError(f"{text!r} is not a number") from None
        return None if value > 1e300 and math.isfinite(value) else value

    def integer(self, default: int = 0) -> int:
        """Return the next field as an int, `default` where unset. `100.0` is a legal 100."""
        value = self.number()
        if value is None or value == int(UNSET_INT):
            return default
        if not abs(value) < 1e15 or value != int(value):
            raise WireError(f"{value!r} is not a whole number")
        return int(value)

    def flag(self) -> bool:
        """Return the next field as a bool; empty is false."""
        return self.text() not in ("", "0", "false")
