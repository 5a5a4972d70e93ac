"""The facts of the machine a figure was measured on."""

import importlib.metadata
import os
import platform
from pathlib import Path

from bench.errors import BenchMistake
from bench.janus import find_janus, janus_version
from mixer.opus import version as opus_version


def facts(rivals: list[str], janus: str | None) -> dict[str, str]:
    """Return what a reader needs to judge the figures, by heading."""
    found = {
        "CPU": _cpu_model(),
        "cores": f"{len(os.sched_getaffinity(0))}",
        "kernel": platform.release(),
        "Python": platform.python_version(),
        "libopus": opus_version(),
        "Roomtone": importlib.metadata.version("roomtone"),
        "load average before": " ".join(f"{load:.2f}" for load in os.getloadavg()),
    }
    if "janus" in rivals:
        try:
            found["Janus"] = janus_version(find_janus(janus))
        except BenchMistake:
            found["Janus"] = "not found"
    if "aiortc" in rivals:
        found["aiortc"] = importlib.metadata.version("aiortc")
    return found


def _cpu_model() -> str:
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith(("model name", "Model")):
            return line.partition(":")[2].strip()
    return platform.machine()
