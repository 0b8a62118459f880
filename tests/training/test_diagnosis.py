"""A student diagnosed on its groups: the same scores as on every other path, each pair once."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest
from group_makers import make_groups
from oracles import pair_order as oracle
from tiny_models import tiny_encoder
from toy_groups import publish_arrays, random_toy

import rankmill as rm
from rankmill.mining.errors import BadInput, UsageError
from rankmill.mining.groups.format import Groups
from rankmill.mining.groups.pairs import pairs_of_groups
from rankmill.mining.models.folder import resolve
from rankmill.mining.statistics import measure_groups
from rankmill.training.diagnosis import default_diagnostics
from rankmill.training.students import parse_student
from rankmill.training.trainer import train_student


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    """Groups of six (two of query q0), their collection, an encoder and a student of it."""
    folder = tmp_path_factory.mktemp("diagnosis")
    groups, collection = random_toy(folder)
    encoder = tiny_encoder(folder / "encoder")
    student = train_student(
        groups.workspace,
        f'bi_encoder(model="{encoder}",layers=1)',
        groups,
        collection=collection,
        loss="kl(T=2)",
        documents=48,
        doc_length=16,
        query_length=8,
    )
    return groups, collection, encoder, student


def test_the_pairs_of_groups_are_each_there_once(world):
    groups, _, _, _ = world
    pairs = pairs_of_groups(groups.workspace, groups)
    read = Groups(groups).rows(0, len(Groups(groups)))
    wanted = {(q, d) for q, docs in zip(read.query, read.doc, strict=True) for d in docs}
    table = pa.concat_tables(pairs.tables()).to_pylist()
    found = [(row["query"], d) for row in table for d in row["doc"]]
    assert found == sorted(wanted)
    assert len(found) < read.doc.size  # the two groups of q0 share documents
    assert pairs.verify() == 1


def test_a_trained_student_is_compared_at_its_own_loss(world):
    groups, _, _, student = world
    names = default_diagnostics(groups.workspace, student, "logit")
    assert names == (
        "student_kl(T=2,score=raw,scale=20)",
        "student_tau",
        "student_variance",
        "student_collapsed(below=0.01,scale=20)",
    )
    made = rm.diagnose(student, groups, name="d")
    assert made.kind == "statistics"
    assert made.rows == groups.rows
    table, scores = pa.concat_tables(made.tables()), made.input("student")
    stored = {
        (row["query"], d): f
        for part in scores.tables()
        for row in part.to_pylist()
        for d, f in zip(row["doc"], row["logit"], strict=True)
    }
    for number, row in enumerate(table.to_pylist()):
        group = Groups(groups)[number]
        f = [stored[int(group.query[0]), int(d)] for d in group.doc[0]]
        g = group.score[0].tolist()
        assert row["student_kl(T=2,score=raw,scale=20)"] == pytest.approx(
            oracle.divergence(g, f, 2.0, 20.0), rel=1e-12
        )
        assert row["student_tau"] == pytest.approx(oracle.kendall_tau_b(g, f), abs=1e-15)
        assert row["student_variance"] == pytest.approx(np.var(f), rel=1e-12)


def test_it_joins_what_was_measured_of_the_same_groups(world):
    groups, _, _, student = world
    made = rm.diagnose(student, groups)
    entropy = measure_groups(groups.workspace, groups, ["pair_entropy"])
    names = rm.summarise(made, beside=[entropy])["correlation"]["names"]
    assert "pair_entropy(T=1)" in names
    assert "student_tau" in names


def test_a_model_folder_and_other_columns(world):
    groups, _, encoder, _ = world
    made = rm.diagnose(encoder, groups)
    assert "student_kl(T=1,scale=20)" in made.parameters["statistics"]
    both = rm.diagnose(encoder, groups, statistics=["student_tau", "pair_entropy"])
    assert both.inputs["student"] == made.inputs["student"]  # scored once
    assert both.parameters["statistics"] == ["student_tau", "pair_entropy(T=1)"]


def test_a_cross_encoder_trained_on_log_probabilities(world):
    groups, collection, encoder, _ = world
    text = f'cross_encoder(model="{encoder}",layers=1,score=log-prob)'
    assert parse_student(text)[0].score_kind == "log-prob"
    student = train_student(
        groups.workspace,
        text,
        groups,
        collection=collection,
        loss="ranknet_hard",
        documents=12,
        doc_length=16,
        query_length=8,
    )
    groups.workspace.alias("crossed", student)
    found = default_diagnostics(groups.workspace, "crossed", "logit")
    assert found[0] == "student_kl(T=1,score=raw,scale=1,student=logprob)"
    table = rm.diagnose("crossed", groups).table()
    assert table[found[0]].null_count == 0


def test_a_student_that_scores_all_alike_is_diagnosed_and_not_refused(world, tmp_path):
    """A teacher that gives one score to all documents is refused; of a student it is the result."""
    from safetensors.numpy import load_file, save_file

    groups, _, encoder, _ = world
    flat = tiny_encoder(tmp_path / "flat")
    weights = load_file(flat / "model.safetensors")
    last = "encoder.layer.1.output.LayerNorm.weight"
    weights[last] = np.zeros_like(weights[last])  # every token becomes the same vector
    save_file(weights, flat / "model.safetensors", metadata={"format": "pt"})
    assert resolve(flat).fingerprint != resolve(encoder).fingerprint
    made = rm.diagnose(flat, groups)
    table = made.table()
    assert table["student_tau"].null_count == groups.rows
    assert made.counts["null[student_tau]:constant"] == groups.rows
    assert table["student_collapsed(below=0.01,scale=20)"].to_pylist() == [1.0] * groups.rows


def test_refusals(world, workspace):
    groups, _, encoder, student = world
    with pytest.raises(UsageError, match="student is of kind student, one of kind groups was exp"):
        rm.diagnose(encoder, student)
    with pytest.raises(BadInput, match="has no input 'corpus'"):
        rm.diagnose(encoder, make_groups(workspace, [[1.0, 2.0]]))
    with pytest.raises(BadInput, match="no student called 'nobody'"):
        rm.diagnose("nobody", groups)


def test_groups_in_several_parts(world):
    groups, collection, encoder, _ = world
    whole = Groups(groups)
    parts = publish_arrays(collection, whole.rows(2, len(whole)), parts=3)
    one, three = rm.diagnose(encoder, groups).table(), rm.diagnose(encoder, parts)
    joined = pa.concat_tables(three.tables())
    assert joined["student_tau"].to_pylist() == one["student_tau"].to_pylist()[2:]
