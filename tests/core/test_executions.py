"""Versions of an execution share a stem."""

import doctest

import pytest

from robo_trader.core import executions
from robo_trader.core.executions import stem, version


def test_the_examples_hold():
    assert doctest.testmod(executions).failed == 0


@pytest.mark.parametrize(
    ("exec_id", "head", "number"),
    [
        ("a.b.01", "a.b", 1),
        ("a.b.10", "a.b", 10),
        ("a.b", "a.b", 0),
        ("abc", "abc", 0),
        ("", "", 0),
        (".01", ".01", 0),
        ("a.", "a.", 0),
    ],
)
def test_the_number_after_the_last_dot_is_the_version(exec_id, head, number):
    assert (stem(exec_id), version(exec_id)) == (head, number)
