"""The desk knows which session is open, whatever it was asked before."""

from robo_trader.core.desk import Desk
from robo_trader.core.protocols import Session

MONDAY, TUESDAY = Session("2026-01-05", 10, 20), Session("2026-01-06", 30, 40)


class TwoDays:
    """A calendar that counts how often it is asked."""

    def __init__(self):
        self.asked = 0

    def session(self, ts):
        self.asked += 1
        return next((day for day in (MONDAY, TUESDAY) if day.open < ts <= day.close), None)


def test_the_session_is_the_one_of_the_moment_asked_for():
    desk = Desk("s", {}, TwoDays(), ())
    expected = {
        5: None,
        10: None,
        11: MONDAY,
        20: MONDAY,
        21: None,
        15: MONDAY,
        31: TUESDAY,
        41: None,
        40: TUESDAY,
    }
    for ts, session in expected.items():
        desk.now = ts
        assert desk.session() == desk.session_at(ts) == session


def test_the_calendar_is_asked_once_a_session():
    calendar = TwoDays()
    desk = Desk("s", {}, calendar, ())
    for ts in (*range(11, 21), *range(31, 41)):
        desk.session_at(ts)
    assert calendar.asked == 2
