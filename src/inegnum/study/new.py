"""A commented study file for any territory of France."""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence
from importlib.resources import files
from pathlib import Path
from string import Template
from typing import Literal

from inegnum.data.areas import load_areas
from inegnum.data.margins import FIRST_YEAR, LAST_YEAR
from inegnum.errors import InputError
from inegnum.estimators.spec import ModelSpec
from inegnum.provenance import sha256_bytes
from inegnum.study.spec import parse_study

__all__ = ["DEFAULT_INDICATORS", "new_study"]

DEFAULT_INDICATORS = (
    "internet_daily",
    "admin_online",
    "purchase_online",
    "social_network",
    "admin_difficulty",
    "barrier_skills",
    "barrier_any",
    "smartphone",
    "tablet",
    "computer_home",
    "barrier_equipment",
    "fixed_internet",
    "barrier_access",
)

# Communes a territory is called by; more of them are counted.
_NAMED = 3


def new_study(
    code: str | Sequence[str],
    *,
    kind: Literal["epci", "department", "communes"] = "epci",
    year: int = 2022,
    out: str | Path = "study.toml",
) -> Path:
    """Write a commented study file and return its path.

    Parameters
    ----------
    code : str or sequence of str
        Code of the territory, for instance ``"243500139"`` (Rennes Métropole), or codes of
        communes.
    kind : {"epci", "department", "communes"}
    year : int
        Year the figures are about.
    out : str or Path
        A file that does not exist yet.

    Raises
    ------
    InputError
        A code is unknown, repeated or overseas, the year has no municipal populations, or the file
        exists.

    Examples
    --------
    >>> from tempfile import TemporaryDirectory
    >>> with TemporaryDirectory() as folder:
    ...     path = new_study(["33063", "33249"], kind="communes", out=Path(folder) / "two.toml")
    ...     text = path.read_text(encoding="utf-8")
    >>> print(text.split("[territory]")[1].split("levels")[0].strip())
    communes = [
      "33063", # Bordeaux
      "33249", # Lormont
    ]
    name = "Bordeaux, Lormont"
    """
    path = Path(out)
    if not FIRST_YEAR <= year <= LAST_YEAR:
        raise InputError(
            "there are no municipal populations of this year",
            where="year",
            got=year,
            expected=f"{FIRST_YEAR} to {LAST_YEAR}",
        )
    codes = [code] if isinstance(code, str) else list(code)
    label, territory = _territory(kind, codes)
    name = f"{_slug(label)}-{year}"
    # The latest wave the year has seen; a year before both takes the first, and a check says so.
    waves = ModelSpec().waves
    text = Template((files("inegnum.study") / "template.toml").read_text(encoding="utf-8"))
    filled = text.substitute(
        name=name,
        file=path.name,
        year=year,
        survey=max((wave for wave in waves if wave <= year), default=min(waves)),
        # A seed of its own, the same wherever the study is written.
        seed=int(sha256_bytes(f"{kind} {' '.join(sorted(codes))} {year}".encode())[:7], 16),
        title_fr=f"Inégalités numériques : {label} {year}",
        title_en=f"Digital inequality: {label} {year}",
        indicators="\n".join(f'  "{indicator}",' for indicator in DEFAULT_INDICATORS),
        territory=territory,
    )
    parse_study(filled.encode(), where=str(path))
    try:
        with path.open("x", encoding="utf-8") as handle:
            handle.write(filled)
    except FileExistsError:
        raise InputError(
            "the file exists", where=str(path), hint="choose another --out; it was not touched"
        ) from None
    except OSError as error:
        raise InputError(
            "the study file cannot be written", where=str(path), got=error.strerror
        ) from error
    return path


def _territory(
    kind: Literal["epci", "department", "communes"], codes: Sequence[str]
) -> tuple[str, str]:
    """Return the label of a territory and the lines of the study that name it."""
    if kind == "communes":
        areas = load_areas(communes=codes)
        named = list(areas["name"])
        label = ", ".join(named) if len(named) <= _NAMED else f"{len(named)} communes"
        listed = "".join(
            f'  "{geo}", # {name}\n' for geo, name in zip(areas["geo"], named, strict=True)
        )
        return label, f'communes = [\n{listed}]\nname = "{label}"'
    if len(codes) != 1:
        raise InputError("one territory a study", where=kind, got=", ".join(codes) or "none")
    (code,) = codes
    areas = load_areas(epci=code) if kind == "epci" else load_areas(department=code)
    label = str(areas["epci_name"].iloc[0]) if kind == "epci" else f"département {code}"
    return label, f'{kind} = "{code}" # {label}, {len(areas)} communes'


def _slug(label: str) -> str:
    """Return `label` in lower-case ASCII words joined by hyphens."""
    plain = unicodedata.normalize("NFKD", label).encode("ascii", "ignore").decode().lower()
    return "-".join("".join(c if c.isalnum() else " " for c in plain).split())
