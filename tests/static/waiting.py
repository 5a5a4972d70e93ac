"""To wait for what no selector tells."""

from collections.abc import Callable

from playwright.sync_api import Page


def until(page: Page, wanted: str | Callable[[], bool], within_s: int = 20) -> None:
    """Wait for an expression of the page, or a fact; the policy forbids the page's own `eval`."""
    for _ in range(within_s * 10):
        if page.evaluate(wanted) if isinstance(wanted, str) else wanted():
            return
        page.wait_for_timeout(100)
    raise AssertionError(wanted)
