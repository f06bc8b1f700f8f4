"""Writes `step.py`, the one compiled step of all features, and `docs/features.md`, what each of them is.

    python -m robo_trader.features.compose

Run it after any change in a room of features; `step.py` says whether it still fits them.
"""

from __future__ import annotations

import ast
import hashlib
import inspect
import sys
import textwrap
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import accumulate
from pathlib import Path
from types import ModuleType

from robo_trader.features import base, cross_section, kernels, microstructure
from robo_trader.features.base import Feature
from robo_trader.features.technical_indicators import CATALOGUE, ROOMS

HERE = Path(__file__).parent
STEP = HERE / "step.py"
GIVEN = ("s", "now", "day", "context")
ENTRIES = (  # what else is called from Python
    (cross_section, "survey"),
    *((microstructure, name) for name in ("open_book", "on_quote", "on_trade", "on_depth", "replay")),
)
OWN_OF = "own of "  # in `needs`: not another feature's value but where its own numbers begin


class WrongFeature(Exception):
    """A feature asks for what nobody computes; for who writes it."""


def fingerprint() -> str:
    """Return the sha256 of all that `step.py` is made of."""
    digest = hashlib.sha256()
    for module in (base, kernels, sys.modules[__name__], *ROOMS):
        digest.update(Path(str(module.__file__)).read_bytes())
    return digest.hexdigest()


def arithmetic(features: Sequence[Feature] = CATALOGUE) -> str:
    """Return 12 hex digits that change when a compiled function or a number in it does, and not when its words do."""
    functions = [_bare(function) for module in (kernels, *ROOMS) for function in _compiled(module)]
    constants = [repr(_constants(module)) for module in (kernels, *ROOMS)]
    return hashlib.sha256("\n".join([*functions, *constants, *_calls(features)]).encode()).hexdigest()[:12]


def _constants(module: ModuleType) -> list[tuple[str, object]]:
    """Return the numbers, and tuples of them, that the functions of a module may know by name."""
    named = ((name, thing) for name, thing in sorted(vars(module).items()) if name.isupper())
    return [(name, x) for name, x in named if isinstance(x, int | float | tuple) and "object" not in repr(x)]


def _compiled(module: ModuleType) -> Iterator[object]:
    for _, thing in sorted(vars(module).items()):
        owned = [thing, *vars(thing).values()] if inspect.isclass(thing) else [thing]
        for one in owned:
            function = getattr(getattr(one, "__func__", one), "py_func", None)
            if function is not None and function.__module__ == module.__name__:
                yield function


def _bare(function: object) -> str:
    """Return a function's source without docstring, comments and decorators."""
    source = textwrap.dedent(inspect.getsource(function))  # type: ignore[arg-type]
    (tree,) = ast.parse(source).body
    assert isinstance(tree, ast.FunctionDef)
    body = tree.body[1:] if ast.get_docstring(tree) else tree.body
    lines = source.splitlines()[tree.lineno - 1 : tree.body[0].lineno - 1]
    lines += source.splitlines()[body[0].lineno - 1 :]
    return "\n".join(line.partition("#")[0].rstrip() for line in lines)


def ordered(features: Sequence[Feature]) -> list[Feature]:
    """Return the features so that each comes after all it needs. Raises WrongFeature where that cannot be."""
    by_name = {feature.name: feature for feature in features}
    if len(by_name) < len(features):
        name, _ = Counter(feature.name for feature in features).most_common(1)[0]
        raise WrongFeature(f"{name}: two features have this name; a column needs one of its own")
    done: dict[str, Feature] = {}

    def add(feature: Feature, waiting: tuple[str, ...]) -> None:
        if feature.name in waiting:
            raise WrongFeature(f"{' needs '.join([*waiting, feature.name])}")
        if feature.name in done:
            return
        for word in _words(feature):
            needed = feature.needs.get(word, word).removeprefix(OWN_OF)
            if needed in by_name and not hasattr(feature, word):
                add(by_name[needed], (*waiting, feature.name))
        done[feature.name] = feature

    for feature in features:
        add(feature, ())
    return list(done.values())


def _words(feature: Feature) -> list[str]:
    return list(inspect.signature(feature.step).parameters)


