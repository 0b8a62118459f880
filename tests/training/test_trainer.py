"""Training: the budget, exact resume after a kill, what is written, what is refused."""

import json
import shutil
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from rounding import UNIT
from training_data import Setting, tiny_setting, write_groups

from rankmill.mining.errors import RankmillError, UsageError
from rankmill.mining.models.folder import resolve
from rankmill.mining.store import files
from rankmill.training.trainer import Settings, train_student

SMALL = {"documents": 240, "batch": 4, "query_length": 8, "doc_length": 16, "lr": 1e-3}
SMALL |= {"threads": 1}


@pytest.fixture(scope="module")
def setting(tmp_path_factory) -> Setting:
    torch.set_num_threads(1)
    return tiny_setting(tmp_path_factory.mktemp("train"))


def bi_encoder(setting, **fields) -> str:
    said = "".join(f",{k}={v}" for k, v in fields.items())
    return f'bi_encoder(model="{setting.model.path}"{said})'


def train(setting, student=None, workspace=None, **settings):
    return train_student(
        workspace or setting.workspace,
        student or bi_encoder(setting),
        setting.groups,
        collection=setting.collection,
        **(SMALL | settings),
    )


def elsewhere(setting, folder: Path) -> Setting:
    """The same inputs in a workspace of their own, so that nothing is found."""
    return tiny_setting(folder)


def telemetry(artifact) -> dict[str, np.ndarray]:
    table = files.read_arrow(artifact.file("telemetry.arrow"))
    return {name: table[name].to_numpy() for name in table.column_names}


def test_a_student_learns_and_is_found_again(setting):
    made = train(setting, loss="lce", documents=2400)
    log = telemetry(made)
    assert log["documents"][-1] == 2400
    assert len(log["step"]) == 100
    assert log["loss"][-10:].mean() < 0.8 * log["loss"][:10].mean()
    assert (log["gradient_norm"] > 0).all()
    assert log["lr"].max() == pytest.approx(1e-3)
    assert log["lr"].argmax() == 9  # ten steps of warm-up
    assert 0 < log["lr"][-1] < 2e-5
    card = json.loads(made.file("card.json").read_text())
    assert card["documents_seen"] == 2400
    assert card["epochs"] == pytest.approx(400 / 60, abs=1e-4)
    assert not card["collapsed"]
    assert made.cost()["usage"]["documents"] == 2400
    assert train(setting, loss="lce", documents=2400).root_hash == made.root_hash


@pytest.mark.parametrize("loss", ["kl", "ranknet_soft", "margin_mse"])
def test_floor_is_logged_and_never_undercut(setting, loss):
    log = telemetry(train(setting, loss=loss))
    assert (log["excess"] > -1e-6).all()
    assert log["excess"] == pytest.approx(log["loss"] - log["floor"])
    assert (log["floor"] > 0).all() == (loss == "ranknet_soft")


def test_accumulation_is_counted_and_gives_the_same_gradients(setting):
    whole = telemetry(train(setting, documents=144))
    parts = telemetry(train(setting, documents=144, micro=1))
    assert whole["documents"].tolist() == parts["documents"].tolist() == list(range(24, 145, 24))
    assert parts["loss"] == pytest.approx(whole["loss"], rel=1e-4)
    assert parts["gradient_norm"] == pytest.approx(whole["gradient_norm"], rel=1e-3)


def test_the_budget_is_rounded_up_to_whole_groups(setting):
    log = telemetry(train(setting, documents=100))  # 17 groups of 6: four steps of 4, one of 1
    assert log["documents"].tolist() == [24, 48, 72, 96, 102]
    assert log["groups"].tolist() == [4, 4, 4, 4, 1]
    assert log["gradient_norm_variance"][4] == log["gradient_norm_variance"][3]


def test_two_runs_give_the_same_bytes(setting, tmp_path):
    first = train(setting, loss="kl", documents=96)
    again = elsewhere(setting, tmp_path)
    assert train(again, loss="kl", documents=96).root_hash == first.root_hash


