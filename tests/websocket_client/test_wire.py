"""What a slow reader costs: nothing but the rows it does not see one by one."""

from __future__ import annotations

from robo_trader.websocket_client.wire import KEEP, Board, Outbox, Row


def test_state_conflates_and_stories_keep_their_order() -> None:
    outbox = Outbox()
    for _ in range(1000):
        outbox.touch("quotes:NVDA", "quote")
        outbox.touch("account", "account")
    outbox.touch("fills", "e-1")
    outbox.touch("fills", "e-2")
    assert outbox.take() == (
        [],
        [("fills", "e-1"), ("fills", "e-2"), ("quotes:NVDA", "quote"), ("account", "account")],
    )
    assert outbox.take() == ([], [])
    assert not outbox.ready.is_set()


def test_market_data_is_dropped_first_counted_and_told_whole_later() -> None:
    outbox = Outbox(capacity=10)
    outbox.touch("fills", "e-1")
    for number in range(9):
        outbox.touch("bars:NVDA", str(number))
    outbox.touch("fills", "e-2")
    assert outbox.dropped == 9
    assert outbox.take() == (["bars:NVDA"], [("fills", "e-1"), ("fills", "e-2")])


def test_a_story_that_outgrows_the_queue_is_told_whole() -> None:
    outbox = Outbox(capacity=10)
    for number in range(1000):
        outbox.touch("fills", str(number))
    assert outbox.dropped == 10
    assert outbox.take() == (["fills"], [])


def test_weeks_without_a_hub_do_not_pile_up_orders() -> None:
    outbox = Outbox(capacity=10)
    outbox.touch("account", "account")
    for number in range(1000):
        outbox.touch("orders", f"s-{number}")
    assert outbox.dropped == 10
    assert outbox.take() == (["orders"], [("account", "account")])


def test_what_is_forgotten_is_not_told() -> None:
    outbox = Outbox()
    outbox.touch("fills", "e-1")
    outbox.touch("orders", "s-1")
    outbox.reset("denied")
    for channel in ("fills", "denied"):
        outbox.forget(channel)
    assert outbox.take() == ([], [("orders", "s-1")])


def test_a_channel_keeps_its_newest_rows_only() -> None:
    board: Board[Row] = Board()
    for number in range(KEEP["bars"] + 5):
        board.put("bars:NVDA", str(number), Row(str(number), 0, number))
    board.put("bars:NVDA", "5", Row("5", 0, "again"))
    kept = [row.data for row in board.rows("bars:NVDA")]
    assert (len(kept), kept[0], kept[-1]) == (KEEP["bars"], 6, "again")
    board.remove("bars:NVDA", "6")
    assert board.get("bars:NVDA", "6") is None
    board.clear("bars:NVDA")
    assert board.rows("bars:NVDA") == []
