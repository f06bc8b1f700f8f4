"""Makes sure that `--use-ml` has a model: the newest that fits, or one trained now in a process of its own."""

from __future__ import annotations

import os
import time
from pathlib import Path

import structlog

from robo_trader.bootstrap.link import Link
from robo_trader.bootstrap.past import take
from robo_trader.bootstrap.places import model_name
from robo_trader.config import Settings
from robo_trader.core.errors import DataError
from robo_trader.core.events import SECOND_NS
from robo_trader.features.feature_engine import schema_version
from robo_trader.features.technical_indicators import WARM_SESSIONS
from robo_trader.ml import registry
from robo_trader.processes import Child
from robo_trader.storage.database import Database

log = structlog.get_logger()


async def trained_model(settings: Settings, link: Link, database: Database, bar_s: int) -> Path:
    """Return the directory of the model to use, trained on the link's history where there is none.

    The model is loaded once here, so that one that must not be used is refused before anything else happens.
    Raises DataError where it is altered or of other features, or where training fails.
    """
    name = model_name(link.connection.account)
    found = registry.latest(settings.ml_models_dir, name)
    if found is None:
        await _train(settings, link, database, name, bar_s)
        found = registry.latest(settings.ml_models_dir, name)
    if found is None:
        raise DataError(f"training left no model in {settings.ml_models_dir / name}")
    version = schema_version(bar_s * SECOND_NS, settings.features_market, settings.sectors())
    card = registry.load(found, version).card
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


async def _train(settings: Settings, link: Link, database: Database, name: str, bar_s: int) -> None:
    days = settings.ml_history_days
    log.info("no_model_yet", name=name, doing=f"fetching {days} sessions of bars to train on")
    history = await link.history(database, days + WARM_SESSIONS)
    await take(history, link.pipeline, database)  # bars that are refused are not learnt from either
    symbols = [symbol for symbol in history.bars if symbol not in link.beside]
    trainer = Child(
        "robo_trader.train_models",
        [
            *("--db", str(database.path), "--symbols", ",".join(symbols)),
            *("--market", settings.features_market, "--sectors", settings.features_sectors),
            *("--name", name, "--days", str(days), "--models", str(settings.ml_models_dir)),
            *("--threshold", str(settings.ml_threshold)),
            *("--bar-seconds", str(bar_s), "--parent-pid", str(os.getpid())),
        ],
    )
    try:
        await trainer.start()
        code = await trainer.wait()
    finally:
        await trainer.stop()
    if code:
        raise DataError(f"training ended with code {code}; see above")
