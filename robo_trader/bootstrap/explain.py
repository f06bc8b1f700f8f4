"""The command that says why a share was traded, or was not, from what the journal holds."""

from __future__ import annotations

import json
import sqlite3
import sys
from contextlib import closing
from pathlib import Path
from typing import Any

import msgspec
import numpy as np

from robo_trader.bootstrap.commands import database_of
from robo_trader.bootstrap.plan import Plan, read_plan
from robo_trader.bootstrap.shown_features import clock, parse_time
from robo_trader.config import Settings
from robo_trader.core.errors import DataError
from robo_trader.core.events import MINUTE_NS, Bar
from robo_trader.core.steps import Abstained, Decision, Denied, FeatureRow, Signal, digested
from robo_trader.ml import registry
from robo_trader.ml.model import Ensemble
from robo_trader.risk.gates import all_gates
from robo_trader.storage import feature_rows, queries, trail
from robo_trader.storage.feature_rows import FeatureVector
from robo_trader.storage.rows import iso
from robo_trader.storage.trail import Moment

SHOWN = 5  # features that mattered most


def explain(settings: Settings, symbol: str, at: str, db: Path | None, as_json: bool) -> int:
    """Print what a share's newest decision at or before a New York time came from, and what came of it.

    A decision not to trade is one as well. Raises DataError where there is none, ConfigurationError where `at` is no time.
    """
    path, symbol = database_of(settings, db), symbol.strip().upper()
    until = parse_time(at)
    with closing(queries.connect_readonly(path)) as connection:
        moment = trail.last_moment(connection, symbol, until)
        if moment is None:
            by_then = f" by {at}" if at else ""
            raise DataError(f"{path} tells of no signal, abstention or decision of {symbol}{by_then}")
        told = gathered(connection, symbol, moment)
    sys.stdout.write((json.dumps(told, default=str) if as_json else "\n".join(_in_words(told))) + "\n")
    return 0


def gathered(connection: sqlite3.Connection, symbol: str, moment: Moment) -> dict[str, Any]:
    """Return all that is known of a moment: what was heard, said, sized, asked, sent and filled."""
    session = queries.session_row(connection, moment.session_id)
    plan = read_plan(moment.session_id, session["config"] if session else None)
    facts = [fact for fact in moment.step.facts if getattr(fact, "symbol", symbol) == symbol]
    said = next((fact for fact in facts if isinstance(fact, Signal | Abstained)), None)
    decisions = [fact for fact in facts if isinstance(fact, Decision)]
    ts = moment.event.ts
    return {
        "symbol": symbol,
        "ts": iso(ts),
        "ts_ns": ts,
        "session": moment.session_id,
        "event": moment.seq,
        "bar": msgspec.to_builtins(moment.event) if isinstance(moment.event, Bar) else None,
        "regime": trail.regime_at(connection, moment.session_id, symbol, ts),
        "said": None if said is None else msgspec.to_builtins(said),
        "model": _model(connection, plan, next((f for f in facts if isinstance(f, FeatureRow)), None)),
        "decisions": [_followed(connection, plan, decision) for decision in decisions],
        "denied": [msgspec.to_builtins(fact) for fact in facts if isinstance(fact, Denied)],
    }


def _followed(connection: sqlite3.Connection, plan: Plan, decision: Decision) -> dict[str, Any]:
    """Return a decision, what the gates said to its orders, and what became of those."""
    told: dict[str, Any] = msgspec.to_builtins(decision)
    if not decision.order_id:
        return told | {"orders": [], "refused": [], "fills": [], "gates": []}
    orders = trail.orders_of(connection, decision.order_id)
    return told | {
        "orders": orders,
        "refused": trail.refusals_of(connection, decision.order_id),
        "fills": trail.fills_of(connection, [order["id"] for order in orders]),
        "gates": [gate.name for gate in all_gates(plan.gate_options)],
    }


# ---------------------------------------------------------------------------------------- what the model saw


def _model(connection: sqlite3.Connection, plan: Plan, row: FeatureRow | None) -> dict[str, Any] | None:
    """Ask the session's model about the row once more; None without a model, `unknown` where that cannot be done."""
    if not (plan.use_ml and plan.model):
        return None
    if row is None:
        return {"unknown": "no features were computed of this bar"}
    try:
        found = feature_rows.last_vector(connection, row.symbol, row.ts)
        if found is None or digested(_row_of(found)) != row:
            return {"unknown": "the features of this bar are not kept any more"}
        model = registry.load(Path(plan.model), row.version)
        return _asked(model, plan, found.values[model.columns(found.columns)])
    except DataError as error:
        return {"unknown": str(error)}


def _row_of(vector: FeatureVector) -> FeatureRow:
    return FeatureRow(vector.ts, vector.symbol, vector.version, vector.values.tobytes())


