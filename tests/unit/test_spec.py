"""A study that asks for what cannot be had is refused before anything is computed."""

import pytest

from inegnum.errors import InputError, StudyError
from inegnum.estimators import engine, nuts
from inegnum.estimators.spec import Anchor, ModelSpec, TermSpec, parse_spec


def test_defaults_read_back_from_an_empty_table():
    assert parse_spec({}) == ModelSpec()


def test_terms_come_from_toml():
    spec = parse_spec({"terms": [{"factors": "age", "scale": 1, "structure": "rw"}]})
    assert spec.terms == (TermSpec("age", 1.0, "rw"),)


def test_chains_are_as_long_as_the_specification_says(monkeypatch):
    asked = {}
    monkeypatch.setattr(nuts, "sample", lambda design, *, rng, **how: asked.update(how))
    engine.sampled(None, parse_spec({"sampler": {"target_accept": 0.99, "tune": 2000}}), None)
    assert asked == {"draws": 1000, "tune": 2000, "target_accept": 0.99, "inverted": None}


@pytest.mark.parametrize(
    ("table", "word"),
    [
        ({"yaer": 2022}, "year"),
        ({"waves": []}, "no wave"),
        ({"history": [2020]}, "evidence once"),
        ({"terms": [{"factors": "agee", "scale": 1.0}]}, "age"),
        ({"terms": [{"factors": "age:urban", "scale": 1.0}]}, "geographic"),
        ({"terms": [{"factors": "age:sex", "scale": 1.0, "structure": "rw"}]}, "one factor"),
        ({"terms": [{"factors": "age", "scale": 0.0}]}, "positive"),
        ({"terms": [{"factors": "age", "scale": 1.0}] * 2}, "twice"),
        ({"terms": [{"factors": "urban", "scale": 1.0}]}, "personal"),
        ({"mode": {"pooled": 0.9, "held": 0.3, "equalised": 0.0}}, "shares"),
        ({"anchor": {"limit": 3.0}}, "logit shift"),
        ({"tau": {"metro": -0.1}}, "negative"),
        ({"engine": "stan"}, "laplace"),
        ({"draws": 5}, "draws"),
        ({"sampler": {"target_accept": 1.0}}, "acceptance"),
        ({"sampler": {"tune": 5}}, "chain"),
    ],
)
def test_what_cannot_be_is_refused(table, word):
    with pytest.raises((StudyError, InputError), match=word):
        parse_spec(table)


def test_dropping_a_factor_drops_its_interactions():
    left = {t.factors for t in ModelSpec().without("urban")}
    assert "urban" not in left
    assert "wave:urban" not in left
    assert "age" in left
    assert Anchor().limit == 0.3
