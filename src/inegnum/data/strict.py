"""Read TOML into frozen dataclasses and refuse what was not asked for.

An unknown key is a typing mistake until proved otherwise: it is refused with the nearest name.
"""

from __future__ import annotations

import tomllib
import types
from collections.abc import Mapping
from dataclasses import MISSING, Field, fields, is_dataclass
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

from inegnum.errors import InputError, nearest

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
    """Build the dataclass `cls` from a TOML table.

    Fields may be text, whole or decimal numbers, booleans, literals, other dataclasses, and
    tuples of those.

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
    known = {field.name: field for field in fields(cls)}  # type: ignore[arg-type]
    for key in table:
        if key not in known:
            raise InputError(
                "unknown key", where=f"{where}, {key}", got=key, hint=nearest(key, known)
            )
    hints = get_type_hints(cls)
    values = {}
    for name, field in known.items():
        if name in table:
            values[name] = _value(table[name], hints[name], where=f"{where}, {name}")
        elif _required(field):
            raise InputError(
                "a key is missing", where=where, expected=f"{name} = ...", hint=f"add {name}"
            )
    return cls(**values)


def _required(field: Field[Any]) -> bool:
    return field.default is MISSING and field.default_factory is MISSING


def _value(value: Any, kind: Any, *, where: str) -> Any:
    """Return `value` as `kind`, or refuse it."""
    origin = get_origin(kind)
    if is_dataclass(kind):
        if not isinstance(value, dict):
            raise _refused(value, "a table", where)
        return into(kind, value, where=where)  # type: ignore[arg-type]
    if origin is tuple:
        if not isinstance(value, list):
            raise _refused(value, "a list", where)
        item = get_args(kind)[0]
        return tuple(_value(v, item, where=f"{where}[{i}]") for i, v in enumerate(value))
    if origin is Literal:
        if value not in get_args(kind):
            allowed = [str(option) for option in get_args(kind)]
            raise InputError(
                "a value is not among those allowed",
                where=where,
                got=value,
                expected=", ".join(allowed),
                hint=nearest(str(value), allowed),
            )
        return value
    if origin in (Union, types.UnionType):
        options = [option for option in get_args(kind) if option is not type(None)]
        return _value(value, options[0], where=where)
    if kind is float and isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    if not isinstance(value, kind) or (isinstance(value, bool) and kind is not bool):
        names = {str: "text", int: "a whole number", float: "a number", bool: "true or false"}
        raise _refused(value, names.get(kind, kind.__name__), where)
    return value


def _refused(value: Any, expected: str, where: str) -> InputError:
    return InputError("a value has the wrong type", where=where, got=repr(value), expected=expected)