def test_interrupted_training_continues_exactly(setting, tmp_path, monkeypatch):
    whole = train(setting, bi_encoder(setting, dropout="true"), loss="kl")
    other = elsewhere(setting, tmp_path)

    def fault(step, path):
        if step == "create" and path.name.startswith(".step-00000006"):
            raise KeyboardInterrupt

    monkeypatch.setattr(files.steps, "fault", fault)
    with pytest.raises(KeyboardInterrupt):
        train(other, bi_encoder(other, dropout="true"), loss="kl", checkpoint_steps=2)
    kept = sorted(p.name[:13] for p in (other.workspace.root / "tmp").rglob("step-*.safetensors"))
    assert kept == ["step-00000002", "step-00000004"]
    monkeypatch.setattr(files.steps, "fault", None)
    resumed = train(other, bi_encoder(other, dropout="true"), loss="kl", checkpoint_steps=2)
    assert telemetry(resumed)["loss"].tolist() == telemetry(whole)["loss"].tolist()
    assert resumed.root_hash == whole.root_hash
    assert resumed.cost()["usage"]["steps"] == 6  # of ten: four were not done again
    assert not list((other.workspace.root / "tmp").rglob("step-*"))


def test_a_damaged_checkpoint_is_passed_over(setting, tmp_path, monkeypatch):
    other = elsewhere(setting, tmp_path)

    def fault(step, path):
        if step == "create" and path.name.startswith(".step-00000006"):
            raise KeyboardInterrupt

    monkeypatch.setattr(files.steps, "fault", fault)
    with pytest.raises(KeyboardInterrupt):
        train(other, checkpoint_steps=2)
    monkeypatch.setattr(files.steps, "fault", None)
    newest = max((other.workspace.root / "tmp").rglob("step-*"))
    newest.write_bytes(newest.read_bytes()[:-100])
    with pytest.warns(RuntimeWarning, match=f"{newest.name} is damaged .*checkpoint before it"):
        resumed = train(other)
    assert resumed.cost()["usage"]["steps"] == 8
    assert resumed.root_hash == train(setting).root_hash


def test_what_the_saved_tokenizer_shows_is_part_of_the_request(setting, tmp_path):
    """Two people whose copies of a model differ there get other requests, not other bytes."""
    copied = shutil.copytree(setting.model.path, tmp_path / "copied")
    (copied / "special_tokens_map.json").write_text('{"additional_special_tokens": ["[X]"]}')
    plain = train(setting, documents=24)
    other = train(setting, f'bi_encoder(model="{copied}")', documents=24)
    assert resolve(copied).fingerprint == setting.model.fingerprint
    assert other.root_hash != plain.root_hash
    assert other.fingerprint != plain.fingerprint


KILLED = """
import os, signal, sys
from pathlib import Path
sys.path.insert(0, {tests!r})
import torch
torch.set_num_threads(1)
from training_data import tiny_setting
from rankmill.mining.store.files import steps
from rankmill.training.trainer import train_student

setting = tiny_setting(Path({folder!r}))

def fault(step, path):
    if step == "fsync" and path.name.startswith(".step-00000006"):
        os.kill(os.getpid(), signal.SIGKILL)  # in the middle of writing a checkpoint

steps.fault = fault
train_student(setting.workspace, "bi_encoder(model={model})", setting.groups,
              collection=setting.collection, checkpoint_steps=3, **{settings!r})
"""


def test_kill_9_in_the_middle_gives_the_identical_student(setting, tmp_path):
    script = KILLED.format(
        tests=str(Path(__file__).parents[1]),
        folder=str(tmp_path),
        model=tmp_path / "encoder",
        settings=SMALL,
    )
    killed = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert killed.returncode == -signal.SIGKILL, killed.stderr
    other = elsewhere(setting, tmp_path)
    resumed = train(other)
    assert resumed.cost()["usage"]["steps"] == 7
    assert resumed.root_hash == train(setting).root_hash


