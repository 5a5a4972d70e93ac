"""Pages opened without a right, with a wrong one and with the right one."""

import pytest
from playwright.sync_api import Page, expect

from tests.static.scripted import ADMIN, INVITE, ScriptedSite

pytestmark = pytest.mark.e2e


def test_rooms_page_without_right_says_whom_to_ask(page: Page) -> None:
    """The page for rooms names the first-run link, the admin key and the person who has them."""
    page.goto("/")
    expect(page.get_by_text("the first-run link or the admin key")).to_be_visible()
    expect(page.get_by_text("Ask the person who runs this server")).to_be_visible()


def test_first_run_secret_opens_the_rooms_and_leaves_the_address(page: Page) -> None:
    """The first-run secret is traded for the rooms and wiped from the address bar."""
    page.goto(f"/#admin={ADMIN}")
    expect(page.get_by_role("heading", name="Studio")).to_be_visible()
    assert "#" not in page.url


def test_admin_key_can_be_pasted(page: Page) -> None:
    """The admin key typed into the field opens the rooms."""
    page.goto("/")
    page.get_by_label("Admin key").fill(ADMIN)
    page.get_by_role("button", name="Open the rooms").click()
    expect(page.get_by_role("heading", name="Studio")).to_be_visible()


def test_wrong_admin_key_is_explained(page: Page) -> None:
    """A key that does not fit is answered with where to find the one that does."""
    page.goto("/#admin=wrong")
    expect(page.get_by_role("alert")).to_contain_text("first-run link works once")


@pytest.mark.parametrize("role", ["join", "listen"])
def test_room_page_without_invite_says_what_to_ask_for(page: Page, role: str) -> None:
    """A room's page opened without an invite asks for the link of its own kind."""
    page.goto(f"/{role}/studio")
    expect(page.get_by_role("heading")).to_have_text(f"You need a {role} link for this room")


@pytest.mark.parametrize("role", ["join", "listen"])
def test_unknown_room_is_explained(page: Page, role: str) -> None:
    """A room that is not there is said to be closed or misspelt."""
    page.goto(f"/{role}/nowhere#invite={INVITE}")
    expect(page.get_by_role("heading")).to_have_text("This room does not exist")


@pytest.mark.parametrize("role", ["join", "listen"])
def test_path_that_names_no_room_is_explained(page: Page, role: str) -> None:
    """An address whose room cannot be a room's name asks for the whole link."""
    page.goto(f"/{role}/a%20b#invite={INVITE}")
    expect(page.get_by_role("heading")).to_have_text("This link names no room")


@pytest.mark.parametrize("role", ["join", "listen"])
def test_invite_survives_a_reload_but_not_in_the_address(page: Page, role: str) -> None:
    """The invite is kept for the tab and wiped from the address bar."""
    page.goto(f"/{role}/studio#invite={INVITE}")
    expect(page.get_by_role("heading", name="Studio")).to_be_visible()
    assert "#" not in page.url
    page.reload()
    expect(page.get_by_role("heading", name="Studio")).to_be_visible()


def test_pin_is_asked_for_only_where_there_is_one(page: Page, site: ScriptedSite) -> None:
    """The PIN field shows in rooms that have a PIN and in no others."""
    page.goto(f"/join/studio#invite={INVITE}")
    expect(page.get_by_label("PIN")).to_be_hidden()
    site.script.pin = "abc123"
    page.reload()
    expect(page.get_by_label("PIN")).to_be_visible()
