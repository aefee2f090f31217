"""A simulated release and its pages, built once."""

from __future__ import annotations

from datetime import date
from pathlib import Path

import pytest

from inegnum.release.read import Release, read_release
from inegnum.release.report import build_report
from inegnum.release.site import publish
from inegnum.release.supply import read_places
from release.synthetic import write_places, write_release


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


@pytest.fixture(scope="session")
def site(release_path: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("observatory")
    supply = read_places(write_places(folder / "places.csv"), source="Simulated")
    return publish(
        release_path,
        out=folder / "site",
        languages=["fr", "en"],
        supply=supply,
        previous=write_release(folder / "before", seed=11),
        as_of=date(2024, 6, 1),
    )


@pytest.fixture(scope="session")
def site_without_shapes(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A territory the package has no shapes for: no map, the rest whole."""
    folder = tmp_path_factory.mktemp("nowhere")
    release = write_release(folder / "release", drawn=False)
    supply = read_places(write_places(folder / "places.csv"), source="Simulated")
    return publish(release, out=folder / "site", supply=supply, as_of=date(2024, 6, 1))
