"""What a person asks and commands of a running daemon: status, halt, reduce, resume, flatten, reconcile, kill."""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from robo_trader.bootstrap import commands, kill_switch, places
from robo_trader.bootstrap.kill_switch import Address
from robo_trader.config import Settings
from robo_trader.core.errors import ConfigurationError, DataError, GateFailed, NobodyAnswers, RoboTraderError
from robo_trader.storage import lock, queries
from robo_trader.storage.rows import iso

_OWN_NAME = re.compile(r"(?:practice|paper|live|dry-run)-(.+)")  # places.database_path
_SESSION_LOCK = re.compile(r".+-\d+-\d+")  # of host, port and client, not of an account


@dataclass(frozen=True)
class Which:
    """Which daemon is meant: by account, by database, or by neither the one of the data directory."""

    account: str | None = None
    db: Path | None = None
    as_json: bool = False


def status(settings: Settings, which: Which) -> int:
    """Print the last session's state; where its database cannot be read, what the daemon itself says.

    Returns 0 while the daemon is alive, 1 where it is not. Raises DataError where neither can be asked.
    """
    try:
        return commands.status(settings, _database(settings, which), which.as_json)
    except DataError as broken:
        try:
            answer = kill_switch.tell(_the_daemon(settings.robo_data_dir, which), {"do": "status"})
        except RoboTraderError:
            raise broken from None
        words = [f"{name}: {value}" for name, value in answer.items()]
        _print(which, answer, [f"{broken}; the daemon says:", *words])
        return 0


def command(settings: Settings, which: Which, wish: Mapping[str, object]) -> int:
    """Have the daemon do something and print what it did. Raises RoboTraderError saying why it was not done."""
    answer = kill_switch.tell(_the_daemon(settings.robo_data_dir, which), dict(wish))
    said = answer.get("said")
    words = [str(line) for line in said] if isinstance(said, list) else []
    stopped = f": {answer['stopped']}" if answer.get("stopped") else ""
    lift = [f"{commands.how_to_resume(alive=True)} lifts it"] if wish["do"] in ("halt", "reduce") else []
    _print(which, answer, [*words, f"trading {answer.get('state')}{stopped}", *lift])
    return 0


def resume(settings: Settings, which: Which, reason: str) -> int:
    """Have the daemon trade again; where none runs, take away the file that would halt the next one."""
    try:
        return command(settings, which, {"do": "resume", "reason": reason})
    except NobodyAnswers as error:
        kill_file = kill_switch.KillFile(settings.robo_data_dir / kill_switch.FILE_NAME)
        if not reason.strip():
            raise
        removed = f"removed {kill_file.path}; " if kill_file.remove() else ""
        raise NobodyAnswers(
            f"{removed}{error}. A halt in the books stands until `robo-trader run … --resume {reason!r}`"
        ) from error


def kill(home: Path, which: Which, reason: str) -> int:
    """Halt by every way that still works and print each; return 0 where one of them is sure to, else 1.

    `home` is the data directory; no setting is asked, for they may be what is broken.
    """
    done = [kill_switch.kill(address, reason, "kill") for address in _all(home, which)]
    if not done:
        done = [kill_switch.leave_file(home / kill_switch.FILE_NAME, reason, "kill")]
    lines = list(dict.fromkeys(line for killed in done for line in killed.said))
    sure = all(killed.sure for killed in done)
    _print(
        which, {"halted": sure, "said": lines}, [*lines, "to trade again: `robo-trader resume --reason …`"]
    )
    return 0 if sure else RoboTraderError.exit_code


def reconcile(
    settings: Settings, which: Which, symbol: str, remedies: Sequence[str], until: str, reason: str
) -> int:
    """Resolve a symbol by the one remedy named, or, with neither, print where the books and the broker stand.

    Returns 0 where all agree, 7 where something differs, 1 where no daemon could look.
    """
    if not symbol and not remedies:
        return _compare(settings, which)
    if not symbol or len(remedies) != 1:
        raise ConfigurationError(
            "to resolve, name one symbol and one of --adopt, --flatten and --ignore-until TIME, with --reason"
        )
    wish = {"do": "resolve", "symbol": symbol, "how": remedies[0], "until": until, "reason": reason}
    return command(settings, which, wish)


def _compare(settings: Settings, which: Which) -> int:
    known = _quarantines(settings, which)
    try:
        answer = kill_switch.tell(_the_daemon(settings.robo_data_dir, which), {"do": "reconcile"})
    except NobodyAnswers as error:
        rows = list(known.values())
        words = [*_table(rows), f"{error}; a daemon must run to compare, and to resolve"]
        _print(which, {"rows": rows, "error": str(error)}, words)
        return error.exit_code
    found = answer["rows"]
    assert isinstance(found, list), "the daemon answers with rows"
    rows = [{**known.get(row["symbol"], {}), **row} for row in found]
    words = _table(rows) or ["the books and the broker agree: no position on either side"]
    _print(which, {"rows": rows}, [*words, *_remedies(rows)])
    differs = any(row["ours"] + (row.get("ignored") or 0) != row["broker"] for row in rows)
    return GateFailed.exit_code if differs else 0


