"""A commented study file for any territory of France."""

from __future__ import annotations

import unicodedata
from importlib.resources import files
from pathlib import Path
from string import Template
from typing import Literal

from inegnum.data.areas import load_areas
from inegnum.errors import InputError
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


def new_study(
    code: str,
    *,
    kind: Literal["epci", "department"] = "epci",
    year: int = 2022,
    out: str | Path = "study.toml",
) -> Path:
    """Write a commented study file and return its path.

    Parameters
    ----------
    code : str
        Code of the territory, for instance ``"243500139"`` (Rennes Métropole).
    kind : {"epci", "department"}
    year : int
        Year the figures are about.
    out : str or Path
        A file that does not exist yet.

    Raises
    ------
    InputError
        The code is unknown, or the file exists.
    """
    path = Path(out)
    areas = load_areas(epci=code) if kind == "epci" else load_areas(department=code)
    label = str(areas["epci_name"].iloc[0]) if kind == "epci" else f"département {code}"
    name = f"{_slug(label)}-{year}"
    text = Template((files("inegnum.study") / "template.toml").read_text(encoding="utf-8"))
    filled = text.substitute(
        name=name,
        file=path.name,
        year=year,
        # A seed of its own, the same wherever the study is written.
        seed=int(sha256_bytes(f"{kind} {code} {year}".encode())[:7], 16),
        title_fr=f"Inégalités numériques : {label} {year}",
        title_en=f"Digital inequality: {label} {year}",
        indicators="\n".join(f'  "{indicator}",' for indicator in DEFAULT_INDICATORS),
        territory=f'{kind} = "{code}" # {label}, {len(areas)} communes',
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


def _slug(label: str) -> str:
    """Return `label` in lower-case ASCII words joined by hyphens."""
    plain = unicodedata.normalize("NFKD", label).encode("ascii", "ignore").decode().lower()
    return "-".join("".join(c if c.isalnum() else " " for c in plain).split())