def _argument(feature: Feature, word: str, place: Mapping[str, int]) -> str:
    if word in GIVEN:
        return word
    if word == "own":
        return str(place[feature.name])
    needed = feature.needs.get(word, word)
    if needed in place:
        return needed
    if needed.removeprefix(OWN_OF) in place:
        return str(place[needed.removeprefix(OWN_OF)])
    try:
        return repr(getattr(feature, word))
    except AttributeError:
        raise WrongFeature(
            f"{feature.name}: nobody computes {needed!r}, and it has no attribute of that name"
        ) from None


def _calls(features: Sequence[Feature]) -> list[str]:
    """Return the lines that compute the features, each after all it needs."""
    lengths = [len(feature.own_units) for feature in features]
    place = dict(zip((f.name for f in features), accumulate(lengths, initial=kernels.OWN), strict=False))
    lines = []
    for feature in ordered(features):
        arguments = ", ".join(_argument(feature, word, place) for word in _words(feature))
        lines.append(f"{feature.name} = {type(feature).__name__}({arguments})")
    return lines


def _steps(features: Sequence[Feature]) -> dict[str, str]:
    """Return where the step of each class is. Raises WrongFeature where two classes would go by one name."""
    steps: dict[str, str] = {}
    for kind in {type(feature): None for feature in features}:
        step = f"{kind.__module__.rpartition('.')[2]}.{kind.__name__}.step"
        if kind.__name__ in steps:
            raise WrongFeature(
                f"{kind.__name__}: two classes have this name, {steps[kind.__name__]} and {step}"
            )
        steps[kind.__name__] = step
    return steps


def source_of_step(features: Sequence[Feature] = CATALOGUE) -> str:
    """Return the text of `step.py`. Raises WrongFeature where a step cannot be made of these features."""
    called = {module.__name__ for module, _ in ENTRIES} | {type(feature).__module__ for feature in features}
    rooms = sorted(name.rpartition(".")[2] for name in called)
    return TEMPLATE.format(
        rooms=", ".join(rooms),
        fingerprint=fingerprint(),
        arithmetic=arithmetic(features),
        size=kernels.OWN + sum(len(feature.own_units) for feature in features),
        steps="\n".join(f"{name} = {step}" for name, step in sorted(_steps(features).items())),
        warmups=_table(feature.warmup for feature in features),
        sessions=_table(feature.sessions for feature in features),
        features="\n".join(f"    {line}" for line in _calls(features)),
        entries="\n".join(_entry(module, name) for module, name in ENTRIES),
        names=("run", *(name for _, name in ENTRIES)),
        out="\n".join(f"    out[{i}] = {feature.name}" for i, feature in enumerate(features)),
    )


def _table(numbers: Iterable[int]) -> str:
    return "\n".join(
        textwrap.wrap(", ".join(map(str, numbers)), 100, initial_indent="    ", subsequent_indent="    ")
    )


def _entry(module: ModuleType, name: str) -> str:
    """Return the text that compiles a function of a room where numba looks for changes: in `step.py` itself."""
    signature = inspect.signature(getattr(module, name))
    room = module.__name__.rpartition(".")[2]
    return ENTRY.format(
        name=name,
        room=room,
        signature=str(signature).replace("'", ""),
        constant=f"{name.upper()}_SIGNATURE",
        words=", ".join(signature.parameters),
    )


ENTRY = '''
{constant} = {room}.{constant}
_{name} = {room}.{name}


@cached
def {name}{signature}:
    """Compile `{room}.{name}`."""
    return _{name}({words})
'''


