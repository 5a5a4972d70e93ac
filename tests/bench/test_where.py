"""Where the CPU time goes."""

import pytest

from bench.scenarios.where import shares

REPORT = """
# Samples: 3K of event 'cpu-clock'
#
# Overhead  Shared Object
    40.00%  libpython3.11.so.1.0
    20.00%  _multiarray_umath.cpython-311-x86_64-linux-gnu.so
    12.00%  libopus-114e2b1a.so.0.11.1
    10.00%  [kernel.kallsyms]
     5.00%  _binding.abi3.so
     3.00%  libc.so.6
"""


def test_every_sample_is_somebodys() -> None:
    """The parts are shares of what was sampled, whatever is not known among the others."""
    found = shares(REPORT)
    assert found == pytest.approx(
        {
            "codec": 12 / 90,
            "crypto": 5 / 90,
            "kernel": 10 / 90,
            "arrays": 20 / 90,
            "python": 40 / 90,
            "other": 3 / 90,
        }
    )


def test_nothing_was_sampled() -> None:
    """A server that did nothing has no parts."""
    assert set(shares("").values()) == {0.0}
