"""Export and import as a user meets them: what is printed, the exit status, the way back."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest
from toy_groups import toy


@pytest.fixture
def rankmill(tmp_path, capfd, monkeypatch):
    """Return a function that runs one command beside a workspace with groups called `toy`."""
    from rankmill import cli

    groups, collection = toy(tmp_path)
    collection.artifact.workspace.alias("toy", groups)
    collection.artifact.workspace.alias("c", collection.artifact)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("RANKMILL_WORKSPACE", str(tmp_path / "work"))
    monkeypatch.setenv("COLUMNS", "200")

    def run(*arguments: str) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["rankmill", *arguments])
        monkeypatch.setattr("rankmill.cli.entry.signal.signal", lambda *_: None)
        with pytest.raises(SystemExit) as ended:
            cli.main()
        out, err = capfd.readouterr()
        return int(ended.value.code or 0), out, err

    return run


def test_export_says_what_it_wrote_and_import_brings_it_home(rankmill):
    status, out, _ = rankmill("export", "colbert", "--groups", "toy", "--to", "out")
    assert status == 0
    assert "out: colbert, 1 group of 3, 4 files" in out
    assert "ids renumbered: id_map.parquet" in out
    way_back = ("import", "out", "--as", "groups", "--format", "colbert", "--kind", "logit")
    status, out, _ = rankmill(*way_back, "-c", "c", "--name", "back")
    assert (status, out[:14]) == (0, "back = groups ")
    status, out, _ = rankmill("export", "colbert", "--groups", "back", "--to", "again", "--json")
    assert json.loads(out)["groups"] == 1
    assert Path("again/train.json").read_bytes() == Path("out/train.json").read_bytes()


def test_settings_size_and_loss_are_said(rankmill):
    lossy = ("export", "nemo", "--set", "layout=inline", "--size", "2", "--groups", "toy")
    status, _, err = rankmill(*lossy, "--to", "out")
    assert (status, "--allow-lossy" in err) == (2, True)
    status, out, _ = rankmill(*lossy, "--to", "out", "--allow-lossy")
    assert status == 0
    assert "out: nemo(layout=inline), 1 group of 2, 1 file" in out
    assert "teacher scores: dropped" in out


def test_every_format_is_listed(rankmill):
    from rankmill.mining.exports import EXPORTS

    status, out, _ = rankmill("export", "list")
    assert status == 0
    assert [line.split()[0] for line in out.splitlines()] == list(EXPORTS.names())


@pytest.mark.parametrize(
    ("arguments", "status", "said"),
    [
        (("export", "colbrt", "--groups", "toy", "--to", "o"), 2, "did you mean colbert?"),
        (("export", "colbert", "--groups", "toy"), 2, "export needs --to"),
        (("export", "colbert", "--groups", "tyo", "--to", "o"), 4, "did you mean toy?"),
        (("export", "colbert", "--groups", "toy", "--to", "beir"), 4, "folder is not empty"),
        (
            ("export", "colbert", "--groups", "toy", "--to", "o", "--size", "9"),
            2,
            "--size 9 of gro",
        ),
        (("export", "splade", "--groups", "toy", "--to", "o", "--set", "kind"), 2, "is not key=va"),
        (("import", "x", "-c", "c", "--as", "table"), 2, "say --as run, scores, groups"),
        (("import", "x", "-c", "c", "--as", "groups"), 2, "groups needs --format and --kind"),
        (
            ("import", "x", "-c", "c", "--as", "groups", "--kind", "logit"),
            2,
            "import --as groups needs --format",
        ),
    ],
)
def test_wrong_arguments_say_what_to_do(rankmill, arguments, status, said):
    found, _, err = rankmill(*arguments)
    assert (found, said in err) == (status, True), err
    assert not Path("o").exists()


def test_the_scores_that_are_named_are_the_ones_that_are_written(rankmill):
    """`export --scores OTHER` once wrote the groups' own scores."""
    other = [{"query_id": "10", "doc_id": str(d), "score": 100.0 + d} for d in range(3)]
    Path("other.jsonl").write_text("".join(json.dumps(line) + "\n" for line in other))
    given = ("import", "other.jsonl", "--as", "scores", "--kind", "logit", "-c", "c", "-n", "other")
    status, _, err = rankmill(*given)
    assert status == 0, err
    export = ("export", "colbert", "--groups", "toy")
    assert rankmill(*export, "--to", "own")[0] == 0
    assert rankmill(*export, "--to", "new", "--scores", "other")[0] == 0
    own, new = (json.loads(Path(place, "train.json").read_text()) for place in ("own", "new"))
    assert [score for _, score in own[1:]] == [9.25, 3.5, -1.25]
    assert [score for _, score in new[1:]] == [100.0, 101.0, 102.0]
