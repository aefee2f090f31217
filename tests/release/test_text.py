"""One catalogue, two languages: same keys, same slots, same rules for numbers."""

from __future__ import annotations

import re
import string
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from inegnum.data import catalogue
from inegnum.data.indicators import breaks, definitions
from inegnum.errors import InputError
from inegnum.estimators.learned_tau import learned_tau
from inegnum.estimators.spec import Tau
from inegnum.release.text import NARROW, NBSP, french_spaces, phrases
from inegnum.study import find_study
from inegnum.study.manifest import given_with
from inegnum.study.surveys import LocalChoice, codebook_source


def slots(phrase: str) -> set[str]:
    return {name for _, name, _, _ in string.Formatter().parse(phrase) if name is not None}


def test_both_languages_hold_the_same_keys() -> None:
    assert set(phrases("fr")) == set(phrases("en"))


def test_every_phrase_has_the_same_slots_in_both_languages() -> None:
    fr, en = phrases("fr"), phrases("en")
    different = {key for key in fr if slots(fr[key]) != slots(en[key])}
    assert different == set()


def test_no_phrase_is_left_in_the_other_language() -> None:
    fr, en = phrases("fr"), phrases("en")
    # Words that are written alike in both languages.
    alike = {
        *("level.france", "level.commune", "level.iris", "step.france", "table.area"),
        *("source.licence", "verdict.info", "method.confidentiality_title", "reference.people"),
        *("why.delta", "section.sources", "reference.comparable", "verdict.status"),
        "people.concerned",
        *("glossary.poststratification.term", "nav.label", "source.transformation"),
        *("explore.level_commune", "sheet.similar_head", "table.area_iris"),
        "short.smartphone",
    }
    assert {key for key in fr if fr[key] == en[key] and fr[key] and len(fr[key]) > 3} <= alike


# Names and codes that are written alike in both languages.
NAMES = re.compile(
    r"|communes|structures|Gironde|[A-Z]\w+ ?\d{4}(, [A-Z]\w+ ?\d{4})*|[\d, -]+"
    r"|.*\((INSEE|CRÉDOC|ANCT|IGN)\)"
)


@pytest.mark.parametrize(
    ("language", "written"),
    [
        # Titles, producers and French vintages are written in French, the rest in English.
        ("en", ("producer", "title")),
        ("fr", ("universe", "unit", "transformation")),
    ],
)
def test_every_shipped_record_is_told_in_both_languages(
    language: str, written: tuple[str, ...]
) -> None:
    known = phrases(language).expressions
    for source in catalogue.sources():
        for name in written:
            text = getattr(source, name)
            assert text in known or NAMES.fullmatch(text), (source.name, name, text)
    mixed = {getattr(s, name) for s in catalogue.sources() for name in ("vintage", "geo_vintage")}
    elsewhere = phrases("en" if language == "fr" else "fr").expressions
    for text in mixed:
        assert text in known or text in elsewhere or NAMES.fullmatch(text), text


def test_files_given_with_a_study_are_told_in_french(tmp_path: Path) -> None:
    events, shapes, book = (tmp_path / name for name in ("events.csv", "map.geojson", "book.toml"))
    for file in (events, shapes, book):
        file.write_text("x")
    study = find_study("bordeaux-metropole-2022")
    study = replace(
        study,
        frame=replace(study.frame, events=str(events)),
        territory=replace(study.territory, geojson=str(shapes)),
    )
    known = phrases("fr").expressions
    found = (*given_with(study), codebook_source(LocalChoice(str(events), str(book))))
    assert len(found) == 3
    for source in found:
        assert {source.producer, source.title, source.universe} <= set(known), source


