"""One thing the doctor looked at."""

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum


class Verdict(StrEnum):
    """How bad it is: `fail` stops a server or its callers, `warn` may."""

    OK = "ok"
    WARN = "warn"
    FAIL = "fail"


@dataclass(frozen=True, slots=True)
class Finding:
    """What was looked at, what was found, and what to do about it (empty: nothing)."""

    check: str
    verdict: Verdict
    found: str
    do: str = ""

    def as_json(self) -> dict[str, str]:
        """Return it as `--json` has it."""
        return {
            "check": self.check,
            "verdict": self.verdict.value,
            "found": self.found,
            "do": self.do,
        }


def worst(findings: Iterable[Finding]) -> Verdict:
    """Return the worst verdict there is."""
    order = list(Verdict)
    return max((one.verdict for one in findings), key=order.index, default=Verdict.OK)
