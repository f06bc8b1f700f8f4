"""A small SMTP server on loopback for tests, and a webhook that answers as it is told."""

from __future__ import annotations

import json
import socketserver
import ssl
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any, TypeVar

T = TypeVar("T", bound=socketserver.BaseServer)


class MailServer(socketserver.ThreadingTCPServer):
    """Takes letters. With a certificate it speaks TLS: from the start, or after STARTTLS."""

    daemon_threads = True

    def __init__(self, certificate: tuple[Path, Path] | None = None, implicit: bool = False) -> None:
        super().__init__(("127.0.0.1", 0), _Conversation)
        self.letters: list[str] = []
        self.said: list[tuple[bool, str]] = []  # whether the line was private, and its first word
        self.implicit = implicit
        self.context: ssl.SSLContext | None = None
        if certificate is not None:
            self.context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            self.context.load_cert_chain(*certificate)

    @property
    def port(self) -> int:
        return self.server_address[1]

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that hangs up is no news."""


class _Conversation(socketserver.StreamRequestHandler):
    server: MailServer

    def setup(self) -> None:
        self.private = False
        super().setup()
        if self.server.implicit:
            self._encrypt()

    def _encrypt(self) -> None:
        assert self.server.context is not None
        self.request = self.connection = self.server.context.wrap_socket(self.connection, server_side=True)
        self.rfile, self.wfile = self.connection.makefile("rb"), self.connection.makefile("wb", buffering=0)
        self.private = True

    def finish(self) -> None:
        super().finish()
        self.connection.close()

    def _say(self, line: str) -> None:
        self.wfile.write(f"{line}\r\n".encode())

    def handle(self) -> None:
        self._say("220 here")
        while line := self.rfile.readline().decode().strip():
            word = line.split()[0].upper()
            self.server.said.append((self.private, word))
            if word == "EHLO":
                offers = ["me", "AUTH PLAIN"]
                offers += ["STARTTLS"] if self.server.context and not self.private else []
                for offer in offers:
                    self._say(f"250{' ' if offer == offers[-1] else '-'}{offer}")
            elif word == "STARTTLS":
                self._say("220 go on")
                self._encrypt()
            elif word == "AUTH":
                self._say("235 come in")
            elif word == "DATA":
                self._say("354 go on")
                letter = []
                while (said := self.rfile.readline().decode()) not in (".\r\n", ""):
                    letter.append(said)
                self.server.letters.append("".join(letter))
                self._say("250 taken")
            elif word == "QUIT":
                self._say("221 bye")
                return
            else:
                self._say("250 well")


class Hook(HTTPServer):
    """Takes posts and answers with the codes it was given, then 200."""

    def __init__(self, *codes: int) -> None:
        super().__init__(("127.0.0.1", 0), _Post)
        self.codes = list(codes)
        self.posts: list[dict[str, Any]] = []
        self.asked = 0
        self.arrived = threading.Semaphore(0)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}/T0/secret"

    def wait(self, seconds: float = 10.0) -> dict[str, Any]:
        """Return the next post taken; fail where none comes."""
        assert self.arrived.acquire(timeout=seconds), f"no post in {seconds} s"
        return self.posts.pop(0)


class _Post(BaseHTTPRequestHandler):
    server: Hook

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.server.asked += 1
        code = self.server.codes.pop(0) if self.server.codes else 200
        self.send_response(code)
        if code == 302:
            self.send_header("Location", "/elsewhere")
        self.end_headers()
        if code == 200:
            self.server.posts.append(body)
            self.server.arrived.release()

    def log_message(self, format: str, *arguments: Any) -> None:
        """Say nothing."""


@contextmanager
def serving(server: T) -> Iterator[T]:
    """Run a server in a thread while the block lasts."""
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def certificate(home: Path) -> tuple[Path, Path]:
    """Make a certificate for 127.0.0.1 and return the files of it and of its key."""
    own, key = home / "own.pem", home / "key.pem"
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=localhost",
         "-addext", "subjectAltName=IP:127.0.0.1", "-out", own, "-keyout", key],
        check=True, capture_output=True,
    )  # fmt: skip
    return own, key
