"""What a model must show before anybody trades on it, one criterion after the other."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from robo_trader.ml import labels, sharpe, validation
from robo_trader.ml.trades import Evidence, Trades, by_session, trade
from robo_trader.ml.validation import Interval, Overlap

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

QUARTER = 63  # sessions


@dataclass(frozen=True)
class GateOptions:
    """What a model must show: trades a quarter, how sure its proofs must be, and what may be left to doubt.

    `calibration_error` is allowed beside what calibrated probabilities would show by chance, `loss_gap` is nats a row,
    `too_good` an AUC that no market gives away: who reaches it has seen the future.
    """

    trades_a_quarter: int = 30
    level: float = 0.95
    overfitting: float = 0.2
    calibration_error: float = 0.02
    slope: tuple[float, float] = (0.9, 1.1)
    loss_gap: float = 0.05
    too_good: float = 0.9


@dataclass(frozen=True)
class Criterion:
    """One question to a model: what it showed, what was asked, whether that is enough, and what it means."""

    name: str
    value: str
    limit: str
    passed: bool
    meaning: str


@dataclass(frozen=True)
class Learnt:
    """The rows an ensemble was trained on: their labels and what it says of them now."""

    label: NDArray[np.int8]
    probability: Floats


@dataclass(frozen=True)
class Record:
    """What following the votes came to: precision and confidence of the trades, and what each left, bps net of cost.

    `win_bps` is what those that came true left, `loss_bps` what the others cost.
    """

    trades: int
    longs: int
    precision: float | None
    confidence: float | None
    net_bps: float | None
    long_net_bps: float | None
    short_net_bps: float | None
    win_bps: float | None
    loss_bps: float | None


def break_even(forward: Floats, cost_bps: float) -> float:
    """Return the probability at which a trade of such moves (log returns) just earns its cost, 1 where none can."""
    move = float(np.abs(forward).mean()) * 1e4
    return sharpe.precision_for(move - cost_bps, move + cost_bps) if move > cost_bps else 1.0


def acting_threshold(past: Evidence, asked: float, cost_bps: float, options: GateOptions) -> float:
    """Return the vote to act on: the one `asked` for, or break-even where that one is hardly ever reached.

    Honest probabilities of a weak edge rarely go far. The test block has no say in this.
    """
    if len(trade(past, asked, cost_bps).row) >= least_trades(past, options):
        return asked
    return min(asked, break_even(past.forward, cost_bps))


def least_trades(seen: Evidence, options: GateOptions) -> int:
    """Return how many trades there must be in the sessions of these rows."""
    return math.ceil(options.trades_a_quarter * len(np.unique(seen.session)) / QUARTER)


def record(seen: Evidence, trades: Trades) -> Record:
    """Sum up the trades."""
    longs, right = trades.side > 0, _right(seen, trades) > 0
    lost = _mean(trades.net_bps[~right])
    return Record(
        trades=len(longs),
        longs=int(longs.sum()),
        precision=_mean(_right(seen, trades)),
        confidence=_mean(_sure(seen, trades)),
        net_bps=_mean(trades.net_bps),
        long_net_bps=_mean(trades.net_bps[longs]),
        short_net_bps=_mean(trades.net_bps[~longs]),
        win_bps=_mean(trades.net_bps[right]),
        loss_bps=None if lost is None else -lost,
    )


def forecasts(
    seen: Evidence, auc: Interval, skill: Interval, learnt: Learnt, overlap: Overlap, options: GateOptions
) -> list[Criterion]:
    """Ask whether the probabilities are worth anything and mean what they say; `auc` and `skill` are of the test block."""
    whole = validation.brier_skill(seen.label, seen.probability, seen.session)
    group = validation.equal_mass(seen.probability)
    error = validation.calibration_error(seen.label, seen.probability, group)
    allowed = options.calibration_error + validation.calibration_noise(
        seen.probability, group, float(labels.average_uniqueness(seen.ts, seen.known_at, seen.symbol).sum())
    )
    slope = validation.reliability_slope(seen.label, seen.probability, seen.ts, overlap)
    low, high = options.slope
    gap = validation.log_loss(seen.label, seen.probability) - validation.log_loss(
        learnt.label, learnt.probability
    )
    return [
        Criterion(
            "AUC, test block", str(auc), f"> 0.5 for sure, < {options.too_good:g}",
            auc.low > 0.5 and auc.value < options.too_good, "ranks bars nobody has seen, and knows no future",
        ),
        Criterion(
            "Brier skill, test block", f"{skill.value:+.4f}", "> 0", skill.value > 0,
            "says more than how often prices rose there",
        ),
        Criterion(
            "Brier skill, all unseen bars", f"{whole.value:+.4f} ({whole.low:+.4f}..{whole.high:+.4f})",
            "> 0 for sure", whole.low > 0, "did so on every part of the past, by a bootstrap of sessions",
        ),
        Criterion(
            "calibration error", f"{error:.3f}", f"<= {allowed:.3f}", error <= allowed,
            "probabilities come true as often as they say",
        ),
        Criterion(
            "reliability slope", f"{slope.value:.2f} ({slope.low:.2f}..{slope.high:.2f})",
            f"may be {low:g}..{high:g}", slope.low <= high and slope.high >= low and slope.low > 0,
            "neither too sure nor too shy",
        ),
        Criterion(
            "log-loss, unseen - learnt", f"{gap:+.4f}", f"<= {options.loss_gap:g}", gap <= options.loss_gap,
            "has learnt rules rather than rows by heart",
        ),
    ]  # fmt: skip


def trading(seen: Evidence, trades: Trades, even: float, options: GateOptions) -> list[Criterion]:
    """Ask whether following the votes came true as often as they said, often enough, and left something after costs."""
    least, n = least_trades(seen, options), len(trades.row)
    name = "trades", str(n), f">= {least}"
    if n < least or n == 0:
        return [Criterion(*name, False, f"too few votes to judge by ({options.trades_a_quarter} a quarter)")]
    made = record(seen, trades)
    right, sure = made.precision or 0.0, made.confidence or 0.0
    doubt = 2 * _error(by_session(seen.session, trades.row, _right(seen, trades) - _sure(seen, trades))) / n
    return [
        Criterion(*name, True, "enough votes to judge by"),
        Criterion(
            "precision - confidence", f"{right:.3f} - {sure:.3f}", f"within {doubt:.3f}",
            abs(right - sure) <= doubt, "votes come true as often as they say, within two standard errors (by session)",
        ),
        Criterion(
            "precision at coverage", f"{right:.3f}", f"> {even:.3f}", right > even,
            "right more often than it takes to pay the costs",
        ),
        Criterion(
            "edge a trade", f"{made.net_bps:+.1f} bp", "> 0", (made.net_bps or 0.0) > 0,
            "what was left of a trade after costs",
        ),
    ]  # fmt: skip


def luck(
    seen: Evidence,
    trades: Trades,
    names: tuple[str, ...],
    trials: int,
    options: GateOptions,
    tried: Floats | None = None,
) -> list[Criterion]:
    """Ask whether luck, or the best of many tries, would have shown as much; by session, for symbols move together.

    `tried` (sessions, configurations) is what each configuration earned that a search compared.
    """
    earned = sharpe.returns(by_session(seen.session, trades.row, trades.net_bps))
    psr, dsr = sharpe.probabilistic(earned), sharpe.deflated(earned, trials)
    needed = sharpe.least_record(earned, level=options.level)
    enough = f"{needed:.0f} sessions would do" if math.isfinite(needed) else "no record could prove it"
    bets = wagered(seen.session, np.column_stack([seen.votes, seen.probability]), seen.forward)
    years = f" (a ratio of 1 in {sharpe.least_backtest(trials):.1f} years)" if trials > 1 else ""
    return [
        Criterion(
            "PSR", f"{psr:.3f}", f">= {options.level:g}", psr >= options.level,
            f"a Sharpe ratio above 0 over {earned.periods} sessions; {enough}",
        ),
        Criterion(
            f"DSR, {trials} tried", f"{dsr:.3f}", f">= {options.level:g}", dsr >= options.level,
            f"above what the best of so many would show by luck{years}",
        ),
        _overfitting("PBO", bets, f"{len(names)} members and their blend", options),
        *(
            []
            if tried is None
            else [_overfitting("PBO, search", tried, f"{tried.shape[1]} configurations", options)]
        ),
    ]  # fmt: skip


def wagered(session: Ints, probability: Floats, forward: Floats) -> Floats:
    """Return what probabilities (n, c) earned in each session when each staked 2P - 1 on every row: (sessions, c)."""
    return by_session(session, np.arange(len(session)), (2 * probability - 1) * forward[:, None])


def _overfitting(name: str, earned: Floats, of: str, options: GateOptions) -> Criterion:
    # Beside its own reverse: among choices that are equally good the plain index is a half whatever they know.
    found = sharpe.overfitting(np.hstack([earned, -earned]))
    return Criterion(
        name, f"{found:.3f}", f"< {options.overfitting:g}", found < options.overfitting,
        f"the best of {of} in one half of time earns in the other",
    )  # fmt: skip


def _right(seen: Evidence, trades: Trades) -> Floats:
    return np.asarray(seen.label[trades.row] == (trades.side > 0), dtype=np.float64)


def _sure(seen: Evidence, trades: Trades) -> Floats:
    said = seen.probability[trades.row]
    return np.asarray(np.where(trades.side > 0, said, 1 - said), dtype=np.float64)


def _error(amounts: Floats) -> float:
    """Return the standard error of the sum of what independent sessions add to it."""
    return float(np.sqrt(len(amounts)) * amounts.std(ddof=1)) if len(amounts) > 1 else math.inf


def _mean(values: Floats) -> float | None:
    return float(values.mean()) if len(values) else None
