"""What a checked playlist does wrong, and the rules that find it."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Generic, TypeVar

Checked = TypeVar("Checked")
Complaints = Iterator[tuple[int, str]]  # a line (from 1, 0 = the whole) and what is wrong there


@dataclass(frozen=True, slots=True)
class Finding:
    """A rule that is broken: its name and section, the line (from 1, 0 = the whole), and why."""

    rule: str
    section: str
    line: int
    reason: str

    def __str__(self) -> str:
        return f"line {self.line}: {self.reason} (§{self.section}, {self.rule})"


@dataclass(frozen=True, slots=True)
class Rule(Generic[Checked]):
    """Something a playlist must or should be, and what decides it."""

    name: str
    section: str
    complain: Callable[[Checked], Complaints]

    def check(self, subject: Checked) -> list[Finding]:
        """Return how `subject` breaks the rule."""
        return [
            Finding(self.name, self.section, line, reason)
            for line, reason in self.complain(subject)
        ]


class Rules(Generic[Checked]):
    """Rules about one kind of thing; a function becomes one by `@rules.rule(section)`."""

    def __init__(self) -> None:
        self.all: dict[str, Rule[Checked]] = {}

    def rule(
        self, section: str
    ) -> Callable[[Callable[[Checked], Complaints]], Callable[[Checked], Complaints]]:
        """Register a function under its name."""

        def register(function: Callable[[Checked], Complaints]) -> Callable[[Checked], Complaints]:
            name = function.__name__.strip("_").replace("_", "-")
            self.all[name] = Rule(name, section, function)
            return function

        return register

    def check(self, subject: Checked) -> list[Finding]:
        """Return everything that is wrong, in the order of the rules."""
        return [finding for rule in self.all.values() for finding in rule.check(subject)]
