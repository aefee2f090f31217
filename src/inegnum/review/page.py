"""The ladder as one readable page, in French or English, that works offline."""

from __future__ import annotations

from importlib.resources import files
from pathlib import Path
from typing import Any, Final, Literal

import pandas as pd

from inegnum.errors import MissingDependencyError
from inegnum.review.ladder import Ladder
from inegnum.review.rung import Rung
from inegnum.review.thresholds import Threshold, thresholds
from inegnum.review.verdict import Verdict

__all__ = ["write_page"]

Language = Literal["fr", "en"]
WORDS: Final[dict[str, dict[str, str]]] = {
    "title": {"fr": "Échelle de validation", "en": "Validation ladder"},
    "lead": {
        "fr": "Chaque barreau compare les estimations à quelque chose qu'elles n'ont pas vu. "
        "Un échec reste affiché.",
        "en": "Each rung compares the estimates with something they did not see. "
        "A failure stays on the page.",
    },
    "pass": {"fr": "tenu", "en": "holds"},
    "warn": {"fr": "à surveiller", "en": "watch"},
    "fail": {"fr": "échoue", "en": "fails"},
    "limits": {"fr": "Seuils et raisons", "en": "Thresholds and reasons"},
    "tables": {"fr": "Chiffres", "en": "Figures"},
    "range": {"fr": "plage admise", "en": "accepted"},
    "reason": {"fr": "raison", "en": "reason"},
    "run": {"fr": "Exécuté le", "en": "Run on"},
    "quick": {"fr": "niveau rapide", "en": "quick level"},
    "full": {"fr": "niveau complet", "en": "full level"},
    "method": {"fr": "la méthode", "en": "the method"},
}


def write_page(ladder: Ladder, path: Path, *, language: Language = "fr") -> None:
    """Write ``validation.html``.

    Parameters
    ----------
    ladder : Ladder
    path : Path
        File to write.
    language : {"fr", "en"}

    Raises
    ------
    MissingDependencyError
        Jinja2 is not installed (extra ``report``).
    """
    try:
        from jinja2 import Environment, StrictUndefined
    except ImportError as error:
        raise MissingDependencyError(
            "the validation page needs Jinja2", hint="install inegnum[report]"
        ) from error
    source = files("inegnum.review").joinpath("page.html.j2").read_text(encoding="utf-8")
    environment = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True)
    page = environment.from_string(source).render(
        language=language,
        words={key: both[language] for key, both in WORDS.items()},
        ladder=ladder,
        counts=_counts(ladder.verdicts),
        rungs=[_rung_view(rung, language) for rung in ladder.rungs],
        limits=[
            (name, _range(t, language), t.reason_fr if language == "fr" else t.reason_en)
            for name, t in sorted(thresholds().items())
        ],
    )
    path.write_text(page, encoding="utf-8")


def _range(limit: Threshold, language: Language) -> str:
    shown = limit.range()
    return shown.replace(".", ",") if language == "fr" else shown


def _counts(verdicts: tuple[Verdict, ...]) -> dict[str, int]:
    return {
        status: sum(v.status == status for v in verdicts) for status in ("pass", "warn", "fail")
    }


def _rung_view(rung: Rung, language: Language) -> dict[str, Any]:
    order = {"fail": 0, "warn": 1, "pass": 2}
    return {
        "number": rung.number,
        "code": rung.code,
        "title": getattr(rung, f"title_{language}"),
        "notes": getattr(rung, f"notes_{language}"),
        "counts": _counts(rung.verdicts),
        "verdicts": [
            (v.status, v.check, getattr(v, f"sentence_{language}"))
            for v in sorted(rung.verdicts, key=lambda v: order[v.status])
        ],
        "tables": [
            (name, list(table.columns), _cells(table, language))
            for name, table in rung.tables.items()
        ],
    }


def _cells(table: pd.DataFrame, language: Language) -> list[list[str]]:
    """Return the cells of a table as text, floats at three decimals, missing as a dash."""
    mark = "," if language == "fr" else "."

    def show(value: object) -> str:
        if isinstance(value, float):
            if value != value:
                return "–"
            return f"{value:.0f}" if abs(value) >= 100 else f"{value:.3f}".replace(".", mark)
        return str(value)

    return [[show(value) for value in row] for row in table.itertuples(index=False, name=None)]
