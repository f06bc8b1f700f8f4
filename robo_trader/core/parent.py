"""Ends a process when the one that started it is gone."""

from __future__ import annotations

import asyncio
import os


async def parent_ended(pid: int, poll_s: float = 0.25) -> None:
    """Return once process `pid`, which started this one, is gone. Zero waits for ever."""
    was_parent = os.getppid() == pid
    # Nobody tells an orphan that it is one: it has to look.
    while pid == 0 or (_alive(pid) and (not was_parent or os.getppid() == pid)):  # noqa: ASYNC110
        await asyncio.sleep(poll_s)


def _alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
