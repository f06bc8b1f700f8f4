"""Makes sure that `--use-ml` has a model: the newest that fits, or one trained now in a process of its own."""

from __future__ import annotations

import math
import os
import time
from collections.abc import Collection
from pathlib import Path

import structlog

from robo_trader.bootstrap.link import Link
from robo_trader.bootstrap.past import SESSION_MINUTES, take
from robo_trader.bootstrap.places import model_name
from robo_trader.config import Settings
from robo_trader.core.errors import DataError
from robo_trader.core.events import SECOND_NS
from robo_trader.features.feature_engine import schema_version
from robo_trader.features.technical_indicators import CATALOGUE, WARM_SESSIONS
from robo_trader.ml import registry, roles
from robo_trader.processes import Child
from robo_trader.storage.database import Database

log = structlog.get_logger()


async def trained_model(settings: Settings, link: Link, database: Database, bar_s: int) -> Path:
    """Return the directory of the model to use, trained on the link's history where there is none.

    The model is loaded once here, so that one that must not be used is refused before anything else happens.
    Raises DataError where it is altered or of other features, or where training fails.
    """
    name = model_name(link.connection.account)
    found = roles.champion(settings.ml_models_dir, name)
    if found is None:
        await _train(settings, link, database, name, bar_s)
        found = roles.champion(settings.ml_models_dir, name)
    if found is None:
        raise DataError(f"training left no model in {settings.ml_models_dir / name}")
    version = schema_version(bar_s * SECOND_NS, settings.features_market, settings.sectors())
    model = registry.load(found, version)
    _warn_of_a_short_past(settings.features_sessions, model.feature_names, bar_s)
    card = model.card
    unproven = (
        "UNPROVEN: traded all the same, as asked"
        if settings.ml_allow_unproven
        else "UNPROVEN: it will abstain"
    )
    verdict = "proven" if card.proven else unproven
    log.info("model", name=name, version=card.version, verdict=verdict, why=card.reason)
    sha256 = registry.manifest_sha256(found)
    await database.record_model(name, card.version, sha256, str(found), card.reason, time.time_ns())
    return found


def challenger_of(settings: Settings, champion: Path, bar_s: int) -> Path | None:
    """Return the directory of the version that votes in shadow, None without one that is fit for it."""
    standing = roles.read(champion.parent)
    if standing is None or not standing.challenger:
        return None
    found = champion.parent / standing.challenger
    try:
        registry.load(found, schema_version(bar_s * SECOND_NS, settings.features_market, settings.sectors()))
        registry.load_reference(found)
    except DataError as error:
        log.warning("challenger", what=standing.challenger, why=f"not heard: {error}")
        return None
    return found


def sessions_of(names: Collection[str], bar_s: int) -> int:
    """Return how many past sessions these features need until each has a value."""
    of_bars = max((f.warmup for f in CATALOGUE if f.name in names), default=0)
    per_session = SESSION_MINUTES * 60 // bar_s
    return max([math.ceil(of_bars / per_session), *(f.sessions for f in CATALOGUE if f.name in names)])


def _warn_of_a_short_past(wished: int, names: Collection[str], bar_s: int) -> None:
    needed = sessions_of(names, bar_s)
    if 0 < wished < needed:
        log.warning(
            "cold",
            what=f"FEATURES_SESSIONS={wished}, this model needs {needed}",
            why=f"it abstains for about {needed - wished} sessions; set {needed} or more, or 0 for as many as are needed",
        )


def trainer_of(
    settings: Settings,
    database: Database,
    name: str,
    symbols: Collection[str],
    bar_s: int,
    by: str,
    *more: str,
) -> Child:
    """Return a process that will train a model called `name` on what the database has of these symbols."""
    return Child(
        "robo_trader.train_models",
        [
            *("--db", str(database.path), "--symbols", ",".join(symbols)),
            *(
                "--name",
                name,
                "--days",
                str(settings.ml_history_days),
                "--models",
                str(settings.ml_models_dir),
            ),
            *("--threshold", str(settings.ml_threshold), "--by", by),
            *("--bar-seconds", str(bar_s), "--parent-pid", str(os.getpid()), *more),
        ],
        # Not as flags: what TWS refused has no bars, and is then not compared with.
        {"FEATURES_MARKET": settings.features_market, "FEATURES_SECTORS": settings.features_sectors},
    )


async def _train(settings: Settings, link: Link, database: Database, name: str, bar_s: int) -> None:
    days = settings.ml_history_days
    log.info("no_model_yet", name=name, doing=f"fetching {days} sessions of bars to train on")
    history = await link.history(database, days + WARM_SESSIONS)
    await take(history, link.pipeline, database)  # bars that are refused are not learnt from either
    symbols = [symbol for symbol in history.bars if symbol not in link.beside]
    trainer = trainer_of(settings, database, name, symbols, bar_s, "first start")
    try:
        await trainer.start()
        code = await trainer.wait()
    finally:
        await trainer.stop()
    if code:
        raise DataError(f"training ended with code {code}; see above")
