"""Flipped bits in what training reads: each is found before it can become another student."""

import json
import random
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch.utils.data import DataLoader
from training_data import Setting, open_groups, tiny_setting, write_groups

from rankmill.mining.errors import BadInput, Corrupt
from rankmill.mining.groups.format import Groups
from rankmill.mining.store import Artifact, files, open_artifact
from rankmill.training.checkpoints import load_checkpoint, save_checkpoint
from rankmill.training.datasets import StreamDataset, TextGroups
from rankmill.training.packing import Limits, TokenColumns, Towers
from rankmill.training.stream import GroupStream
from rankmill.training.trainer import train_student

FLIPS = 25  # of each file


@pytest.fixture(scope="module")
def setting(tmp_path_factory: pytest.TempPathFactory) -> Setting:
    return tiny_setting(tmp_path_factory.mktemp("content"))


@contextmanager
def flipped(path: Path, bit: int) -> Iterator[None]:
    """Flip one bit of a published file for the time of the block."""
    whole = path.read_bytes()
    data = bytearray(whole)
    data[bit // 8] ^= 1 << bit % 8
    path.chmod(0o644)
    path.write_bytes(bytes(data))
    try:
        yield
    finally:
        path.write_bytes(whole)


def flips(path: Path, number: int = FLIPS) -> list[int]:
    return random.Random(path.name).sample(range(8 * path.stat().st_size), number)


# ---- checkpoints -------------------------------------------------------------------------------


def small_network() -> tuple[torch.nn.Module, torch.optim.Optimizer]:
    torch.manual_seed(0)
    network = torch.nn.Linear(3, 2)
    optimiser = torch.optim.AdamW(network.parameters())
    network(torch.ones(1, 3)).sum().backward()
    optimiser.step()
    return network, optimiser


def test_every_flipped_byte_of_a_checkpoint_is_found(tmp_path: Path) -> None:
    network, optimiser = small_network()
    for step in (2, 4):
        save_checkpoint(tmp_path, step, network, optimiser, {"loss": [0.5] * step}, {})
    newest = max(tmp_path.glob("step-*"))
    for byte in range(newest.stat().st_size):
        with flipped(newest, 8 * byte + byte % 8):
            with pytest.warns(RuntimeWarning, match="is damaged .*checkpoint before it"):
                step, telemetry, _ = load_checkpoint(tmp_path, *small_network())
        assert (step, telemetry) == (2, {"loss": [0.5, 0.5]})
    assert load_checkpoint(tmp_path, *small_network())[0] == 4


def test_a_checkpoint_without_a_hash_is_passed_over(tmp_path: Path) -> None:
    network, optimiser = small_network()
    save_checkpoint(tmp_path, 2, network, optimiser, {}, {})
    (path,) = tmp_path.glob("step-*")
    path.rename(tmp_path / "step-00000002.safetensors")  # as written until version 0.1
    with pytest.warns(RuntimeWarning, match="its name carries no SHA-256"):
        assert load_checkpoint(tmp_path, network, optimiser)[0] == 0


# ---- groups, validation, tokens ----------------------------------------------------------------


def stream_of(groups: Artifact, tokens: tuple[Artifact, Artifact], setting: Setting) -> GroupStream:
    queries, docs = (TokenColumns(open_artifact(store.path)) for store in tokens)
    pack = Towers(setting.model, queries, docs, Limits(8, 16), pieces=1)
    read = Groups(open_artifact(groups.path))
    return GroupStream(read, pack, batch=8, seed=2, stop=len(read), ahead=0)


def test_no_stream_hands_out_flipped_bits(setting: Setting) -> None:
    read = (setting.groups, *setting.tokens)
    for artifact in read:
        for part in artifact.parts:
            path = artifact.path / part.file
            for bit in flips(path):
                with flipped(path, bit):
                    with pytest.raises(Corrupt, match=f"{artifact.kind} part {part.number}: the"):
                        list(stream_of(setting.groups, setting.tokens, setting))
    assert len(list(stream_of(setting.groups, setting.tokens, setting))) == 8


def texts_of(setting: Setting) -> list[Any]:
    collection = type(setting.collection)(open_artifact(setting.collection.artifact.path))
    read = TextGroups(Groups(open_artifact(setting.groups.path)), collection)
    return [read[row] for row in range(len(read))]


def test_no_data_set_of_torch_hands_out_flipped_bits(setting: Setting) -> None:
    for artifact in (setting.groups, setting.collection.corpus.artifact):
        path = artifact.path / artifact.parts[-1].file
        for bit in flips(path, 5):
            with flipped(path, bit), pytest.raises(Corrupt, match=str(path)):
                texts_of(setting)
    path = setting.tokens[1].path / setting.tokens[1].parts[0].file
    with flipped(path, 8 * 2000), pytest.raises(Corrupt, match=str(path)):
        StreamDataset(lambda: stream_of(setting.groups, setting.tokens, setting))


@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # fork in a process with threads
def test_workers_do_not_check_again(setting: Setting, monkeypatch: Any) -> None:
    data = StreamDataset(lambda: stream_of(setting.groups, setting.tokens, setting))

    def twice(path: Path) -> str:
        raise AssertionError(f"{path} is hashed a second time")

    monkeypatch.setattr(files, "sha256_of", twice)
    for _ in range(2):  # epochs, each with new workers
        assert len(list(DataLoader(data, batch_size=None, num_workers=2))) == 8


def train(setting: Setting, **said: Any) -> Artifact:
    small = {"documents": 48, "batch": 4, "query_length": 8, "doc_length": 16}
    small |= {"validate_steps": 1, "threads": 1}
    return train_student(
        setting.workspace,
        f'bi_encoder(model="{setting.model.path}")',
        setting.groups,
        collection=setting.collection,
        **(small | said),
    )


@pytest.mark.filterwarnings("ignore:.*validation groups are trained on")
def test_no_student_comes_of_flipped_bits(setting: Setting, monkeypatch: Any) -> None:
    held_out = write_groups(setting.workspace, setting.collection, size=5, parts=1)
    for artifact in (held_out, setting.groups, *setting.tokens):
        path = artifact.path / artifact.parts[0].file
        for bit in flips(path, 6):
            with flipped(path, bit):
                with pytest.raises(Corrupt, match=str(path)):
                    train(setting, validation=held_out)
    assert not list(setting.workspace.artifacts("student"))
    assert train(setting, validation=held_out).rows == 2  # of the telemetry


def test_a_damaged_student_is_not_read(setting: Setting) -> None:
    with pytest.warns(RuntimeWarning, match="validation groups are trained on"):
        made = train(setting, validation=setting.groups, documents=24)
    path = made.path / "card.json"
    json.loads(made.file("card.json").read_text())
    with flipped(path, 80), pytest.raises(Corrupt, match=str(path)):
        made.file("card.json")
    with flipped(made.path / "model" / "model.safetensors", 8000):
        with pytest.raises(Corrupt, match="safetensors"):
            made.check_content()


def test_offsets_are_looked_at_before_a_kernel_sees_them(
    setting: Setting, monkeypatch: Any
) -> None:
    docs = setting.tokens[1]
    (part,) = docs.parts
    path = docs.path / part.file
    offsets = docs.table()["ids"].chunk(0).offsets.to_numpy()
    place = path.read_bytes().index(offsets.tobytes())
    monkeypatch.setattr(
        Artifact, "check", lambda *given, **named: None
    )  # as if the hash were right
    for row, value in ((3, -1), (7, 1 << 30), (len(offsets) - 1, offsets[-1] + 1), (0, -5)):
        whole = path.read_bytes()
        data = bytearray(whole)
        data[place + 4 * row : place + 4 * row + 4] = np.int32(value).tobytes()
        path.chmod(0o644)
        path.write_bytes(bytes(data))
        try:
            columns = TokenColumns(open_artifact(docs.path))
            with pytest.raises(Corrupt, match="(?i)offset"):
                columns.keep(np.zeros(1, np.int64), 8)
        finally:
            path.write_bytes(whole)


def test_a_text_that_the_tokens_do_not_hold_is_refused(setting: Setting) -> None:
    columns = TokenColumns(setting.tokens[0])
    with pytest.raises(BadInput, match="texts 3 to 40 of 40 are asked for"):
        columns.keep(np.array([3, 40]), 8)
    assert open_groups(setting).part(0).query.max() < 40
