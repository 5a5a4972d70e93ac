"""Single functions of the hot path, timed by pytest-benchmark: `make bench ARGS=micro`."""