def test_both_libraries_load_the_student(setting):
    from sentence_transformers import SentenceTransformer
    from transformers import AutoModel

    made = train(setting, bi_encoder(setting, layers=1, normalise="true"))
    folder = made.path / "model"
    assert AutoModel.from_pretrained(folder).config.num_hidden_layers == 1
    texts = setting.collection.corpus.texts(range(5))
    model = SentenceTransformer(str(folder), device="cpu")
    assert model.max_seq_length == 18
    theirs = model.encode(texts, convert_to_numpy=True)
    assert np.linalg.norm(theirs, axis=1) == pytest.approx(1, abs=1e-5)
    from rankmill.mining.models.encoders import encode
    from rankmill.mining.models.vectors import Vectors

    ours = Vectors(encode(setting.workspace, folder, setting.collection.corpus.artifact))
    # Unit vectors stored in float16; theirs are of float32, some 10³ roundings of its own.
    off = UNIT["float16"] + 1000 * UNIT["float32"]
    assert ours.rows(np.arange(5)) == pytest.approx(theirs, abs=off)


@pytest.mark.parametrize("labels", [1, 2])
def test_cross_encoder_student(setting, tmp_path, labels):
    from sentence_transformers import CrossEncoder

    student = f'cross_encoder(model="{setting.model.path}",layers=1,labels={labels})'
    made = train(setting, student, loss="ranknet_soft", documents=48)
    model = CrossEncoder(str(made.path / "model"), device="cpu")
    scores = model.predict([("ba de", "fi gu"), ("ko", "la me ni")])
    assert np.asarray(scores).shape == ((2,) if labels == 1 else (2, 2))


def test_separate_towers_and_in_batch_negatives(setting):
    made = train(setting, bi_encoder(setting, separate="true"), loss="infonce", documents=96)
    names = {part.file for part in made.parts}
    assert {"model/query/model.safetensors", "model/doc/model.safetensors"} <= names
    assert np.isfinite(telemetry(made)["loss"]).all()


def test_scratch_and_frozen(setting):
    fresh = train(setting, bi_encoder(setting, scratch="true"), documents=48)
    assert (
        fresh.root_hash
        == train(setting, bi_encoder(setting, scratch="true"), documents=48).root_hash
    )
    frozen = train(setting, bi_encoder(setting, frozen="embeddings"), documents=48)
    from safetensors.torch import load_file

    before = load_file(setting.model.path / "model.safetensors")
    after = load_file(frozen.path / "model" / "model.safetensors")
    changed = {k: not torch.equal(v, before[k]) for k, v in after.items()}
    assert not any(on for k, on in changed.items() if k.startswith("embeddings"))
    assert all(on for k, on in changed.items() if "attention.output.dense.weight" in k)


def test_bfloat16_and_fewer_negatives(setting):
    log = telemetry(train(setting, compute="bfloat16", negatives=2, documents=240))
    exact = telemetry(train(setting, negatives=2, documents=240))
    assert log["loss"] == pytest.approx(exact["loss"], rel=0.1)
    assert log["documents"][0] == 12


def test_refusals(setting):
    with pytest.raises(UsageError, match="documents=0 must be at least 1"):
        train(setting, documents=0)
    with pytest.raises(UsageError, match="warmup=2 must be at most 1"):
        train(setting, warmup=2)
    with pytest.raises(UsageError, match="batch=4 is not a multiple of 3 groups at a time"):
        train(setting, micro=3)
    with pytest.raises(UsageError, match="layers=9, the checkpoint has 2"):
        train(setting, bi_encoder(setting, layers=9))
    with pytest.raises(UsageError, match="layers=0"):
        train(setting, bi_encoder(setting, layers=0))
    with pytest.raises(UsageError, match="frozen=head is not one of embeddings"):
        train(setting, bi_encoder(setting, frozen="head"))
    with pytest.raises(UsageError, match="pooling=max is not one of"):
        train(setting, bi_encoder(setting, pooling="max"))
    with pytest.raises(UsageError, match="scale=-1.0 is not positive"):
        train(setting, bi_encoder(setting, scale=-1))
    cross = f'cross_encoder(model="{setting.model.path}")'
    with pytest.raises(UsageError, match="no in-batch negatives"):
        train(setting, cross, loss="infonce")
    with pytest.raises(UsageError, match="labels=3 is not 1 or 2"):
        train(setting, cross.replace(")", ",labels=3)"))
    with pytest.raises(UsageError, match="score=prob is not logit or log-prob"):
        train(setting, cross.replace(")", ",score=prob)"))
    with pytest.raises(UsageError, match="compute=float64 is not one of auto, float32, bfloat16"):
        train(setting, compute="float64")
    with pytest.raises(UsageError, match="micro=0"):
        train(setting, micro=0)
    with pytest.raises(UsageError, match="clip=-1.0 must be at least 0"):
        train(setting, clip=-1.0)


