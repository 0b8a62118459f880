"""Options that save memory or time: each gives the gradients that the plain step gives."""

import json
import shutil
from typing import Any

import numpy as np
import pytest
import torch
from training_data import Setting, open_groups, tiny_setting

from rankmill.mining.errors import RankmillError, UsageError
from rankmill.mining.models import precision as models
from rankmill.mining.store import Artifact, files
from rankmill.training.layers import compile_network, recompute_layers
from rankmill.training.losses import LOSSES
from rankmill.training.packing import Limits, TokenColumns
from rankmill.training.passes import Passes
from rankmill.training.settings import Settings, settings_from
from rankmill.training.start import untrained
from rankmill.training.stream import Batch, GroupStream
from rankmill.training.students import parse_student
from rankmill.training.trainer import train_student

SMALL: dict[str, Any] = {"documents": 144, "batch": 8, "lr": 1e-3}
SMALL |= {"query_length": 8, "doc_length": 16, "threads": 1}
CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def setting(tmp_path_factory: pytest.TempPathFactory) -> Setting:
    torch.set_num_threads(1)
    return tiny_setting(tmp_path_factory.mktemp("options"))


def bi_encoder(setting: Setting, **fields: Any) -> str:
    said = "".join(f",{k}={v}" for k, v in fields.items())
    return f'bi_encoder(model="{setting.model.path}"{said})'


def train(setting: Setting, student: str | None = None, **settings: Any) -> Artifact:
    return train_student(
        setting.workspace,
        student or bi_encoder(setting),
        setting.groups,
        collection=setting.collection,
        **(SMALL | settings),
    )


def log(artifact: Artifact, name: str) -> list[Any]:
    return files.read_arrow(artifact.file("telemetry.arrow"))[name].to_pylist()


def gradients(
    setting: Setting,
    text: str,
    loss: str,
    *,
    recompute: bool = False,
    compiled: bool = False,
    **settings: Any,
) -> dict[str, torch.Tensor]:
    """The gradient of one batch of 8 groups; the documents come in 4 pieces, the queries in one."""
    student, model = parse_student(text)
    network = student.network(model, 0)
    if recompute:
        recompute_layers(network)
    if compiled:
        compile_network(network, CPU)
    queries, docs = (TokenColumns(tokens) for tokens in setting.tokens)
    pack = student.packer(model, queries, docs, Limits(8, 16), pieces=8)
    batch: Batch = next(iter(GroupStream(open_groups(setting), pack, batch=8, seed=4, ahead=0)))
    assert [len(side.pieces) for side in batch.texts.values()][-1] == 8
    chosen = Settings(**SMALL, **settings)
    passes = Passes(network, LOSSES.parse(loss), chosen, 6, CPU)
    passes(batch, 8)
    return {name: p.grad for name, p in network.named_parameters() if p.grad is not None}


def same(one: dict[str, torch.Tensor], other: dict[str, torch.Tensor]) -> bool:
    return one.keys() == other.keys() and all(torch.equal(one[k], other[k]) for k in one)


@pytest.mark.parametrize("fields", [{}, {"separate": "true"}, {"dropout": "true"}])
def test_the_gradient_cache_gives_the_gradients_of_the_whole_step(setting, fields):
    student = bi_encoder(setting, **fields)
    whole = gradients(setting, student, "infonce")
    cached = gradients(setting, student, "infonce", cache=1)
    assert same(whole, cached)
    assert max(float(g.abs().max()) for g in whole.values()) > 0
    without = gradients(setting, student, "lce")
    assert not same(whole, without)  # in-batch negatives do count


@pytest.mark.parametrize("compute", ["bfloat16", "float16"])
def test_the_gradient_cache_in_half_precision(setting, compute):
    """The plain step adds up the gradients of all pieces in 16 bits, the cache in 32."""
    student = bi_encoder(setting, dropout="true")
    whole = gradients(setting, student, "infonce", compute=compute)
    cached = gradients(setting, student, "infonce", compute=compute, cache=1)
    one, other = (torch.cat([g.flatten() for g in found.values()]) for found in (whole, cached))
    assert float((one - other).norm() / one.norm()) < 0.01


