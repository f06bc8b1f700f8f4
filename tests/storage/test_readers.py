"""One writer and twenty readers who ask all that the page asks: nobody is refused, nothing is torn, nothing is lost."""

from __future__ import annotations

import asyncio
import threading

from benchmarks.live.reader import Reader
from benchmarks.storage import Desk, lost
from robo_trader.storage.database import Database
from robo_trader.storage.journal import SqliteJournal

READERS, ORDERS, PAUSE_S = 20, 25, 0.5


async def test_twenty_readers_never_meet_a_lock_nor_half_a_transaction_and_no_write_is_lost(
    database: Database,
) -> None:
    desk, done = Desk(["AAX", "AKX", "ALX"], "busy"), threading.Event()
    await database.start_session(desk.session, desk.now, "paper", "DU1234567", desk.symbols, "{}")
    journal = SqliteJournal(database, desk.session)
    readers = [Reader(database.path, PAUSE_S) for _ in range(READERS)]
    reading = [threading.Thread(target=reader.run, args=(done,)) for reader in readers]
    for thread in reading:
        thread.start()
    try:
        while desk.orders < ORDERS or not all(reader.rounds_s for reader in readers):
            symbol = desk.symbols[desk.orders % 3]
            for told in (desk.quote(symbol), desk.bar(symbol), desk.intent(symbol), *desk.answers(symbol)):
                await journal.record(*told)
            if desk.orders % 20 == 0:
                await journal.flush()
    finally:
        done.set()
        await asyncio.gather(*(asyncio.to_thread(thread.join) for thread in reading))
    await journal.flush()
    assert [reader.refused for reader in readers] == [[]] * READERS
    assert [reader.torn for reader in readers] == [0] * READERS
    assert lost(database.path, desk) == 0