def _table(rows: list[dict[str, Any]]) -> list[str]:
    return [
        f"{row['symbol']:<8} ours {row['ours']:>8}  broker {row['broker']:>8}  {_verdict(row)}"
        for row in rows
    ]


def _remedies(rows: list[dict[str, Any]]) -> list[str]:
    """Say how to resolve the first that needs it."""
    quarantined = [row["symbol"] for row in rows if row.get("quarantined")]
    if not quarantined:
        return []
    return [
        f"resolve with `robo-trader reconcile {quarantined[0]}` and --adopt (the broker is right), --flatten (and close "
        "it) or --ignore-until 2h (not ours), each with --reason …; it ends by itself where both sides agree again"
    ]


def _verdict(row: Mapping[str, Any]) -> str:
    if row.get("ignored"):
        return f"{row['ignored']} not ours to trade, until {iso(row['ignored_until_ns'])}"
    if row.get("quarantined", True):
        return f"QUARANTINED since {iso(row['since_ns'])}"
    return "agrees" if row["ours"] == row["broker"] else "differs; quarantined if it does so at the next look"


def _quarantines(settings: Settings, which: Which) -> dict[str, dict[str, Any]]:
    """Return what the database knows of open quarantines by symbol; empty where it cannot be read."""
    try:
        with closing(queries.connect_readonly(_database(settings, which))) as connection:
            return {row["symbol"]: row for row in queries.quarantines(connection, open_only=True)}
    except RoboTraderError:
        return {}


def _database(settings: Settings, which: Which) -> Path:
    """Return the database meant: the one named, else the account's, else the one last written. Raises DataError."""
    if which.db is not None or which.account is None:
        return commands.database_of(settings, which.db)
    found = sorted(
        settings.robo_data_dir.glob(f"*-{which.account}.db"), key=lambda path: path.stat().st_mtime
    )
    if not found:
        raise DataError(f"no database of {which.account} in {settings.robo_data_dir}: name one with --db")
    return found[-1]


# --------------------------------------------------------------------------------------------- which daemon


def _the_daemon(home: Path, which: Which) -> Address:
    """Return the one daemon that is meant. Raises ConfigurationError where several could be."""
    if which.account:
        return places.address_of(home, which.account)
    if which.db is not None:
        return places.address_of(home, _account_of(which.db))
    accounts = _accounts(home)
    running = [account for account in accounts if lock.holder(places.address_of(home, account).lock)]
    if len(running) > 1:
        raise ConfigurationError(f"daemons of {', '.join(running)} run: say which with --account")
    return places.address_of(home, (running or accounts or [_account_of(commands.database_in(home))])[0])


def _all(home: Path, which: Which) -> list[Address]:
    """Return every daemon a kill is for: those of this data directory, or where none of them runs, of this user."""
    if which.account or which.db:
        return [_the_daemon(home, which)]
    here = [places.address_of(home, account) for account in _accounts(home)]
    locks = places.lock_path("any").parent.glob("*.lock")
    of_user = [
        places.address_of(home, path.stem) for path in sorted(locks) if not _SESSION_LOCK.fullmatch(path.stem)
    ]
    return [address for address in here if lock.holder(address.lock)] or [
        r for r in of_user if lock.holder(r.lock)
    ]


def _accounts(home: Path) -> list[str]:
    """Name the accounts of the databases in the data directory, the last written first, without opening one."""
    found = sorted(home.glob("*.db"), key=lambda path: path.stat().st_mtime, reverse=True)
    named = [match[1] for path in found if (match := _OWN_NAME.fullmatch(path.stem))]
    return list(dict.fromkeys(named))


def _account_of(db: Path) -> str:
    """Return the account of a database, by its name where it has one of ours. Raises DataError, ConfigurationError."""
    if match := _OWN_NAME.fullmatch(db.stem):
        return match[1]
    with closing(queries.connect_readonly(db)) as connection:
        session = queries.session_row(connection)
    if session is None:
        raise ConfigurationError(f"{db} has no session yet: say which account with --account")
    account: str = session["account"]
    return account.removeprefix("SIM-")


def _print(which: Which, answer: Mapping[str, object], words: list[str]) -> None:
    sys.stdout.write((json.dumps(answer, default=str) if which.as_json else "\n".join(words)) + "\n")
