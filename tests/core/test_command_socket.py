"""A socket for commands: private, bounded, and answered only by who may own it."""

from __future__ import annotations

import asyncio
import json
import os
import socket
import stat
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import pytest

from robo_trader.core import command_socket
from robo_trader.core.command_socket import MAX_GUESTS, CommandSocket, ask
from robo_trader.core.errors import ConfigurationError, NobodyAnswers


async def echo(wanted: Mapping[str, object]) -> Mapping[str, object]:
    if "no" in wanted:
        raise ConfigurationError(f"no {wanted['no']}")
    return {"heard": dict(wanted)}


@asynccontextmanager
async def opened(path: Path, ours: bool = True) -> AsyncIterator[CommandSocket]:
    plug = CommandSocket(path, echo, ours=ours)
    await plug.open()
    try:
        yield plug
    finally:
        await plug.close()


async def asked(path: Path, **wish: object) -> dict[str, object]:
    return await asyncio.to_thread(ask, path, wish, 5.0)


async def test_a_command_is_answered_and_the_socket_is_this_users_alone(tmp_path: Path) -> None:
    path = tmp_path / "place" / "desk.sock"
    path.parent.mkdir(mode=0o775)
    async with opened(path):
        assert await asked(path, do="this") == {"heard": {"do": "this"}}
        with pytest.raises(ConfigurationError, match="no luck"):
            await asked(path, no="luck")
        assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert not path.exists()


async def test_a_path_longer_than_a_sockets_name_may_be_works_like_any_other(tmp_path: Path) -> None:
    path = tmp_path / ("x" * 120) / "desk.sock"
    async with opened(path):
        assert await asked(path, do="this") == {"heard": {"do": "this"}}
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert not path.exists()
    with pytest.raises(NobodyAnswers, match=r"nobody answers at .*desk\.sock"):
        await asked(path, do="this")


async def test_a_directory_of_others_is_refused_from_either_side(tmp_path: Path) -> None:
    (tmp_path / "theirs").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "theirs")
    with pytest.raises(PermissionError, match="not a directory of this user"):
        async with opened(tmp_path / "link" / "desk.sock"):
            pass
    async with opened(tmp_path / "theirs" / "desk.sock"):
        with pytest.raises(NobodyAnswers, match="not a directory of this user"):
            await asked(tmp_path / "link" / "desk.sock", do="this")
    (tmp_path / "theirs").chmod(0o777)
    with pytest.raises(PermissionError, match="others can write to"):
        async with opened(tmp_path / "theirs" / "desk.sock", ours=False):
            pass


async def test_who_listens_and_says_nothing_is_given_up(tmp_path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as deaf:
        deaf.bind(str(tmp_path / "deaf.sock"))
        deaf.listen()
        with pytest.raises(NobodyAnswers, match="timed out"):
            await asyncio.to_thread(ask, tmp_path / "deaf.sock", {"do": "this"}, 0.05)


async def test_hung_guests_make_room_for_the_next(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(command_socket, "IDLE_S", 0.05)
    path = tmp_path / "desk.sock"
    async with opened(path):
        hung = [await asyncio.open_unix_connection(path) for _ in range(MAX_GUESTS)]
        for reader, writer in hung:
            assert await reader.read() == b""  # hung up on
            writer.close()
        assert await asked(path, do="this") == {"heard": {"do": "this"}}


async def test_garbage_is_answered_with_what_is_wrong(tmp_path: Path) -> None:
    path = tmp_path / "desk.sock"
    async with opened(path):
        reader, writer = await asyncio.open_unix_connection(path)
        deep = b'{"do":' + b"[" * 30_000 + b"\n"
        for garbage in (b"\n", b"[]\n", b"\xff\n", b'{"do":"\xff"}\n', b"{\n", deep):
            writer.write(garbage)
            assert json.loads(await reader.readline())["ok"] is False
        writer.write(b"x" * (1 << 18))
        with suppress(ConnectionResetError):  # it hangs up without having read all of it
            assert await reader.read() == b""
        writer.close()


async def test_what_a_killed_process_left_behind_is_replaced(tmp_path: Path) -> None:
    path = tmp_path / "desk.sock"
    with socket.socket(socket.AF_UNIX) as stale:
        stale.bind(str(path))
    async with opened(path):
        assert (await asked(path, pid=os.getpid()))["heard"] == {"pid": os.getpid()}
