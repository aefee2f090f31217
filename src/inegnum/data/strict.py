"""Read TOML into frozen dataclasses and refuse what was not asked for.

An unknown key is a typing mistake until proved otherwise: it is refused with the nearest name.
"""

from __future__ import annotations

import json
import tomllib
from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from functools import cache
from typing import Any, cast, get_type_hints

from inegnum.errors import InegnumError, InputError, nearest

__all__ = ["into", "read_toml"]


def read_toml(data: bytes, *, where: str) -> dict[str, Any]:
    """Parse TOML, saying which file and line cannot be read.

    Raises
    ------
    InputError
        The bytes are not UTF-8, or not TOML (a truncated file among others).
    """
    try:
        return tomllib.loads(data.decode("utf-8"))
    except UnicodeDecodeError as error:
        raise InputError(
            "the file is not UTF-8", where=f"{where}, byte {error.start}", hint="save it as UTF-8"
        ) from error
    except tomllib.TOMLDecodeError as error:
        raise InputError(
            "the file is not valid TOML",
            where=where,
            got=str(error),
            hint="check that the file is complete",
        ) from error


def into[T](cls: type[T], table: Mapping[str, Any], *, where: str) -> T:
    """Build the dataclass `cls` from a TOML table, checked by pydantic in strict mode.

    Fields may be text, whole or decimal numbers, booleans, literals, other dataclasses, and
    tuples of those. An error of the library raised by a dataclass itself passes unchanged.

    Raises
    ------
    InputError
        A key is unknown or missing, or a value is of the wrong type.

    Examples
    --------
    >>> from dataclasses import dataclass
    >>> @dataclass(frozen=True)
    ... class Column:
    ...     name: str
    ...     unit: str = ""
    >>> into(Column, {"name": "geo"}, where="example")
    Column(name='geo', unit='')
    """
    from pydantic import ValidationError

    try:
        # Through JSON, where strict mode takes an array for a tuple and a whole number for a float.
        text = json.dumps({"value": dict(table)}, default=str)
        made: T = _holder(cast("Any", cls)).model_validate_json(text).value
    except ValidationError as error:
        findings = error.errors(include_url=False)
    else:
        return made
    # A misspelt key is often also a missing one: the misspelling is what to show.
    first = min(findings, key=lambda found: found["type"] != "unexpected_keyword_argument")
    raise _explained(cls, first, where)


@cache
def _holder(cls: Any) -> Any:
    """Return a model of one field of type `cls`: its strictness reaches nested dataclasses."""
    from pydantic import ConfigDict, create_model

    config = ConfigDict(extra="forbid", strict=True)
    return create_model("Holder", __config__=config, value=(cls, ...))


def _explained(cls: type, found: Mapping[str, Any], where: str) -> InegnumError:
    """Turn one of pydantic's findings into a sentence a person can act on."""
    cause = found.get("ctx", {}).get("error")
    if isinstance(cause, InegnumError):
        return cause
    place = found["loc"][1:]
    at = ", ".join([where, _path(place)] if place else [where])
    if found["type"] == "unexpected_keyword_argument":
        known = _fields_at(cls, place[:-1])
        return InputError(
            "unknown key",
            where=at,
            got=place[-1],
            expected=", ".join(known),
            hint=nearest(str(place[-1]), known),
        )
    if found["type"] == "missing":
        return InputError(
            "a key is missing", where=at, expected=f"{place[-1]} = ...", hint=f"add {place[-1]}"
        )
    expected = found["msg"].removeprefix("Input should be ").removeprefix("Value error, ")
    hint = ""
    if found["type"] == "literal_error":
        allowed = found["ctx"]["expected"].replace("'", "").replace(" or ", ", ").split(", ")
        hint = nearest(str(found["input"]), allowed)
    return InputError(
        "a value cannot be used", where=at, got=repr(found["input"]), expected=expected, hint=hint
    )


def _path(place: tuple[int | str, ...]) -> str:
    """Return a place as it would be written: ``many[0].name``."""
    text = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in place)
    return text.removeprefix(".")


def _fields_at(cls: type, place: tuple[int | str, ...]) -> list[str]:
    """Return the fields of the dataclass found by following `place` from `cls`."""
    kind: Any = cls
    for part in place:
        if isinstance(part, str):
            hint = get_type_hints(kind)[part]
            inner = [hint, *getattr(hint, "__args__", ())]
            kind = next((one for one in inner if is_dataclass(one)), kind)
    return [field.name for field in fields(kind)]
