"""A step of fewer groups is logged as such; it distorts neither variance nor means nor figures."""

from __future__ import annotations

import math
from types import SimpleNamespace

import matplotlib.pyplot as plt
import numpy as np
import pytest

from rankmill.mining.store import files
from rankmill.report import dynamics
from rankmill.report.page import paper, trained
from rankmill.report.page.canvas import looks
from rankmill.training.telemetry import WINDOW, Telemetry

STEPS, BATCH = 150, 8


@pytest.fixture
def telemetry() -> Telemetry:
    """150 steps of 8 groups, but the last of 1: its gradient is that of a single group."""
    rng = np.random.Generator(np.random.Philox(2))
    made = Telemetry()
    for step in range(STEPS):
        groups = BATCH if step + 1 < STEPS else 1
        norm = 2.0 + rng.normal() / 10 if groups == BATCH else 9.0
        row = {"step": step, "documents": 0, "groups": groups, "loss": 1.0, "floor": 0.25}
        row |= {"gradient_norm": norm if step != 5 else math.nan, "lr": 1e-4, "tokens": 10}
        row |= {"score_variance": 1.0, "validation": math.nan, "cells": 12}
        if groups < BATCH:
            row["loss"] = 6.0
        made.add(row, {"step_s": 0.1, "wait_s": 0.0, "memory": 1.0})
    return made


def test_the_groups_of_every_step_are_logged(telemetry):
    groups = telemetry.table()["groups"]
    assert groups.type == "int64"
    assert groups.to_pylist() == [BATCH] * (STEPS - 1) + [1]


def test_the_windowed_variance_leaves_out_steps_of_fewer_groups(telemetry):
    norm = np.array(telemetry.rows["gradient_norm"])
    norm[-1] = np.nan
    found = telemetry.table()["gradient_norm_variance"].to_numpy()
    for step in (0, 4, 5, 60, 120, STEPS - 2, STEPS - 1):
        window = norm[max(0, step - WINDOW + 1) : step + 1]
        assert found[step] == pytest.approx(np.nanvar(window), rel=1e-12, abs=1e-15)
    assert found.max() < 0.03  # 0.01, the variance of what was drawn
    assert telemetry.table()["gradient_norm"][STEPS - 1].as_py() == 9.0  # the step stays logged


def test_summaries_weigh_steps_by_their_groups(telemetry):
    tenth = STEPS // 10
    wanted = ((tenth - 1) * BATCH * 0.75 + 5.75) / ((tenth - 1) * BATCH + 1)
    assert telemetry.summary()["last_excess"] == pytest.approx(wanted)
    assert telemetry.summary()["first_excess"] == pytest.approx(0.75)


def test_figures_leave_out_short_steps_and_say_so(telemetry, tmp_path):
    files.write_arrow(tmp_path / "telemetry.arrow", telemetry.table())
    student = SimpleNamespace(
        sampler="random", loss="kl", artifact=SimpleNamespace(file=lambda name: tmp_path / name)
    )
    log = dynamics._training(student, "kl")
    assert log.short == 1
    assert list(log.step) == list(range(STEPS - 1))
    assert np.nanmax(log.gradient_norm) < 3
    assert max(log.loss) == 1.0
    assert log.floor == pytest.approx(0.25)
    assert log.norm_variance is not None
    assert len(log.norm_variance) == STEPS - 1
    figure = paper.training([log], ["random"])
    assert figure.get_supxlabel() == "optimiser step (1 step of fewer groups than a batch left out)"
    plt.close(figure)
    pictures = trained.training_pictures((log,), looks(("random",)))
    assert all("1 step of fewer groups than a batch is left out" in p.remark for p in pictures)


def test_whole_batches_need_no_word(telemetry, tmp_path):
    table = telemetry.table().slice(0, STEPS - 1)
    files.write_arrow(tmp_path / "telemetry.arrow", table)
    student = SimpleNamespace(
        sampler="random", loss="kl", artifact=SimpleNamespace(file=lambda name: tmp_path / name)
    )
    log = dynamics._training(student, "kl")
    assert log.short == 0
    assert paper.training([log], ["random"]).get_supxlabel() == "optimiser step"
    assert all(
        "left out" not in p.remark for p in trained.training_pictures((log,), looks(("random",)))
    )
