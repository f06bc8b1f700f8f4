"""The compiled step: loaded from numba's cache, or compiled once per machine."""

from __future__ import annotations

import hashlib
from pathlib import Path

from robo_trader.core.errors import DataError
from robo_trader.features import compose, step


def kernels_cached() -> bool:
    """Tell whether an earlier start left the compiled step, so that this one need not compile it."""
    # numba keeps the hash of the source beside what it compiled of it; the time of a file says nothing.
    source = hashlib.sha256(compose.STEP.read_bytes()).digest()
    found = Path(step.run.stats.cache_path or "").glob("step.run-*.nbi")  # type: ignore[attr-defined]
    return any(source in index.read_bytes() for index in found)


def compile_kernels() -> None:
    """Load the step from numba's cache or compile it, once per process. Any later call costs nothing.

    Raises DataError where a room of features was changed and the step was not written anew.
    """
    for kernel, signature in step.COMPILED:
        if not kernel.signatures:
            if compose.fingerprint() != step.FINGERPRINT:
                raise DataError(
                    "the features were changed: write their step anew with `python -m robo_trader.features.compose`"
                )
            kernel.compile(signature)
            # From here on whole numbers are converted; a second version of the step could round otherwise.
            kernel.disable_compile()
