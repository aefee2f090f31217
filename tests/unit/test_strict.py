"""TOML becomes dataclasses, or one clear refusal."""

from dataclasses import dataclass
from typing import Literal

import pytest

from inegnum.data.strict import into, read_toml
from inegnum.errors import InputError


@dataclass(frozen=True)
class Inner:
    name: str


@dataclass(frozen=True)
class Outer:
    rate: float
    side: Literal["left", "right"]
    inner: Inner
    many: tuple[Inner, ...] = ()
    note: str | None = None


GOOD = b'rate = 1\nside = "left"\nnote = "n"\n[inner]\nname = "a"\n[[many]]\nname = "b"\n'


def test_nested_tables_and_defaults() -> None:
    outer = into(Outer, read_toml(GOOD, where="f"), where="f")
    assert outer == Outer(1.0, "left", Inner("a"), (Inner("b"),), "n")
    assert isinstance(outer.rate, float)


@pytest.mark.parametrize(
    ("before", "after", "message"),
    [
        (b"rate", b"rat", "did you mean rate"),
        (b'"left"', b'"lfet"', "did you mean left"),
        (b"rate = 1\n", b"", "add rate"),
        (b"rate = 1", b"rate = true", "got: True"),
        (b"rate = 1", b'rate = "1"', "expected: a valid number"),
        (b'[inner]\nname = "a"', b"inner = 3", "expected: an object"),
        (b'[[many]]\nname = "b"', b"", ""),
        (b'name = "b"', b'nom = "b"', r"many\[0\]"),
    ],
)
def test_each_mistake_is_named(before: bytes, after: bytes, message: str) -> None:
    text = GOOD.replace(before, after)
    if not message:
        assert into(Outer, read_toml(text, where="f"), where="f").many == ()
        return
    with pytest.raises(InputError, match=message):
        into(Outer, read_toml(text, where="f"), where="f")


def test_unreadable_files_are_refused() -> None:
    with pytest.raises(InputError, match="not valid TOML"):
        read_toml(GOOD[:12], where="f")
    with pytest.raises(InputError, match="byte 8"):
        read_toml(b'note = "\xe9"', where="f")
