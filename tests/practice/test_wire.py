"""The bytes: frames, greetings, versions, and the many ways of writing 'not set'."""

from __future__ import annotations

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from robo_trader.practice.protocol.wire import MAX_FRAME, Cursor, Framer, WireError, choose_version, frame

TEXT = st.text(st.characters(codec="utf-8", exclude_characters="\0"))


@pytest.mark.parametrize(
    ("offered", "version"),
    [
        ((157, 178), 178),  # ib_async
        ((157, 176), 176),  # ib_insync
        ((100, 157), 157),  # ibapi 9.81
        ((100, 226), 178),  # ibapi 10.51
        ((157, 158), 157),  # 158 means different things to different clients
        ((158, 158), None),
        ((213, 225), None),  # speaks protobuf only
        ((100, 156), None),
    ],
)
def test_the_newest_version_both_speak_is_chosen(offered: tuple[int, int], version: int | None) -> None:
    assert choose_version(*offered) == version


@given(st.lists(st.lists(TEXT, min_size=1), max_size=5), st.integers(1, 7))
def test_messages_come_out_as_they_went_in_however_the_network_cut_them(
    messages: list[list[str]], piece: int
) -> None:
    framer, found = Framer(), []
    stream = b"".join(frame(*message) for message in messages)
    for at in range(0, len(stream), piece):
        framer.feed(stream[at : at + piece])
        while (message := framer.message()) is not None:
            found.append(message)
    assert found == messages


def test_the_greeting_is_read_once_it_is_whole() -> None:
    framer = Framer()
    for byte in b"API\0" + b"\0\0\0\x12v157..178 +PACEAPI"[:-1]:
        framer.feed(bytes([byte]))
        assert framer.greeting() is None
    framer.feed(b"I")
    assert framer.greeting() == (157, 178)


@pytest.mark.parametrize("data", [b"GET / HTTP/1.1\r\n", b"API\0\0\0\0\x03abc", b"API\0\xff\xff\xff\xff"])
def test_what_is_no_greeting_is_refused(data: bytes) -> None:
    framer = Framer()
    framer.feed(data)
    with pytest.raises(WireError):
        framer.greeting()


@pytest.mark.parametrize("data", [(MAX_FRAME + 1).to_bytes(4, "big"), b"\0\0\0\x0271", b"\0\0\0\0"])
def test_a_frame_that_cannot_be_one_is_refused(data: bytes) -> None:
    framer = Framer()
    framer.feed(data)
    with pytest.raises(WireError):
        framer.message()


@pytest.mark.parametrize("unset", ["", "1.7976931348623157E308", "1.7976931348623157e+308"])
def test_an_unset_number_is_none_in_every_spelling(unset: str) -> None:
    assert Cursor([unset]).number() is None


@pytest.mark.parametrize("text", ["100", "100.0", "1e2"])
def test_a_whole_number_may_be_written_with_a_point(text: str) -> None:
    assert Cursor([text]).integer() == 100


@pytest.mark.parametrize("text", ["2147483647", "", "1.7976931348623157E308"])
def test_an_unset_whole_number_is_its_default(text: str) -> None:
    assert Cursor([text]).integer(default=5) == 5


@pytest.mark.parametrize("text", ["x", "1.5", "nan", "inf", "1e30"])
def test_what_is_no_whole_number_is_refused(text: str) -> None:
    with pytest.raises(WireError):
        Cursor([text]).integer()


def test_a_message_that_ends_too_early_is_refused() -> None:
    with pytest.raises(WireError):
        Cursor(["1"]).skip(2)


def test_fields_are_written_as_tws_writes_them() -> None:
    body = frame(1, "a", True, False, None, Decimal("1E+2"), 0.1)[4:]
    assert body == b"1\0a\x001\x000\0\x00100\x000.1\0"