def _asked(model: Ensemble, plan: Plan, x: np.ndarray[Any, np.dtype[np.float64]]) -> dict[str, Any]:
    card = model.card
    told = {
        "version": card.version,
        "proven": card.proven,
        "verdict": card.reason,
        "minutes": card.horizon * card.interval_ns // MINUTE_NS,
        "threshold": card.acting(plan.ml_options.threshold),
        "payoff": None if card.payoff is None else msgspec.to_builtins(card.payoff),
    }
    missing = [model.feature_names[i] for i in np.flatnonzero(~np.isfinite(x))]
    if missing:
        return told | {"unknown": f"features were not known: {', '.join(missing)}"}
    said = model.answer(x)
    return told | {
        "votes": dict(zip(model.names, said.votes.tolist(), strict=True)),
        "weights": dict(zip(model.names, model.weight.tolist(), strict=True)),
        "probability": said.probability,
        "strangeness": said.strangeness,
        "mattered": mattered(model, x, said.probability),
    }


def mattered(
    model: Ensemble, x: np.ndarray[Any, np.dtype[np.float64]], probability: float
) -> list[dict[str, Any]]:
    """Return the features that moved P most: each with what P would be were it alone at its mean in training.

    That is one column at a time; what features do only together is not seen by it.
    """
    usual = model.parts.space.standard[0]
    rows = np.tile(x, (len(x), 1))
    np.fill_diagonal(rows, usual)
    without = model.predict_many(rows)
    order = np.argsort(-np.abs(probability - without), kind="stable")[:SHOWN]
    return [
        {
            "feature": model.feature_names[i],
            "value": float(x[i]),
            "usual": float(usual[i]),
            "without": float(without[i]),
        }
        for i in order.tolist()
    ]


# -------------------------------------------------------------------------------------------------- in words


def _in_words(told: dict[str, Any]) -> list[str]:
    lines = [f"{told['symbol']}  {clock(told['ts_ns'])}  session {told['session']}, event {told['event']}"]
    if bar := told["bar"]:
        prices = "  ".join(f"{name} {bar[name]:.2f}" for name in ("open", "high", "low", "close"))
        lines.append(f"bar       {prices}  volume {bar['volume']:,.0f}")
    regime = told["regime"]
    lines.append(
        f"regime    {regime['regime']}  {regime['why']}, since {clock(regime['ts_ns'])}"
        if regime
        else "regime    not told in this session"
    )
    lines += _said(told["said"]) + _voted(told["model"])
    for decision in told["decisions"]:
        lines += _decided(decision)
    if not told["decisions"]:
        lines.append("decision  none: nothing to change")
    return lines


def _said(said: dict[str, Any] | None) -> list[str]:
    if said is None:
        return ["said      nothing: a person or the desk decided"]
    if said["kind"] == "Abstained":
        return [f"abstained {said['reason']}"]
    direction = {1: "long", 0: "flat", -1: "short"}[said["direction"]]
    return [f"signal    {direction} by {said['strategy']}: {said['reason']}"]


def _voted(model: dict[str, Any] | None) -> list[str]:
    if model is None:
        return []
    lines = []
    if "version" in model:
        proven = "proven" if model["proven"] else "UNPROVEN"
        lines.append(f"model     {model['version']}  {proven}: {model['verdict']}")
    if "unknown" in model:
        return [*lines, f"votes     not shown: {model['unknown']}"]
    votes = "  ".join(f"{name} {vote:.3f}" for name, vote in model["votes"].items())
    lines.append(
        f"votes     P(up {model['minutes']}m) {model['probability']:.3f}, threshold {model['threshold']:.2f}: {votes}"
    )
    lines.append(f"unlikeness {model['strangeness']:.2f} of what is allowed")
    lines += [
        f"  {one['feature']:<26} {one['value']:>12.5g}   at its usual {one['usual']:.5g} P would be {one['without']:.3f}"
        for one in model["mattered"]
    ]
    return lines


def _decided(decision: dict[str, Any]) -> list[str]:
    sizes = [f"  {name:<26} {value:>14,.6g}" for name, value in decision["steps"].items()]
    if not decision["order_id"]:
        return [f"decision  no order: {decision['reason']}", *sizes]
    lines = [
        f"decision  {decision['side']} {decision['quantity']} as {decision['order_id']}, worked by {decision['algorithm']}",
        *sizes,
    ]
    for refused in decision["refused"]:
        limit = "" if refused["limit"] is None else f" (value {refused['value']}, limit {refused['limit']})"
        lines.append(f"refused   {refused['order_id']} by {refused['gate']}: {refused['reason']}{limit}")
    if decision["orders"] and not decision["refused"]:
        lines.append(f"gates     refused nothing: {', '.join(decision['gates'])}")
    lines += [_order(order) for order in decision["orders"]]
    lines += [_fill(fill) for fill in decision["fills"]]
    return lines


def _order(order: dict[str, Any]) -> str:
    price = order["stop_price"] or order["limit_price"]
    at = f" at {price}" if price else ""
    why = f"  {order['message']}" if order["message"] else ""
    size = f"{order['side']} {order['quantity']} {order['type']}{at}"
    return f"order     {order['id']}  {size}  {order['status']}, {order['filled']} filled{why}"


def _fill(fill: dict[str, Any]) -> str:
    paid = "not told yet" if fill["commission"] is None else fill["commission"]
    return f"fill      {fill['side']} {fill['quantity']} at {fill['price']}  commission {paid}  of {fill['order_id']}"
