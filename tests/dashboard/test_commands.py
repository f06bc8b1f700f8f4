"""What the page's server passes on to the daemon, and whose requests it refuses."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from typing import Any

import httpx
import pytest

from robo_trader.bootstrap.kill_switch import Address
from robo_trader.core.command_socket import CommandSocket
from robo_trader.core.errors import ConfigurationError
from robo_trader.dashboard.app import PageOptions, create_app
from robo_trader.dashboard.commands import MAX_BODY

PAGE = "http://127.0.0.1:5555"


class Daemon:
    """A control socket that remembers what it was told."""

    def __init__(self, address: Address) -> None:
        self.heard: list[dict[str, object]] = []
        self.socket = CommandSocket(address.socket, self.obey, ours=True)

    async def obey(self, wanted: Mapping[str, object]) -> Mapping[str, object]:
        self.heard.append(dict(wanted))
        if wanted["do"] == "resume" and not wanted.get("reason"):
            raise ConfigurationError("to resume needs a reason")
        return {"done": True, "said": ["halted by operator"]}


@pytest.fixture
def address(tmp_path: Path) -> Address:
    place = tmp_path / "run"
    return Address("DU1", place / "DU1.sock", place / "DU1.lock", tmp_path / "KILL")


@pytest.fixture
async def daemon(address: Address) -> AsyncIterator[Daemon]:
    daemon = Daemon(address)
    await daemon.socket.open()
    yield daemon
    await daemon.socket.close()


@pytest.fixture
async def client(tmp_path: Path, address: Address) -> AsyncIterator[httpx.AsyncClient]:
    transport = httpx.ASGITransport(create_app(PageOptions(tmp_path / "none.db", address=address)))
    async with httpx.AsyncClient(transport=transport, base_url=PAGE) as client:
        yield client


async def headers(client: httpx.AsyncClient) -> dict[str, str]:
    """What our own page sends along."""
    page = await client.get("/")
    assert page.headers["cache-control"] == "no-store"
    found = re.search(r'<meta name="token" content="([^"]{40,})">', page.text)
    assert found is not None
    return {"X-RoboTrader-Token": found[1], "Origin": PAGE, "Content-Type": "application/json"}


async def test_a_command_of_the_page_reaches_the_daemon_and_its_answer_the_page(
    client: httpx.AsyncClient, daemon: Daemon
) -> None:
    ours = await headers(client)
    answer = await client.post("/api/v1/commands", headers=ours, json={"do": "halt", "reason": "odd"})
    assert (answer.status_code, answer.json()["said"]) == (200, ["halted by operator"])
    assert daemon.heard == [{"do": "halt", "reason": "odd", "via": "page"}]
    refused = await client.post("/api/v1/commands", headers=ours, json={"do": "resume"})
    assert (refused.status_code, refused.json()["detail"]) == (409, "to resume needs a reason")


@pytest.mark.parametrize(
    ("changed", "status"),
    [
        ({"X-RoboTrader-Token": "guessed"}, 403),
        ({"X-RoboTrader-Token": "\xff"}, 403),
        ({"X-RoboTrader-Token": None}, 403),
        ({"Origin": "https://evil.example"}, 403),
        ({"Origin": "null"}, 403),
        ({"Origin": "http://127.0.0.1:8765"}, 403),
        ({"Origin": None}, 403),
        ({"Content-Type": "text/plain"}, 415),
        ({"Content-Type": "application/x-www-form-urlencoded"}, 415),
        ({"Content-Type": None}, 415),
        ({"Host": "rebound.example"}, 400),
    ],
)
async def test_what_another_site_could_send_is_refused(
    client: httpx.AsyncClient, daemon: Daemon, changed: dict[str, str | None], status: int
) -> None:
    sent: dict[str, Any] = {**await headers(client), **changed}
    sent = {name: value.encode("latin-1") for name, value in sent.items() if value is not None}
    answer = await client.post("/api/v1/commands", headers=sent, content=b'{"do": "halt"}')
    assert (answer.status_code, daemon.heard) == (status, [])


@pytest.mark.parametrize(
    ("body", "status"),
    [
        (b"", 422),
        (b"[]", 422),
        (b"\xff", 422),
        (b"[" * 4000, 422),
        (b'{"do": "status"}', 422),
        (b'{"do": ["halt"]}', 422),
        (b'{"do": "halt", "reason": "' + b"x" * MAX_BODY + b'"}', 413),
    ],
)
async def test_what_is_no_command_is_told_as_that(
    client: httpx.AsyncClient, daemon: Daemon, body: bytes, status: int
) -> None:
    answer = await client.post("/api/v1/commands", headers=await headers(client), content=body)
    assert (answer.status_code, daemon.heard) == (status, [])
    assert answer.headers["content-type"] == "application/problem+json"


async def test_nothing_is_commanded_by_asking(client: httpx.AsyncClient, daemon: Daemon) -> None:
    for method in ("GET", "HEAD", "PUT", "DELETE", "PATCH", "OPTIONS"):
        answer = await client.request(method, "/api/v1/commands?do=halt", headers=await headers(client))
        assert answer.status_code == 405
        assert "access-control-allow-origin" not in answer.headers
    assert daemon.heard == []


async def test_where_the_daemon_does_not_answer_a_halt_leaves_the_file_and_the_rest_says_so(
    client: httpx.AsyncClient, address: Address
) -> None:
    ours = await headers(client)
    answer = await client.post("/api/v1/commands", headers=ours, json={"do": "flatten", "all": True})
    assert (answer.status_code, "no daemon of DU1 runs" in answer.json()["detail"]) == (503, True)
    answer = await client.post("/api/v1/commands", headers=ours, json={"do": "halt", "reason": "odd"})
    assert (answer.status_code, "odd (page)" in address.kill_file.read_text()) == (200, True)


async def test_a_page_without_a_way_to_the_daemon_offers_no_token(tmp_path: Path) -> None:
    app = create_app(PageOptions(tmp_path / "none.db"))
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url=PAGE) as client:
        assert '<meta name="token" content="">' in (await client.get("/")).text
        sent = {"X-RoboTrader-Token": "", "Origin": PAGE}
        answer = await client.post("/api/v1/commands", headers=sent, json={"do": "halt"})
        assert answer.status_code == 403


async def test_each_page_process_has_its_own_token(tmp_path: Path, address: Address) -> None:
    tokens = {
        create_app(PageOptions(tmp_path / "none.db", address=address)).state.switch.token for _ in range(3)
    }
    assert len(tokens) == 3