def test_a_cached_run_is_the_run_without(setting):
    """The cut into pieces differs, so rounding does; the batch of a step is the same."""
    whole = train(setting, loss="infonce")
    cached = train(setting, loss="infonce", cache=2)
    assert cached.fingerprint != whole.fingerprint
    assert log(cached, "loss") == pytest.approx(log(whole, "loss"), rel=1e-4)
    fewer = train(setting, loss="infonce", micro=2)  # micro-batches see fewer negatives
    assert log(fewer, "loss")[0] < 0.9 * log(whole, "loss")[0]


@pytest.mark.parametrize("kind", ["bi_encoder", "cross_encoder"])
def test_recomputed_layers_give_the_same_gradients(setting, kind):
    student = f'{kind}(model="{setting.model.path}",dropout=true)'
    plain = gradients(setting, student, "kl")
    assert same(plain, gradients(setting, student, "kl", recompute=True))


def test_recomputing_keeps_fewer_activations(setting):
    kept = []

    def pack(tensor: torch.Tensor) -> torch.Tensor:
        kept.append(tensor.numel())
        return tensor

    totals = []
    for recompute in (False, True):
        kept.clear()
        with torch.autograd.graph.saved_tensors_hooks(pack, lambda t: t):
            gradients(setting, bi_encoder(setting), "kl", recompute=recompute)
        totals.append(sum(kept))
    assert totals[1] < 0.7 * totals[0]


def test_recompute_is_declared_and_changes_nothing(setting):
    plain, saving = train(setting), train(setting, recompute=True)
    assert saving.fingerprint != plain.fingerprint
    assert log(saving, "loss") == log(plain, "loss")


@pytest.fixture
def half(monkeypatch: pytest.MonkeyPatch) -> None:
    """Train in float16 on any processor: by conversions, slowly, where it has no products of it."""
    monkeypatch.setattr(models, "half_on_processor", lambda: True)


@pytest.mark.usefixtures("half")
def test_float16_follows_float32_and_skips_what_overflows(setting):
    options: dict[str, Any] = {"loss": "margin_mse", "documents": 960}
    exact = log(train(setting, **options), "loss")
    made = train(setting, compute="float16", **options)
    norms = log(made, "gradient_norm")
    assert norms[0] is None  # a loss scale of 65,536 was too much for this loss
    assert norms[-1] is not None
    assert log(made, "loss")[:2] == pytest.approx([exact[0]] * 2, rel=0.3)
    assert np.isfinite(log(made, "gradient_norm_variance")).all()
    card = json.loads(made.file("card.json").read_text())
    assert card["steps_skipped"] == sum(n is None for n in norms)


@pytest.mark.usefixtures("half")
def test_float16_resumes_exactly(setting, tmp_path, monkeypatch):
    options: dict[str, Any] = {"loss": "margin_mse", "compute": "float16", "documents": 288}
    whole = train(setting, **options)
    other = tiny_setting(tmp_path)

    def fault(step, path):
        if step == "create" and path.name.startswith(".step-00000004"):
            raise KeyboardInterrupt

    monkeypatch.setattr(files.steps, "fault", fault)
    with pytest.raises(KeyboardInterrupt):
        train(other, **options, checkpoint_steps=2)
    monkeypatch.setattr(files.steps, "fault", None)
    resumed = train(other, **options)
    assert resumed.cost()["usage"]["steps"] == 4
    assert resumed.root_hash == whole.root_hash


@pytest.mark.usefixtures("half")
def test_float16_gives_up_where_even_the_plain_gradient_overflows(setting):
    with pytest.raises(RankmillError, match="the loss is .*, the gradient norm (inf|nan)"):
        train(setting, loss="margin_mse(T=0.0001)", compute="float16", documents=1440)


