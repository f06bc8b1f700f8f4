"""Whose an execution is, and how it and its corrections are numbered: `....01` is the first word, `....02` replaces it."""

from __future__ import annotations


def stem(exec_id: str) -> str:
    """Return what all versions of an execution share: the id before its last dot, or all of one without a number.

    >>> stem("00025b44.65e6a1c2.01.01"), stem("00025b44.65e6a1c2.01.02"), stem("abc")
    ('00025b44.65e6a1c2.01', '00025b44.65e6a1c2.01', 'abc')
    """
    head, _, number = exec_id.rpartition(".")
    return head if head and _is_number(number) else exec_id


def version(exec_id: str) -> int:
    """Return which version of an execution this id names, 0 where it does not say; a higher one replaces a lower.

    >>> version("00025b44.65e6a1c2.01.02"), version("abc")
    (2, 0)
    """
    head, _, number = exec_id.rpartition(".")
    return int(number) if head and _is_number(number) else 0


def origin(order_id: str) -> str:
    """Say whose order an execution was of: "ours", or who else of the account traded.

    >>> origin("20260105-1-1.1"), origin("manual:4711"), origin("client-7:4712")
    ('ours', 'manual', 'client-7')
    """
    head, colon, _ = order_id.partition(":")
    return head if colon else "ours"


def _is_number(text: str) -> bool:
    return text.isascii() and text.isdigit()
