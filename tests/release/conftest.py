"""A simulated release and its pages, built once."""

from __future__ import annotations

from pathlib import Path

import pytest

from inegnum.release.read import Release, read_release
from inegnum.release.report import build_report
from release.synthetic import write_release


@pytest.fixture(scope="session")
def release_path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_release(tmp_path_factory.mktemp("release"))


@pytest.fixture(scope="session")
def release(release_path: Path) -> Release:
    return read_release(release_path)


@pytest.fixture(scope="session")
def reports(release_path: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("reports")
    return {
        language: build_report(release_path, language=language, out=folder / f"{language}.html")
        for language in ("fr", "en")
    }