@pytest.mark.skipif(
    not (shutil.which("g++") or shutil.which("clang++")), reason="no C++ compiler to compile with"
)
@pytest.mark.filterwarnings("ignore")  # of the compiler, about itself
def test_compiled_gradients_are_those_of_the_plain_step(setting):
    plain, compiled = (
        gradients(setting, bi_encoder(setting, layers=1), "kl", compiled=on) for on in (False, True)
    )
    assert plain.keys() == compiled.keys()  # a checkpoint of one is a checkpoint of the other
    one, other = (torch.cat([g.flatten() for g in found.values()]) for found in (plain, compiled))
    assert float((one - other).norm() / one.norm()) < 1e-5


def test_compile_says_what_is_missing(setting, monkeypatch):
    monkeypatch.setenv("CXX", "no-such-compiler")
    with pytest.raises(UsageError, match=r"needs a C\+\+ compiler, and none is found"):
        train(setting, compile=True)


def test_memory_and_rate_of_every_step(setting):
    made = train(setting, documents=96)
    table = files.read_arrow(made.path / "timing.arrow")
    assert table.column_names == ["step_s", "wait_s", "cells", "memory", "tokens_per_s"]
    assert min(table["memory"].to_pylist()) > 50e6
    rate = np.asarray(log(made, "tokens")) / table["step_s"].to_numpy()
    assert table["tokens_per_s"].to_numpy() == pytest.approx(rate)


def test_pieces_change_no_score(setting):
    one, four = (log(train(setting, pieces=n), "loss") for n in (1, 4))
    assert four == pytest.approx(one, rel=1e-4)


def test_what_came_later_is_declared_where_it_is_used():
    later = {"pieces", "cache", "recompute", "compile", "threads"}
    assert not later & Settings().declared().keys()
    used = Settings(pieces=3, cache=2, recompute=True, compile=True, threads=2)
    assert later <= used.declared().keys()


def test_unknown_settings_and_wrong_values_are_refused_with_the_nearest_name(setting):
    with pytest.raises(UsageError, match=r"no training setting 'patient'[\s\S]*mean patience"):
        train(setting, patient=3)
    with pytest.raises(UsageError, match="lr='fast' is not a number"):
        train(setting, lr="fast")
    with pytest.raises(UsageError, match="patience=1.5 is not a whole number"):
        train(setting, patience=1.5)
    with pytest.raises(UsageError, match="compile=1 is not true or false"):
        settings_from({"compile": 1})
    with pytest.raises(UsageError, match="batch=0 must be at least 1"):
        settings_from({"batch": 0})
    assert settings_from({"lr": 1, "micro": None}) == Settings(lr=1.0)


def test_refusals(setting):
    with pytest.raises(UsageError, match="cache=0"):
        train(setting, loss="infonce", cache=0)
    with pytest.raises(UsageError, match="pieces=0"):
        train(setting, pieces=0)
    with pytest.raises(UsageError, match="cache=2 with micro=2"):
        train(setting, loss="infonce", cache=2, micro=2)
    with pytest.raises(UsageError, match=r"cache=2 with the loss kl\(T=1\), which has no in-batch"):
        train(setting, cache=2)
    cross = f'cross_encoder(model="{setting.model.path}")'
    with pytest.raises(UsageError, match="cache is for bi-encoders"):
        train(setting, cross, loss="infonce", cache=2)


@pytest.mark.parametrize(("student", "special"), [("bi_encoder", 2), ("cross_encoder", 3)])
def test_an_untrained_student_has_room_for_its_texts(setting, student, special):
    """It is made before any training: what training would refuse is refused there already."""
    said = f"a row of .* tokens, {special} of them special, does not fit 128 positions"
    with pytest.raises(UsageError, match=said) as refused:
        untrained(setting.workspace, f'{student}(model="{setting.model.path}")', doc_length=128)
    assert "lower query_length or doc_length" in str(refused.value)
