from __future__ import annotations

import pytest

from inegnum.estimators.progress import counted


def test_counts_without_a_bar_when_short(capsys: pytest.CaptureFixture[str]) -> None:
    assert list(counted(4, "replicates")) == [0, 1, 2, 3]
    assert capsys.readouterr().err == ""


def test_a_long_loop_shows_its_label_on_stderr(capsys: pytest.CaptureFixture[str]) -> None:
    assert list(counted(3, "replicates", patience=0.0)) == [0, 1, 2]
    captured = capsys.readouterr()
    assert "replicates" in captured.err
    assert captured.out == ""
