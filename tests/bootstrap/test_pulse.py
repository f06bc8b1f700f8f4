"""The pulse of the daemon: blocks of its loop are counted, whoever caused them."""

from __future__ import annotations

import asyncio
import gc
import json
import time

from robo_trader.bootstrap.pulse import Pulse, open_files, resident_mb, settle


async def test_a_loop_that_was_blocked_is_found_out_by_how_long_and_when():
    pulse = Pulse()
    feeling = asyncio.create_task(pulse.run())
    await asyncio.sleep(0)
    began = time.time_ns()
    time.sleep(0.25)  # noqa: ASYNC251 this is the block
    while not pulse.blocks:
        await asyncio.sleep(0.01)
    feeling.cancel()
    assert pulse.worst_s > 0.15
    assert pulse.worst_at >= began
    assert pulse.starved == 1, "it slept: no time of ours was used"
    assert pulse.worst_since() == pulse.worst_s
    assert pulse.worst_since() == 0.0


def test_turns_that_come_a_little_late_are_no_blocks():
    pulse = Pulse(wall_ns=lambda: 7)
    for late in (0.0, 0.05, 0.099):
        pulse.note(late, late)
    assert (pulse.blocks, pulse.worst_since()) == (0, 0.099)
    pulse.note(0.3, 0.29)
    pulse.note(0.2, 0.01)
    assert (pulse.blocks, pulse.starved, pulse.worst_s, pulse.worst_at) == (2, 1, 0.3, 7)


def test_its_row_tells_memory_and_open_files():
    row = json.loads(Pulse().as_json(inbox=3))
    assert row["blocks"] == 0
    assert row["inbox"] == 3
    assert row["max_at_ns"] is None
    assert row["rss_mb"] > 10
    before = open_files()
    with open("one-more", "w"):
        assert open_files() == before + 1
    assert resident_mb() > 10


def test_what_the_start_has_loaded_is_left_out_of_every_search_for_garbage():
    try:
        settle()
        assert gc.get_freeze_count() > 10_000
        assert sum(gc.get_count()) < 10_000
    finally:
        gc.unfreeze()
