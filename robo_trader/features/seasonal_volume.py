"""What is traded against what sessions before had traded."""

from __future__ import annotations

import math

from robo_trader.features.base import Feature, Group, Unit
from robo_trader.features.kernels import Array, Now, kernel, log_ratio

SESSIONS = 20
MINUTES, SLOTS = 5.0, 78  # of the day, from its open; what is later belongs to the last

# What is kept: the slot, sum and count of its bars, its median, and the mean volume of a bar by slot and session.
SLOT, SUM, BARS, MEDIAN, TABLE = 0, 1, 2, 3, 4
MISSING = -1.0  # below zero as any volume that a split makes of it


class SeasonalVolume(Feature):
    """A feature of this room."""

    group = Group.VOLUME


@kernel
def slot_of(elapsed: float) -> int:
    """Return the slot of a bar that closed when `elapsed` minutes of its session were gone."""
    return min(max(math.ceil(elapsed / MINUTES - 1e-6) - 1, 0), SLOTS - 1)


@kernel
def median(x: Array, first: int, size: int) -> float:
    """Return the median of those of `size` values, a multiple of four, that are not missing; MISSING where all are."""
    missing = 0
    for i in range(first, first + size):
        missing += x[i] < 0.0
    left, right = missing + (size - missing - 1) // 2, missing + (size - missing) // 2
    lower = upper = MISSING
    # How many are below each is counted for four at once, which is faster than to sort.
    for i in range(first, first + size, 4):
        a, b, c, d = x[i], x[i + 1], x[i + 2], x[i + 3]
        under_a = under_b = under_c = under_d = 0
        for j in range(first, first + size):
            under_a += x[j] < a
            under_b += x[j] < b
            under_c += x[j] < c
            under_d += x[j] < d
        for value, under in ((a, under_a), (b, under_b), (c, under_c), (d, under_d)):
            lower = max(lower, value if under <= left else MISSING)
            upper = max(upper, value if under <= right else MISSING)
    return 0.5 * (lower + upper)


@kernel
def leave_out(s: Array, table: int, session: int, first: int, stop: int) -> None:
    """Note that a session has no bars in the slots from `first` to `stop`, exclusive."""
    for slot in range(first, stop):
        s[table + slot * SESSIONS + session] = MISSING


@kernel
def turn_to(s: Array, own: int, sessions: int, first: bool, slot: int) -> None:
    """Close the last slot, of this session or, for its `first` bar, of the one before, and begin another."""
    table, last = own + TABLE, int(s[own + SLOT])
    session = (sessions - 1 if first else sessions) % SESSIONS
    if s[own + BARS] > 0.0:
        s[table + last * SESSIONS + session] = s[own + SUM] / s[own + BARS]
        leave_out(s, table, session, last + 1, SLOTS if first else slot)
    if first:
        leave_out(s, table, sessions % SESSIONS, 0, slot)
    s[own + SLOT], s[own + SUM], s[own + BARS] = slot, 0.0, 0.0
    s[own + MEDIAN] = median(s, table + slot * SESSIONS, SESSIONS)


class VolumeOfDay(SeasonalVolume):
    """ln(volume / median), between -5 and 5: the median, over the last 20 sessions, of the mean volume of a bar in the
    same five minutes since the open.

    Longer bars are of the five minutes they end in. Sessions without bars there, half days for one, are left out; 0
    where all were, or where volume and median are both nothing; -5 for a bar without volume else.

    Source: Wood, McInish and Ord 1985, Journal of Finance 40:3 (volume over the day); scaled for the models.
    """

    def __init__(self) -> None:
        units = [Unit.PURE, Unit.SHARES, Unit.PURE, Unit.SHARES] + [Unit.SHARES] * (SLOTS * SESSIONS)
        super().__init__("volume_of_day_20", 0, 1, sessions=SESSIONS, own_units=units)

    @staticmethod
    @kernel
    def step(s: Array, own: int, now: Now) -> float:
        slot = slot_of(now.elapsed)
        if now.n == 1:
            for i in range(SLOTS * SESSIONS):
                s[own + TABLE + i] = MISSING
        if now.first or slot != s[own + SLOT]:
            turn_to(s, own, now.sessions, now.first, slot)
        s[own + SUM] += now.volume
        s[own + BARS] += 1.0
        return log_ratio(now.volume, s[own + MEDIAN]) if s[own + MEDIAN] >= 0.0 else 0.0


class DollarVolume(SeasonalVolume):
    """(x - mean) / population deviation of x over the last 20 closed sessions, x of the newest of them; 0 where all are
    alike.

    x is ln of the dollars traded at the typical price, a minute of the session, of one at least: half days compare.

    Source: scaled for the models.
    """

    def __init__(self) -> None:
        units = [Unit.PURE] * (3 + SESSIONS)  # dollars so far, the session's length, the score; x by session
        super().__init__("dollar_volume_z_20", 0, 1, sessions=SESSIONS, own_units=units)

    @staticmethod
    @kernel
    def step(s: Array, own: int, now: Now) -> float:
        if now.first and now.n > 1:
            newest = own + 3 + now.sessions % SESSIONS
            s[newest] = math.log(max(s[own] / s[own + 1], 1.0))
            s[own + 2] = score(s, own + 3, newest)
        if now.first:
            s[own], s[own + 1] = 0.0, now.length
        s[own] += now.typical * now.volume
        return s[own + 2]


@kernel
def score(x: Array, first: int, newest: int) -> float:
    """Return how many deviations one of the sessions' values is from the mean of all."""
    total = squares = 0.0
    for i in range(first, first + SESSIONS):
        d = x[i] - x[newest]
        total += d
        squares += d * d
    mean = total / SESSIONS
    variance = squares / SESSIONS - mean * mean
    return -mean / math.sqrt(variance) if variance > 1e-18 else 0.0


FEATURES: tuple[Feature, ...] = (VolumeOfDay(), DollarVolume())
