"""`robo-trader models`: the versions there are, what each has shown, and which of them is traded on."""

from __future__ import annotations

import json
import sys
import time
from contextlib import closing
from pathlib import Path

import msgspec

from robo_trader.bootstrap.places import model_name
from robo_trader.config import Settings
from robo_trader.core.errors import ConfigurationError, DataError
from robo_trader.core.events import OPERATOR
from robo_trader.features.feature_engine import schema_version
from robo_trader.ml import registry, roles
from robo_trader.ml.model import too_old
from robo_trader.ml.roles import Entry
from robo_trader.storage import queries
from robo_trader.storage.rows import iso

EFFECT = "a running daemon goes over to it within seconds, any other at its start"


def command(settings: Settings, action: str, version: str, name: str, reason: str, as_json: bool) -> int:
    """List the versions of the models called `name`, or give one of them the champion's role.

    Raises ConfigurationError on anything else, and DataError where that version must not be used.
    """
    name = name or _only_name(settings)
    match action:
        case "" if not version:
            _print(_listed(settings, name, as_json))
        case "promote" if version:
            _print(_crown(settings, name, version, reason))
        case "rollback" if not version:
            _print(_crown(settings, name, _predecessor(settings, name), reason))
        case _:
            raise ConfigurationError(
                "models takes nothing to list them, `promote VERSION --reason …` or `rollback --reason …`"
            )
    return 0


def usable(settings: Settings, name: str, version: str) -> str:
    """Return what a person should know of a version that may be traded on. Raises DataError where it may not.

    That is where it is damaged, of features that these settings do not compute, or too old.
    """
    directory = settings.ml_models_dir / name / version
    if not directory.is_dir():
        raise DataError(
            f"{directory.parent} has no version {version}: `robo-trader models` lists those there are"
        )
    manifest = registry.read_manifest(directory)
    features = schema_version(manifest.interval_ns, settings.features_market, settings.sectors())
    card = registry.load(directory, features).card
    registry.load_reference(directory)
    if expired := too_old(version, card.last, market_now(settings, name), settings.ml_max_age_days):
        raise DataError(f"{expired}; {registry.AGAIN}")
    return "" if card.proven else f"UNPROVEN, it will abstain: {card.reason}"


def market_now(settings: Settings, name: str) -> int:
    """Return the time on the market of these models, UTC ns: a practice market's is the last that was written down."""
    told = [_last_told(path, name) for path in sorted(settings.robo_data_dir.glob("*.db"))]
    return max(told, default=0) if name.startswith("practice-") else time.time_ns()


def _last_told(path: Path, name: str) -> int:
    try:
        with closing(queries.connect_readonly(path)) as connection:
            session = queries.session_row(connection)
            last: int | None = connection.execute("SELECT max(ts) FROM equity").fetchone()[0]
    except DataError:
        return 0
    of_it = session is not None and model_name(session["account"].removeprefix("SIM-")) == name
    return last or 0 if of_it else 0


def _only_name(settings: Settings) -> str:
    found = roles.names(settings.ml_models_dir)
    if len(found) != 1:
        there = ", ".join(found) or "none"
        raise ConfigurationError(
            f"whose models? Say with --name; in {settings.ml_models_dir} there are: {there}"
        )
    return found[0]


def _predecessor(settings: Settings, name: str) -> str:
    standing = roles.read(settings.ml_models_dir / name)
    if standing is None or not standing.predecessor:
        raise DataError(f"no model of {name} was traded on before this one: there is nothing to go back to")
    return standing.predecessor


def _crown(settings: Settings, name: str, version: str, reason: str) -> list[str]:
    if not reason.strip():
        raise ConfigurationError(
            "to change the model that is traded on needs a reason: say why with --reason"
        )
    warning = usable(settings, name, version)
    roles.settle(settings.ml_models_dir, name, OPERATOR)  # so that a rollback finds what is replaced
    roles.crown(settings.ml_models_dir, name, version, reason.strip(), OPERATOR)
    return [f"{version} is the champion of {name}: {EFFECT}", *([warning] if warning else [])]


def _listed(settings: Settings, name: str, as_json: bool) -> list[str]:
    found, now = roles.listing(settings.ml_models_dir, name), market_now(settings, name)
    if as_json:
        return [json.dumps(msgspec.to_builtins(found))]
    standing = roles.read(settings.ml_models_dir / name)
    lines = [f"models of {name}, in {settings.ml_models_dir / name}"]
    for entry in found:
        lines += _row(entry, now, settings.ml_max_age_days)
        if standing is not None and entry.role == "champion":
            lines.append(
                f"  champion since {standing.reign.since} by {standing.reign.by}: {standing.reign.why}"
            )
    return lines


def _row(entry: Entry, now: int, max_age_days: int) -> list[str]:
    if not entry.created:
        return [f"{entry.version}  {entry.role:<11} {entry.verdict}"]
    is_old = too_old(entry.version, entry.last, now, max_age_days)
    state = "PROVEN" if entry.proven else "UNPROVEN"
    window = f"{iso(entry.first)[:10]} to {iso(entry.last)[:10]}"
    return [
        f"{entry.version}  {entry.role:<11} {state}{' EXPIRED' if is_old else ''}  learnt from {window}, "
        f"{entry.trials} tried",
        f"  {entry.verdict}",
    ]


def _print(lines: list[str]) -> None:
    sys.stdout.write("\n".join(lines) + "\n")