def test_no_english_remark_is_left_in_french_definitions() -> None:
    fr, en = phrases("fr"), phrases("en")
    for entry in definitions():
        said = fr.wording(entry.indicator.wording)
        assert not re.search(r"\b(the|any|first|least|changed|derived|wording)\b", said), said
        assert en.wording(entry.indicator.wording).startswith("wording inferred")
    every = [b for d in definitions() for b in breaks(d.indicator.code, 2007, 2022)]
    assert every
    for year_break in every:
        assert fr.told(year_break.en) == fr.typeset(year_break.fr)
    assert "target" not in fr.told(Tau().origin)
    assert fr.told(Tau().origin) != Tau().origin
    assert "0,2" in fr.told(learned_tau("smartphone").origin)
    assert "pseudo" not in fr.told(learned_tau("smartphone").origin)
    assert fr.told("2020: not asked") == f"2020{NBSP}: question non posée"
    assert en.told("2020: not asked") == "2020: not asked"


def test_minus_signs_of_the_manifest_are_minus_signs() -> None:
    fr = phrases("fr")
    assert fr.typeset("de -2,2 à +1 (2016-2020)") == "de −2,2 à +1 (2016-2020)"


def test_every_indicator_of_the_registry_can_be_said() -> None:
    for language in ("fr", "en"):
        words = phrases(language)
        for indicator in (entry.indicator for entry in definitions()):
            assert words.predicate(indicator.code), indicator.code
            assert words.short(indicator.code, "") != "", indicator.code
            # Distance is said by the characteristic itself, or by its absence.
            absent = words.predicate(indicator.code, without=True)
            assert bool(absent) == (indicator.direction > 0), indicator.code


def test_an_unknown_key_names_the_nearest() -> None:
    with pytest.raises(InputError, match=r"did you mean .*card\.source"):
        phrases("fr")["card.sourc"]


def test_an_unknown_language_is_refused() -> None:
    with pytest.raises(InputError, match="expected: fr, en"):
        phrases("de")


def test_french_typography() -> None:
    assert french_spaces("Quoi ? « 9 % » : l'an") == (
        f"Quoi{NARROW}? «{NBSP}9{NBSP}%{NBSP}»{NBSP}: l\u2019an"
    )
    for key, phrase in phrases("fr").items():
        for sign in (" ?", " !", " ;", " :", " %", " »", "« ", "'"):
            assert sign not in phrase, key


def test_the_headline_sentence() -> None:
    assert phrases("fr").rate_sentence("12+", 0.9263, (0.8961, 0.9549)) == (
        "environ 93 habitants de 12 ans et plus sur 100 (90–95)"
    )


@pytest.mark.parametrize(
    ("rate", "text"),
    [(0.0, "0"), (0.004, "moins de 1"), (0.005, "1"), (0.995, "100"), (0.996, "plus de 99")],
)
def test_rates_near_the_ends(rate: float, text: str) -> None:
    assert phrases("fr").hundred(rate) == text


@given(st.floats(0, 1))
def test_a_modelled_rate_never_carries_decimals(rate: float) -> None:
    for language in ("fr", "en"):
        assert not set(phrases(language).hundred(rate)) & {".", ","}


@given(st.floats(5, 1e7))
def test_people_keep_two_significant_digits(count: float) -> None:
    text = phrases("en").people(count)
    digits = text.replace(",", "")
    assert len(digits.rstrip("0")) <= 2
    # Half a unit of the second digit, and tens at least.
    assert abs(float(digits) - count) <= max(0.5 * 10 ** (len(digits) - 2), 5) * 1.001


def test_gaps_say_their_sign_and_their_number() -> None:
    fr = phrases("fr")
    assert fr.gap(0.061, 0.02, 0.09) == "+6 points (de +2 à +9)"
    assert fr.gap(-0.012, -0.04, 0.001) == "−1 point (de −4 à 0)"


@pytest.mark.parametrize(
    ("probability", "text"),
    [
        (0.01, "moins d’une chance sur 20"),
        (0.07, "environ 1 chance sur 10"),
        (0.68, "environ 7 chances sur 10"),
        (0.96, "plus de 19 chances sur 20"),
    ],
)
def test_chances(probability: float, text: str) -> None:
    assert phrases("fr").chances(probability) == text


def test_an_inferred_wording_is_said_to_be() -> None:
    assert phrases("fr").wording("wording inferred: X") == f"libellé déduit{NBSP}: X"
    assert phrases("fr").wording("Avez-vous X ?") == f"Avez-vous X{NARROW}?"