def test_a_diverging_run_says_where(setting):
    with pytest.raises(RankmillError, match="the loss is"):
        train(setting, loss="margin_mse", lr=1e12, clip=0.0, warmup=0.0)


def test_losses_refuse_score_kinds(setting, tmp_path):
    groups = write_groups(
        setting.workspace, setting.collection, size=5, kind="probability", parts=1
    )
    with pytest.raises(UsageError, match="cannot use teacher scores of kind 'probability'"):
        train(replace(setting, groups=groups), loss="kl")
    train(replace(setting, groups=groups), loss="lce", documents=20)


def test_learning_rate_is_a_function_of_the_step():
    s = Settings(lr=1.0, warmup=0.25)
    rates = [s.learning_rate(step, 8) for step in range(8)]
    assert rates == pytest.approx([0.5, 1.0, 1.0, 5 / 6, 4 / 6, 3 / 6, 2 / 6, 1 / 6])
    assert Settings(lr=1.0, warmup=0.0).learning_rate(0, 1) == 1.0


@pytest.mark.filterwarnings("ignore:.*validation groups are trained on")
def test_early_stop_keeps_the_best_weights_and_resumes(setting, tmp_path, monkeypatch):
    def fit(where, **more):
        held_out = write_groups(where.workspace, where.collection, size=9, parts=1)
        options = {"documents": 960, "lr": 0.05, "validate_steps": 2, "patience": 3} | more
        return train(where, loss="lce", validation=held_out, **options)

    made = fit(setting)
    log = files.read_arrow(made.file("telemetry.arrow"))
    seen = [v for v in log["validation"].to_pylist() if v is not None]
    assert 4 <= len(seen) < 20  # it stopped early
    assert max(seen[:-3]) >= max(seen[-3:])
    card = json.loads(made.file("card.json").read_text())
    assert card["best_step"] == 2 * int(np.argmax(seen)) + 1
    assert card["documents_seen"] == log["documents"][-1].as_py() < 960
    shorter = fit(setting, documents=960, patience=0, validate_steps=40)
    assert json.loads(shorter.file("card.json").read_text())["documents_seen"] == 960

    other = elsewhere(setting, tmp_path)

    def fault(step, path):
        if step == "create" and path.name.startswith(".step-00000006"):
            raise KeyboardInterrupt

    monkeypatch.setattr(files.steps, "fault", fault)
    with pytest.raises(KeyboardInterrupt):
        fit(other, checkpoint_steps=3)
    monkeypatch.setattr(files.steps, "fault", None)
    assert fit(other, checkpoint_steps=3).root_hash == made.root_hash


def test_ndcg_of_groups():
    from rankmill.training.validation import EarlyStop, ndcg

    grade = np.array([[2, 0, 1], [0, 0, 0], [1, 0, 0]])
    scores = np.array([[1.0, 3.0, 2.0], [1.0, 2.0, 3.0], [5.0, 5.0, 5.0]])
    doc = np.array([[7, 8, 9], [7, 8, 9], [9, 8, 7]])
    ideal = 2 + 1 / np.log2(3)
    expected = [(1 / np.log2(3) + 2 / 2) / ideal, 0, 0.5]
    assert ndcg(scores, grade, doc) == pytest.approx(expected)
    assert ndcg(scores, grade, doc, cutoff=1).tolist() == [0, 0, 0]
    stop = EarlyStop(5, patience=2)
    assert [stop.over([0.1, 0.3, 0.2, 0.3][:n]) for n in range(5)] == [False] * 4 + [True]
    assert not EarlyStop(5).over([0.3, 0.2, 0.1, 0.0])
    with pytest.raises(UsageError, match="validate_steps=0, patience=0"):
        EarlyStop(0)
