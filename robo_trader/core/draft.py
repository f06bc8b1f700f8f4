"""A step while it is being made."""

from __future__ import annotations

from robo_trader.core.events import Command
from robo_trader.core.steps import NOTHING, Fact, Step


class Draft:
    """Gathers the commands and facts of one event."""

    def __init__(self) -> None:
        self.commands: list[Command] = []
        self.facts: list[Fact] = []

    def command(self, command: Command) -> None:
        """Add something to be carried out."""
        self.commands.append(command)

    def fact(self, fact: Fact) -> None:
        """Add something to be remembered."""
        self.facts.append(fact)

    def step(self) -> Step:
        """Return what was gathered."""
        return Step(self.commands, self.facts) if self.commands or self.facts else NOTHING
