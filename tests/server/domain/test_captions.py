import re

import pytest

from hls.types import CaptionsSpec
from server.domain.air import Air, AirBus, Studio, air_mistake
from server.domain.captions import (
    CAPTION_LANGUAGE,
    MAX_LANGUAGES,
    captions_of,
    found_in,
    languages_mistake,
)

LONGEST = "abcdefgh-12345678-12345678"


def test_renditions() -> None:
    """Each language is a rendition under an address of its own, which none of the sound has."""
    assert captions_of(["en", "pt-BR"]) == (
        CaptionsSpec("en-cc", "en"),
        CaptionsSpec("pt-br-cc", "pt-BR"),
    )
    assert re.fullmatch("[a-z0-9-]{1,32}", captions_of([LONGEST])[0].name)
    heard = {one.name for one in Studio().renditions((AirBus("floor"), AirBus("en-cc")))}
    assert not heard & {"en-cc", LONGEST}


@pytest.mark.parametrize("languages", [[], ["en"], ["en", "en-GB", "zh-Hant-TW"], [LONGEST]])
def test_good(languages: list[str]) -> None:
    """What can be said is not refused."""
    assert languages_mistake(languages) == ""
    assert air_mistake(Air(captions=tuple(languages)), ()) == ""


@pytest.mark.parametrize(
    ("languages", "mistake"),
    [
        (["en", "EN"], "once"),
        (["e"], "a tag"),
        (["en\n"], "a tag"),
        (["../x"], "a tag"),
        (["\N{ARABIC-INDIC DIGIT ONE}n"], "a tag"),
        ([f"a{chr(97 + n)}" for n in range(MAX_LANGUAGES + 1)], "at most"),
    ],
)
def test_bad(languages: list[str], mistake: str) -> None:
    """What cannot be an address, or is there twice, is said."""
    assert mistake in languages_mistake(languages)
    assert mistake in air_mistake(Air(captions=tuple(languages)), ())


def test_found_however_written() -> None:
    """A language is the room's however a service writes it."""
    assert found_in(["en", "pt-BR"], "PT-br") == "pt-BR"
    assert found_in(["en"], "en-GB") is None
    assert re.search(CAPTION_LANGUAGE, "pt-BR")
