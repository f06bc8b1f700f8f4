"""Where an order is by three answers of TWS, and only by those."""

from types import SimpleNamespace

import pytest

from robo_trader.core.events import OrderStatus
from robo_trader.ibkr.questions import MAX_ASKS, Look, outcome
from robo_trader.ibkr.tickets import Ticket
from tests.ibkr.conftest import buy

S = OrderStatus


def ticket(**known):
    made = Ticket(buy("s-1.1", 10))
    for name, value in known.items():
        setattr(made, name, value)
    return made


def completed(word, perm_id=7, ref="s-1.1", filled=1.7976931348623157e308):
    order = SimpleNamespace(permId=perm_id, orderRef=ref, filledQuantity=filled)
    return SimpleNamespace(order=order, orderStatus=SimpleNamespace(status=word))


@pytest.mark.parametrize(
    ("known", "found", "status"),
    [
        # What TWS shows open since it was asked is alive.
        ({"acknowledged": True, "named": 3}, [], S.WORKING),
        ({"acknowledged": True, "named": 3, "filled": 4, "executed": 4}, [], S.PARTIAL),
        ({"acknowledged": True, "named": 3, "is_inactive": True}, [], S.UNKNOWN),
        # What was shown before that, and is no more, is unknown until asking comes to an end.
        ({"acknowledged": True, "named": 2}, [], S.UNKNOWN),
        ({"acknowledged": True, "named": 2, "asks": MAX_ASKS}, [], S.CANCELLED),
        ({"acknowledged": True, "named": 2, "asks": MAX_ASKS, "error_code": 201}, [], S.REJECTED),
        # Completed orders name an end.
        ({"acknowledged": True}, [completed("Cancelled")], S.CANCELLED),
        ({"acknowledged": True}, [completed("Inactive")], S.REJECTED),
        ({"acknowledged": True, "perm_id": 7}, [completed("Cancelled", ref="")], S.CANCELLED),
        ({"acknowledged": True, "perm_id": 8}, [completed("Cancelled", ref="", perm_id=9)], S.UNKNOWN),
        # An order is full by its executions and by nothing else.
        ({"acknowledged": True}, [completed("Filled")], S.UNKNOWN),
        ({"acknowledged": True, "executed": 10}, [], S.FILLED),
        ({"acknowledged": True, "asks": MAX_ASKS}, [completed("Filled")], S.CANCELLED),
        ({"acknowledged": True}, [completed("Cancelled", filled=4.0)], S.UNKNOWN),
        ({"acknowledged": True, "executed": 4}, [completed("Cancelled", filled=4.0)], S.CANCELLED),
        # What TWS never said a word of: unknown in the session it was sent in, never sent after it.
        ({"tws_id": 5, "status": S.UNKNOWN}, [], S.UNKNOWN),
        ({"tws_id": 5, "status": S.UNKNOWN, "disowned": True}, [], S.NEVER_SENT),
        ({"tws_id": 5, "error_code": 110}, [], S.REJECTED),
        ({"status": S.UNKNOWN}, [], S.NEVER_SENT),
        # An end stays one.
        ({"status": S.CANCELLED, "named": 3}, [], S.CANCELLED),
    ],
)
def test_the_outcome_rests_on_what_tws_answered(known, found, status):
    assert outcome(ticket(**known), Look(3, found))[0] is status


def test_an_order_never_shown_is_not_rejected_for_the_answer_to_its_cancel():
    assert outcome(ticket(tws_id=5, error_code=10147, disowned=True), Look(3, []))[0] is S.NEVER_SENT
