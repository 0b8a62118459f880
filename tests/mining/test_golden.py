"""Files of this format version can be read for ever; bytes change only with a declared number."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
from every_kind import KINDS
from golden_files import (
    BYTES,
    GOLDEN_ROOTS,
    OF_LOGARITHMS,
    ROOTS,
    faults_of_golden,
    machine,
    rest_on_models,
    unpacked,
)
from store_workers import squares

TOLD = json.loads(ROOTS.read_text())
GOLDEN = GOLDEN_ROOTS


@pytest.fixture(scope="module")
def golden(tmp_path_factory):
    """The golden workspace, as it was written."""
    return unpacked(tmp_path_factory.mktemp("golden"))


def test_there_is_a_golden_artifact_of_every_kind_and_they_are_small():
    assert {place.partition("/")[0] for place in GOLDEN} == KINDS
    assert BYTES.stat().st_size + ROOTS.stat().st_size < 300_000


@pytest.mark.parametrize("place", sorted(GOLDEN))
def test_a_golden_artifact_is_read(golden, place):
    assert faults_of_golden(golden, place) == []


def test_bytes_change_only_with_the_number_of_an_algorithm(every_kind):
    """What a model computed depends on the processor; it is golden for reading only."""
    made = {f"{one.kind}/{one.fingerprint}": one for one in every_kind.artifacts()}
    here, compared = machine(), 0
    for place, said in GOLDEN.items():
        kind = place.partition("/")[0]
        if said["models"] or here["unicode"] != TOLD["machine"]["unicode"]:
            continue
        if kind in OF_LOGARITHMS and here["avx512"] != TOLD["machine"]["avx512"]:
            continue
        assert place in made, f"{place}: the request has another fingerprint now"
        assert made[place].root_hash == said["root"], (
            f"{place} has other bytes: mend it, or raise the `algorithm` of its stage (plan.Stage) "
            "and write the golden files anew: python tests/golden_files.py FOLDER"
        )
        compared += 1
    assert compared >= 10 or here["unicode"] != TOLD["machine"]["unicode"]


def test_what_rests_on_models_is_known(golden):
    for place, said in GOLDEN.items():
        assert rest_on_models(golden.open(*place.split("/"))) == said["models"]


def test_another_algorithm_is_another_artifact_and_the_first_is_not_said(workspace):
    first = workspace.build(squares())
    assert "algorithm" not in first.manifest
    second = workspace.build(replace(squares(), algorithm=2))
    assert second.fingerprint != first.fingerprint
    assert second.manifest["algorithm"] == 2
    assert [one.faults() for one in (first, second)] == [[], []]


def test_the_number_of_an_algorithm_is_bound_by_the_fingerprint(workspace):
    from rankmill.mining.errors import Corrupt
    from rankmill.mining.store.manifest import canonical_json

    made = workspace.build(replace(squares(), algorithm=2))
    path = made.path / "manifest.json"
    said = json.loads(path.read_bytes()) | {"algorithm": 3}
    path.unlink()
    path.write_bytes(canonical_json(said))
    (made.path / "ledger.json").unlink()
    with pytest.raises(Corrupt, match="from its kind, parameters and inputs follows"):
        workspace.open("run", made.fingerprint)