TEMPLATE = '''"""The one step of all features; written by `python -m robo_trader.features.compose`, not by hand."""

# ruff: noqa
# fmt: off
from __future__ import annotations

import numpy as np

from robo_trader.features import {rooms}
from robo_trader.features.base import Ints
from robo_trader.features.cross_section import look
from robo_trader.features.kernels import Array, begin, cached, end, is_possible, kernel
from robo_trader.features.microstructure import sample

FINGERPRINT = "{fingerprint}"
ARITHMETIC = "{arithmetic}"
SIZE = {size}  # numbers in the state of one symbol

RUN_SIGNATURE = (
    "int64(float64[::1], float64[::1], float64[:, ::1], int64, int64, int64, float64[:, ::1], float64[:, ::1],"
    " int64[::1], float64[:, ::1], float64[:, ::1])"
)

{steps}

WARMUPS = np.array([
{warmups}
])
SESSIONS = np.array([
{sessions}
])
LATE = np.flatnonzero(SESSIONS)
WARMEST, LONGEST = int(WARMUPS.max()), int(SESSIONS.max())


@kernel
def step(
    s: Array,
    open_: float,
    high: float,
    low: float,
    close: float,
    volume: float,
    seconds: float,
    day: Array,
    context: Array,
    out: Array,
) -> int:
    """Take one bar into `s` and write its features to `out`; return the bars seen.

    Prices in USD above zero, volume in shares, `seconds` the bar's close (UTC); `day` (`session.DAY`) is of the session,
    `context` of other symbols (`cross_section`) and of the book (`microstructure`). `out` is NaN where a feature is warming.
    """
    now = begin(s, open_, high, low, close, volume, seconds, day[0], day[1])
{features}
{out}
    end(s, now)
    if now.n < WARMEST:
        for i in range(WARMUPS.shape[0]):
            if now.n < WARMUPS[i]:
                out[i] = np.nan
    if now.sessions < LONGEST:
        for i in range(LATE.shape[0]):
            if now.sessions < SESSIONS[LATE[i]]:
                out[LATE[i]] = np.nan
    return now.n


@cached
def run(
    s: Array,
    book: Array,
    panel: Array,
    row: int,
    market: int,
    sector: int,
    bars: Array,
    days: Array,
    day_of: Ints,
    context: Array,
    out: Array,
) -> int:
    """Step over bars, (n, 6): seconds, open, high, low, close, volume; return how many were seen, 0 if not the last one.

    `days[day_of[k]]` is the session of bar k. Before each bar the symbol's `row` of the panel (`cross_section.look`) and
    its book (`microstructure.sample`) are asked, which fill `context`, (n, CONTEXT); a row of -1 takes that as given.
    `out` is (n, n_features). A bar with NaN seconds, or one that cannot be, is passed over: its row of `out` is NaN.
    """
    seen = 0
    for k in range(bars.shape[0]):
        seen = 0
        seconds, open_, high, low, close, volume = bars[k]
        if not np.isnan(seconds) and is_possible(open_, high, low, close, volume):
            day = days[day_of[k]]
            if row >= 0:
                look(
                    panel, row, market, sector, seconds, close, (high + low + close) / 3.0, volume, day[0], context[k]
                )
                sample(book, seconds, context[k])
            seen = step(s, open_, high, low, close, volume, seconds, day, context[k], out[k])
        if seen == 0:
            out[k] = np.nan
    return seen

{entries}

COMPILED = tuple((globals()[name], globals()[f"{{name.upper()}}_SIGNATURE"]) for name in {names})
'''


def source_of_docs(features: Sequence[Feature] = CATALOGUE) -> str:
    """Return the text of `docs/features.md`."""
    lines = [
        "# Features",
        "",
        f"{len(features)} columns, {sum(f.model for f in features)} of them for the models; written by"
        " `python -m robo_trader.features.compose` from the classes in `robo_trader/features`.",
        "",
        "*Bars*: until the first value. *Sessions*: whole sessions needed before it. *S*: stationary. *M*: the models see"
        " it. *O*: optional, NaN without the data it needs beyond the symbol's own bars.",
    ]
    headings: list[str] = []
    for room in ROOMS:
        group = f"## {room.FEATURES[0].group}"  # as the command line calls it; a group may fill several rooms
        if group not in headings:
            headings.append(group)
            lines += ["", group]
        lines += [
            "",
            (inspect.getdoc(room) or "").partition("\n")[0],
            "",
            "| name | formula | lookback | bars | sessions | | source |",
            "|---|---|---|---|---|---|---|",
        ]
        for f in room.FEATURES:
            marks = "".join(
                mark for mark, is_so in (("S", f.stationary), ("M", f.model), ("O", f.optional)) if is_so
            )
            words = f.formula.replace("|", "\\|")
            lines.append(
                f"| `{f.name}` | {words} | {f.lookback} | {f.warmup} | {f.sessions} | {marks} | {f.source} |"
            )
    return "\n".join(lines) + "\n"


def main() -> int:
    """Write both files."""
    STEP.write_text(source_of_step())
    (HERE.parents[1] / "docs" / "features.md").write_text(source_of_docs())
    return 0


if __name__ == "__main__":
    sys.exit(main())
