"""Who grows the models of folds: threads, processes of this machine or the workers of a cluster, all to the same result."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from contextlib import AbstractContextManager, contextmanager
from functools import partial
from multiprocessing import get_context, parent_process
from typing import Any

from robo_trader.core.errors import ConfigurationError

# A crew is given what all work is about, and then does `work(about, job)` of each job, in their order.
Ask = Callable[[Callable[[Any, Any], Any], Iterable[Any]], list[Any]]
Crew = Callable[[Any], AbstractContextManager[Ask]]

PATIENCE_S = 10

_about: Any = None


def threads(count: int | None = None) -> Crew:
    """Return a crew of so many threads, as many as there are processors where not given."""
    return partial(_threads, count=count)


def processes(count: int | None = None) -> Crew:
    """Return a crew of so many processes, started afresh; what the work is about is sent to each once."""
    return partial(_processes, count=count)


def cluster(address: str) -> Crew:
    """Return a crew of all workers of the dask scheduler at `address`, such as tcp://10.0.0.7:8786.

    The workers need the same version of this program. Raises ConfigurationError where dask.distributed is not installed
    or nobody answers there.
    """
    return partial(_cluster, address=address)


@contextmanager
def _threads(about: Any, count: int | None) -> Iterator[Ask]:
    with ThreadPoolExecutor(count or os.cpu_count()) as pool:
        yield lambda work, jobs: list(pool.map(partial(work, about), jobs))


@contextmanager
def _processes(about: Any, count: int | None) -> Iterator[Ask]:
    with ProcessPoolExecutor(count or os.cpu_count(), get_context("spawn"), _learn_of, (about,)) as pool:
        yield lambda work, jobs: list(pool.map(partial(_do, work), jobs))


def _learn_of(about: Any) -> None:
    global _about
    _about = about
    threading.Thread(target=_end_with_parent, daemon=True).start()


def _do(work: Callable[[Any, Any], Any], job: Any) -> Any:
    return work(_about, job)


def _end_with_parent() -> None:
    if parent := parent_process():
        parent.join()
        os._exit(1)  # a pool whose owner was killed would wait for work for ever


@contextmanager
def _cluster(about: Any, address: str) -> Iterator[Ask]:
    try:
        from distributed import Client
    except ImportError:
        raise ConfigurationError(
            "--cluster needs dask.distributed; install it by `pip install 'robo-trader[cluster]'`"
        ) from None
    try:
        client = Client(address, timeout=PATIENCE_S, set_as_default=False)
    except (OSError, ValueError) as error:
        raise ConfigurationError(f"--cluster {address}: no dask scheduler answers there ({error})") from error
    with client:
        known = client.scatter(about, broadcast=True)

        def ask(work: Callable[[Any, Any], Any], jobs: Iterable[Any]) -> list[Any]:
            # Not pure: the same jobs asked twice are no memory of a cluster's.
            return list(client.gather([client.submit(work, known, job, pure=False) for job in jobs]))

        yield ask
