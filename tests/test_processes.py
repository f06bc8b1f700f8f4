"""A child of the daemon is heard line by line where somebody listens, to its last word."""

from __future__ import annotations

from robo_trader.processes import Child


async def test_each_line_of_a_child_is_heard_before_its_end_is_told():
    heard: list[str] = []
    child = Child("timeit", ["-n", "1", "-r", "1", "-s", "print('first')", "print('second')"])
    await child.start(heard=heard.append)
    assert await child.wait() == 0
    assert heard[:2] == ["first", "second"]
    assert "1 loop" in heard[2]


async def test_what_a_child_complains_of_is_heard_as_well():
    heard: list[str] = []
    child = Child("timeit", ["--nonsense"])
    await child.start(heard=heard.append)
    assert await child.wait() == 2
    assert any("nonsense" in line for line in heard)
