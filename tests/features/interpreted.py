"""The step as plain Python: any features with any periods, without a compiler."""

import inspect
import math
import sys
from contextlib import ExitStack, contextmanager
from types import SimpleNamespace
from unittest.mock import patch

import numpy as np

from robo_trader.features import compiled, compose, kernels, step
from robo_trader.features.technical_indicators import CATALOGUE, ROOMS

# Where these of Python's raise, compiled ones give a NaN or an infinity, as numpy's do.
LIKE_NUMPY = {name: getattr(np, name) for name in ("exp", "log", "log1p", "sqrt", "sin", "cos")}
LIKE_COMPILED = SimpleNamespace(**(vars(math) | LIKE_NUMPY))


@contextmanager
def interpreted(features=CATALOGUE):
    """Let the engine step through these features in plain Python, as `compose` writes them."""
    compiled.compile_kernels()  # before its functions are plain ones
    with ExitStack() as undo, np.errstate(all="ignore"):
        for owner, name, plain in _functions():
            undo.enter_context(patch.object(owner, name, plain))
        for decorator in ("cached", "kernel"):
            undo.enter_context(patch.object(kernels, decorator, lambda function: function))
        undo.enter_context(patch.object(kernels, "entry", lambda function, signature: function))
        made = {}
        exec(compose.source_of_step(features), made)
        shape = {"NAMES": tuple(f.name for f in features), "WIDTH": len(features)}
        for module in [m for name, m in sys.modules.items() if name.startswith("robo_trader.features.")]:
            for name in shape.keys() & vars(module).keys():
                undo.enter_context(patch.object(module, name, shape[name]))
        entries = [name for _, name in compose.ENTRIES]
        undo.enter_context(patch.multiple(step, **{name: made[name] for name in ("SIZE", "run", *entries)}))
        yield


def _functions():
    """Find every compiled function: whose it is, its name, and what stands for it."""
    for module in (kernels, *ROOMS):
        if hasattr(module, "math"):
            yield module, "math", LIKE_COMPILED
        for name, thing in list(vars(module).items()):
            if hasattr(thing, "py_func"):
                yield module, name, thing.py_func
            elif inspect.isclass(thing) and "step" in vars(thing):
                yield thing, "step", staticmethod(vars(thing)["step"].__func__.py_func)
