"""The state of the link is one of six, says why and since when, and tells each change once."""

from __future__ import annotations

from robo_trader.bootstrap.link_state import LinkState, Phase
from robo_trader.core.events import SECOND_NS

NOON = 1_767_632_400 * SECOND_NS  # 2026-01-05 17:00 UTC


class Wall:
    """A wall clock moved by hand."""

    def __init__(self) -> None:
        self.now = NOON

    def __call__(self) -> int:
        return self.now

    def later(self, seconds: float) -> None:
        self.now += int(seconds * SECOND_NS)


def made() -> tuple[LinkState, Wall, list[str]]:
    wall, heard = Wall(), []
    state = LinkState(wall)
    state.on_change(lambda: heard.append(f"{state.phase}: {state.why}"))
    return state, wall, heard


def streaming() -> tuple[LinkState, Wall, list[str]]:
    state, wall, heard = made()
    state.watch({"AAPL", "NVDA"})
    state.ready()
    heard.clear()
    return state, wall, heard


def test_a_first_session_goes_from_connecting_over_synchronising_to_ready():
    state, _, heard = made()
    state.connecting("127.0.0.1:7497 as client 7")
    state.synchronising("the account and its orders")
    state.ready()
    state.ready()
    assert heard == [
        "connecting: 127.0.0.1:7497 as client 7",
        "synchronising: the account and its orders",
        "ready: streaming",
    ]


def test_waiting_says_why_and_until_when():
    state, wall, _ = made()
    state.waiting("client id 7 is already in use", wall.now + 20 * SECOND_NS)
    assert state.as_row() == (NOON, NOON + 20 * SECOND_NS, "waiting", "client id 7 is already in use")


def test_a_stream_in_trouble_degrades_with_its_own_since_until_it_is_fresh():
    state, wall, _ = streaming()
    wall.later(10)
    state.stream("NVDA", "no bar for 20 s")
    assert state.phase is Phase.DEGRADED
    assert state.why == "NVDA since 17:00:10 UTC: no bar for 20 s"
    wall.later(10)
    state.stream("NVDA", "another session uses the live data (10197)")
    assert state.streams["NVDA"].since == NOON + 10 * SECOND_NS  # the trouble is the same, its reason is not
    assert state.since == NOON + 10 * SECOND_NS
    state.stream("NVDA", "")
    assert state.phase is Phase.READY


def test_a_new_session_knows_nothing_of_the_old_one_s_streams():
    state, _, _ = streaming()
    state.stream("NVDA", "no bar for 20 s")
    state.lost("TWS closed the connection")
    state.stream("AAPL", "the last word of a dying session")
    state.synchronising("the account and its orders")
    state.watch({"AAPL", "NVDA"})
    state.ready()
    assert state.phase is Phase.READY


def test_only_all_streams_together_make_it_dark():
    state, _, _ = streaming()
    state.stream("NVDA", "no bar for 20 s")
    assert state.dark == ""
    state.stream("AAPL", "no bar for 21 s")
    assert state.dark.startswith("no stream is fresh: AAPL since 17:00:00 UTC: no bar for 21 s; NVDA")


def test_blindness_lasts_from_the_loss_until_all_is_known_again():
    state, wall, _ = streaming()
    assert state.blind_since is None
    wall.later(5)
    state.lost("TWS closed the connection")
    wall.later(5)
    state.connecting("127.0.0.1:7497 as client 7")
    state.waiting("nothing listens", wall.now)
    state.synchronising("the first prices of AAPL")
    assert state.blind_since == NOON + 5 * SECOND_NS
    state.ready()
    assert state.blind_since is None


def test_a_restart_that_is_expected_is_waiting_and_no_blindness():
    state, wall, heard = streaming()
    end = NOON + 3600 * SECOND_NS
    state.expect(("TWS restarts", end))
    assert heard == []
    state.lost("TWS closed the connection")
    assert state.as_row() == (NOON, end, "waiting", "TWS restarts; TWS closed the connection")
    assert state.blind_since is None
    wall.later(3600)
    state.expect(None)
    assert state.phase is Phase.LOST
    assert state.blind_since == NOON


def test_the_names_of_many_streams_are_cut_and_counted():
    state, _, _ = streaming()
    for i in range(8):
        state.stream(f"S{i}", f"silent for {i} s")
    assert state.why.count("silent") == 5
    assert state.why.endswith("and 3 more")


def test_streams_with_the_same_trouble_are_named_together():
    state, _, _ = streaming()
    for i in range(8):
        state.stream(f"S{i}", "silent")
    assert state.why == "S0, S1, S2, S3, S4 and 3 more since 17:00:00 UTC: silent"
