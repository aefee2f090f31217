"""Cheating with validation tables is caught, by role and by hash."""

import shutil
from dataclasses import replace

import pytest

from inegnum.data import catalogue
from inegnum.errors import InputError, IsolationError
from inegnum.provenance import require_role, sha256_file
from inegnum.review.isolation import breaches, isolation

KNOWN = catalogue.sources()
KEPT = "published_figures"


def entry(name: str, role: str, sha256: str) -> dict[str, str]:
    return {"name": name, "role": role, "sha256": sha256}


def honest() -> list[dict[str, str]]:
    return [entry(s.name, s.role, s.sha256) for s in KNOWN if s.role != "validate"]


def test_honest_inputs_pass() -> None:
    found = isolation(honest(), KNOWN)
    assert found.status == "pass"
    assert len(honest()) >= 2


def test_a_validation_table_under_its_own_name_is_caught() -> None:
    kept = catalogue.source(KEPT)
    found = isolation([*honest(), entry(kept.name, "validate", kept.sha256)], KNOWN)
    assert found.status == "fail"
    assert KEPT in found.sentence_en


def test_relabelling_a_validation_table_is_caught() -> None:
    kept = catalogue.source(KEPT)
    assert breaches([entry(kept.name, "fit", kept.sha256)], KNOWN) == [
        f"{KEPT}: same bytes as {KEPT}, kept for validation"
    ]


def test_copying_the_file_under_another_name_is_caught(tmp_path) -> None:
    record = catalogue.record(KEPT)
    copy = tmp_path / "margins_of_my_own.csv"
    shutil.copy(catalogue.reference_root() / record.file, copy)
    found = isolation([*honest(), entry("margins_of_my_own", "fit", sha256_file(copy))], KNOWN)
    assert found.status == "fail"
    assert f"same bytes as {KEPT}" in found.sentence_en


def test_changed_bytes_under_a_known_name_are_caught() -> None:
    assert breaches([entry("communes", "fit", "0" * 64)], KNOWN) == [
        "communes: not the bytes on record"
    ]


def test_an_older_table_warns_and_a_breach_beside_it_still_fails() -> None:
    old = entry("communes", "fit", "0" * 64)
    found = isolation([old], KNOWN)
    assert found.status == "warn"
    assert "not the tables of this version: communes" in found.sentence_en
    kept = catalogue.source(KEPT)
    assert isolation([old, entry("mine", "fit", kept.sha256)], KNOWN).status == "fail"


def test_a_fit_refuses_the_source_before_any_manifest() -> None:
    kept = catalogue.source(KEPT)
    with pytest.raises(IsolationError, match="wrong role"):
        require_role([kept], "fit", where="test")
    # Relabelling in memory passes the role and is caught by the hash.
    relabelled = replace(kept, role="fit", name="margins_of_my_own")
    require_role([relabelled], "fit", where="test")
    assert breaches([entry(relabelled.name, relabelled.role, relabelled.sha256)], KNOWN)


def test_no_input_proves_nothing() -> None:
    assert isolation([], KNOWN).status == "fail"


def test_an_input_without_hash_is_refused() -> None:
    with pytest.raises(InputError, match="cannot be traced"):
        breaches([entry("communes", "fit", "")], KNOWN)
