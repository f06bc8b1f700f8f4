"""Holds what the ensemble votes for, for as long as its forecast reaches, and says so when it has nothing to say."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from robo_trader.core.events import MINUTE_NS, SECOND_NS, Bar
from robo_trader.core.protocols import Session, Vector, View
from robo_trader.core.steps import Abstained, Fact, Signal
from robo_trader.ml.model import Answer, Ensemble, too_old

NO_MODEL = "no model: train one with `python -m robo_trader.train_models`"
UNPROVEN = "UNPROVEN"
EXIT_RETRY_BARS = 2


@dataclass(frozen=True)
class MLStrategyOptions:
    """When to act: the vote needed, whether to go short, whether on a model that has proven nothing, and patience in bars.

    A model acts at the vote it was judged at (`Card.threshold`); a stricter one holds, a laxer one nobody has judged.
    From `closing_bars` before the session's end everything is given up, and nothing is entered that could not live its
    horizon before that. `retry_bars` pass before an entry that came to nothing is asked for again; `summary_bars` without
    a vote are told in one fact. A model whose knowledge ends more than `max_age_days` ago enters nothing; 0 for never.
    """

    threshold: float = 0.65
    allow_short: bool = False
    allow_unproven: bool = False
    closing_bars: int = 5
    retry_bars: int = 10
    summary_bars: int = 30
    max_age_days: int = 0


class _Stand:
    """Where the strategy stands in one symbol; times in UTC ns."""

    __slots__ = (
        "asked",
        "direction",
        "highest",
        "leaving",
        "lowest",
        "quiet",
        "said",
        "session",
        "since",
        "wait_until",
    )

    def __init__(self) -> None:
        self.session = ""
        self.said: set[str] = set()  # told once a session
        self.take(0, 0, 0)

    def take(
        self, direction: int, ts: int, wait_ns: int, *, leaving: bool = False, asked: bool = False
    ) -> None:
        self.direction, self.leaving, self.asked = direction, leaving, asked
        self.since, self.wait_until = ts, ts + wait_ns
        self.start_summary()

    def start_summary(self) -> None:
        self.quiet, self.lowest, self.highest = 0, 1.0, 0.0


class MLStrategy:
    """Implements `core.protocols.Strategy`: one direction a symbol, +1, 0 or -1, told only when it changes.

    Enters on a vote, leaves when the horizon has passed unless the same vote stands then, or at once on the opposite
    vote. It follows the position, not its memory: an entry that came to nothing is asked for again only after a pause,
    and what is held without having been asked for is kept for one horizon. Without a model that has proven itself, or
    with one that has expired, it enters nothing and says why, once a session and symbol.
    """

    name = "ml"

    def __init__(
        self, model: Ensemble | None, feature_names: Sequence[str], options: MLStrategyOptions | None = None
    ) -> None:
        """Take the model (None: abstain) and the names of `View.vector`. Raises DataError where one is missing."""
        self._model = model
        self._options = options or MLStrategyOptions()
        self._columns = model.columns(feature_names) if model else np.empty(0, dtype=np.intp)
        self._stands: dict[str, _Stand] = {}

    def adopt(self, model: Ensemble, feature_names: Sequence[str]) -> None:
        """Go over to another model; what is held stays held, for its horizon. Raises DataError like the constructor."""
        self._columns = model.columns(feature_names)
        self._model = model

    @property
    def _vote(self) -> float:
        """The probability that a vote must reach."""
        asked = self._options.threshold
        return asked if self._model is None else self._model.card.acting(asked)

    def on_bar(self, bar: Bar, view: View) -> Sequence[Signal | Fact]:
        """Return the signal or abstention this closed bar calls for; history and other hours call for nothing."""
        session = view.session()
        if bar.history or session is None:
            return ()
        stand = self._stand(bar.symbol, session)
        if self._model is None:
            return self._abstain_once(stand, bar, NO_MODEL)
        self._follow(stand, bar, view.position(bar.symbol) + view.working(bar.symbol))
        obstacle = _obstacle(self._model, bar, self._options.allow_unproven)
        if obstacle and not stand.asked:
            return self._abstain_once(stand, bar, obstacle)
        # What is held lives out its horizon and is given up, though the model is heard no more.
        card, most = self._model.card, self._options.max_age_days
        obstacle = obstacle or too_old(card.version, card.last, bar.ts, most)
        said, unknown = (None, obstacle) if obstacle else self._ask(self._model, view.vector(bar.symbol))
        if said is None and not (stand.direction or stand.leaving):
            return self._abstain_once(stand, bar, unknown)
        return self._decide(self._model, stand, bar, said, (session.close - bar.ts) // bar.interval_ns)

    def forget(self, symbol: str) -> None:
        """Nothing is to be forgotten: a stand is a direction and times."""

    def _stand(self, symbol: str, session: Session) -> _Stand:
        stand = self._stands.get(symbol)
        if stand is None:
            stand = self._stands[symbol] = _Stand()
        if session.label != stand.session:
            stand.session, stand.said = session.label, set()
            stand.start_summary()
        return stand

    def _follow(self, stand: _Stand, bar: Bar, held: int) -> None:
        """Bring the stand in line with what is really held: position and what is still to come."""
        actual = (held > 0) - (held < 0)
        pause_ns = self._options.retry_bars * bar.interval_ns
        if actual == stand.direction:
            stand.leaving = False
        elif not actual:  # the entry was refused, or somebody else closed it
            stand.take(0, bar.ts, pause_ns)
        elif not stand.leaving:  # found at a start, or a reversal came to nothing
            stand.take(actual, bar.ts, pause_ns)

    def _ask(self, model: Ensemble, vector: Vector | None) -> tuple[Answer | None, str]:
        """Return what the model says of a bar, or None and why nothing can be said."""
        if vector is None:
            return None, "no features of this bar"
        row = vector[self._columns]
        if not np.isfinite(row).all():
            missing = [model.feature_names[i] for i in np.flatnonzero(~np.isfinite(row))]
            more = f" and {len(missing) - 3} more" if len(missing) > 3 else ""
            return None, f"not known yet, or not any more: {', '.join(missing[:3])}{more}"
        said = model.answer(row)
        if said.strangeness > 1:
            return None, f"unlike all it was trained on, most of all {', '.join(model.worst(row))}"
        return said, ""

    def _decide(
        self, model: Ensemble, stand: _Stand, bar: Bar, said: Answer | None, left: int
    ) -> Sequence[Signal | Fact]:
        roomy = left >= model.card.horizon + self._options.closing_bars
        vote = 0 if said is None else model.side(said, self._vote)
        entry = vote if roomy and (vote > 0 or self._options.allow_short) else 0
        if stand.direction:
            wanted, why = self._hold(model, stand, bar, vote, entry, left)
        elif stand.leaving:
            return self._leave_again(model, stand, bar, said)
        else:
            wanted, why = (entry if bar.ts >= stand.wait_until else 0), ""
        if wanted != stand.direction:
            leaving = wanted == 0
            pause_ns = EXIT_RETRY_BARS * bar.interval_ns if leaving else 0
            stand.take(wanted, bar.ts, pause_ns, leaving=leaving, asked=True)
            return (self._signal(model, bar, wanted, why, said),)
        if wanted or said is None:
            return ()
        if not roomy:
            return self._abstain_once(
                stand, bar, f"too near the close for a forecast of {model.card.horizon} bars"
            )
        return self._summarise(stand, bar, said.probability)

    def _hold(
        self, model: Ensemble, stand: _Stand, bar: Bar, vote: int, entry: int, left: int
    ) -> tuple[int, str]:
        """Return the direction wanted by one who holds `stand.direction`, and why if that changes it."""
        if left <= self._options.closing_bars:
            return 0, "the session ends"
        if vote == -stand.direction:
            return (entry if bar.ts >= stand.wait_until else 0), "the vote has turned"
        if bar.ts - stand.since < model.card.horizon * bar.interval_ns:
            return stand.direction, ""
        if entry == stand.direction:
            stand.since = bar.ts
            return stand.direction, ""
        return 0, f"held {(bar.ts - stand.since) // MINUTE_NS} min, the forecast reaches no further"

    def _leave_again(
        self, model: Ensemble, stand: _Stand, bar: Bar, said: Answer | None
    ) -> Sequence[Signal | Fact]:
        if bar.ts < stand.wait_until:
            return ()
        stand.take(0, bar.ts, EXIT_RETRY_BARS * bar.interval_ns, leaving=True, asked=True)
        return (self._signal(model, bar, 0, "still held, the exit came to nothing", said),)

    def _signal(self, model: Ensemble, bar: Bar, direction: int, why: str, said: Answer | None) -> Signal:
        probability = None if said is None else said.probability
        reasons = [] if model.card.proven else [UNPROVEN]
        reasons += [why] if why else []
        if said is not None:
            minutes = model.card.horizon * bar.interval_ns // MINUTE_NS
            each = " ".join(f"{name} {vote:.2f}" for name, vote in zip(model.names, said.votes, strict=True))
            reasons.append(
                f"P(up {minutes}m)={probability:.2f} {each}, threshold {self._threshold(direction):.2f}"
            )
        return Signal(
            ts=bar.ts,
            symbol=bar.symbol,
            strategy=self.name,
            direction=direction,
            strength=bet_size(probability) if direction and probability is not None else 0.0,
            reason="; ".join(reasons),
            probability=probability,
            model=model.card.version,
            payoff=model.card.payoff,
        )

    def _threshold(self, direction: int) -> float:
        return 1 - self._vote if direction < 0 else self._vote

    def _summarise(self, stand: _Stand, bar: Bar, probability: float) -> Sequence[Fact]:
        """Count a bar without a vote; tell of `summary_bars` of them at once."""
        stand.quiet += 1
        stand.highest, stand.lowest = max(stand.highest, probability), min(stand.lowest, probability)
        if stand.quiet < self._options.summary_bars:
            return ()
        reason = f"no vote of {self._vote:.2f} in {stand.quiet} bars, highest {stand.highest:.3f}"
        if self._options.allow_short:
            reason += f", lowest {stand.lowest:.3f}"
        stand.start_summary()
        return (Abstained(bar.ts, bar.symbol, self.name, reason, probability),)

    def _abstain_once(self, stand: _Stand, bar: Bar, reason: str) -> Sequence[Fact]:
        if reason in stand.said:
            return ()
        stand.said.add(reason)
        return (Abstained(bar.ts, bar.symbol, self.name, reason),)


def bet_size(probability: float) -> float:
    """Return how strongly a probability speaks, in [0, 1]: 2 Phi((p - 1/2) / sqrt(p (1 - p))) - 1, either side alike.

    Source: López de Prado, Advances in Financial Machine Learning, 10.3.

    >>> round(bet_size(0.65), 4), round(bet_size(0.35), 4), bet_size(1.0)
    (0.2468, 0.2468, 1.0)
    """
    spread = math.sqrt(2 * probability * (1 - probability))
    return math.erf(abs(probability - 0.5) / spread) if spread else 1.0


def _obstacle(model: Ensemble, bar: Bar, allow_unproven: bool) -> str:
    """Say why this model cannot speak of this bar at all, empty when it can."""
    card = model.card
    if not (card.proven or allow_unproven):
        return f"model {card.version} is unproven: {card.reason}"
    if card.interval_ns != bar.interval_ns:
        trained, here = card.interval_ns // SECOND_NS, bar.interval_ns // SECOND_NS
        return f"model {card.version} was trained on bars of {trained} s, these are of {here} s"
    return ""
