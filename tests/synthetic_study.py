"""A study's report with made-up content: every part filled, names that need escaping."""

from __future__ import annotations

import numpy as np

from rankmill.report import content, crossed
from rankmill.report.study.tables import Shown, Table
from rankmill.report.study.values import StudyReport

SAMPLERS = ("near, sure", "near, unsure", "far, sure", "far, unsure")
STUDENTS = ("small", "large <6 layers>")


def interval(value: float, half: float = 0.012) -> content.Interval:
    return content.Interval(value, value - half, value + half)


def spots(widely: bool) -> list[crossed.Spot]:
    """Return cells whose costs differ by little, or by powers of ten."""
    rng = np.random.Generator(np.random.Philox(3))
    made = []
    for s, student in enumerate(STUDENTS):
        for g, sampler in enumerate(SAMPLERS):
            cost = (12.0 ** (s + 0.4 * g) if widely else 40.0 * (1 + 2 * s + 0.3 * g)) * 1.1
            gain = 0.02 + 0.012 * s + 0.006 * g + float(rng.normal(0, 0.006))
            name = f"{student}, {sampler}"
            made.append(crossed.Spot(name, cost, interval(gain), sampler, student, False))
    best = -1.0
    kept = []
    for spot in sorted(made, key=lambda one: one.cost):
        front = spot.gain.value > best
        best = max(best, spot.gain.value)
        kept.append(crossed.Spot(spot.name, spot.cost, spot.gain, spot.color, spot.mark, front))
    return kept


def cost_picture(title: str, *, widely: bool = False) -> crossed.CostPicture:
    return crossed.CostPicture(
        title,
        "nDCG@10",
        "the untrained student",
        "CPU time",
        "minutes",
        "sampler",
        "train.student",
        spots(widely),
    )


def crossing(title: str) -> crossed.Crossing:
    means = {
        (entropy, locality): interval(0.3 + 0.02 * e + 0.03 * p + 0.02 * e * p)
        for e, entropy in enumerate(("low", "middle", "high"))
        for p, locality in enumerate(("near", "far"))
    }
    return crossed.Crossing(title, "nDCG@10", "entropy", "locality", means)


def effects(title: str) -> crossed.EffectBars:
    rows = {
        "locality: near → far": interval(0.03),
        "entropy: low → middle": interval(0.02),
        "entropy: low → high": interval(0.04),
        "locality × entropy: near → far, low → high": interval(0.02, 0.03),
    }
    return crossed.EffectBars(title, "nDCG@10", rows)


def report() -> StudyReport:
    """Fill every part; the figures have the shape of real ones."""
    test = cost_picture("test")
    rows = [
        [
            spot.mark,
            spot.color,
            Shown(f"{spot.cost:.1f} min", spot.cost),
            Shown(f"+{spot.gain.value:.3f} (+0.010 … +0.042), p = 0.021", spot.gain.value),
            Shown("+0.012 (+0.004 … +0.02)", 0.012),
            "yes" if spot.front else "",
            "not distinguishable from the best",
        ]
        for spot in test.spots
    ]
    columns = ["student", "sampler", "CPU time", "gain over the untrained student"]
    columns += ["gain per CPU-hour", "on the frontier", "compared with the best"]
    return StudyReport(
        title="Python docs: do near and unsure negatives pay?",
        question="",
        lead=[
            "8 cells (2 train.student × 4 sampler × 1 loss), 3 training seeds each; nDCG@10 is "
            "tested, paired over queries."
        ],
        answer=[
            "“large <6 layers>, far, unsure” is best on dev: on test it gains +0.061 (+0.041 to "
            "+0.081) over the untrained student and +0.012 (−0.008 to +0.031, not significant "
            "after Holm) over BM25 in nDCG@10; one student costs 3.10 EUR (2 h 5 min of CPU time).",
            "3 of the 7 other cells are not significantly different from it; the cheapest of them, "
            "“small, far, unsure”, costs 1.20 EUR (48 min 10 s of CPU time), 39% as much, and "
            "gains +0.052 (+0.031 to +0.070) over the untrained student.",
            "Paying more than for “small, near, sure” is not shown to gain more on test: none of "
            "the 3 steps to more expensive cells on the frontier is significant.",
        ],
        caveats=[
            "It rests on 156 queries of test and 3 training seeds.",
            "Energy is estimated from declared watts where the hardware does not measure it.",
            "Costs were measured once, on the machines that did the work.",
        ],
        costs=[test, cost_picture("cranfield", widely=True)],
        crossings=[crossing("test, small"), crossing("test, large")],
        effects=[effects("test, small"), effects("test, large")],
        tables=[
            Table("Cost against gain over the untrained student, test", columns, rows, 2, "Say."),
            Table(
                "Main effects and interaction",
                ["domain", "at", "factor", "step", "effect", "p (Holm)"],
                [["test", "loss kl", "locality", "near → far", "+0.030 (+0.01 … +0.05)", "p 0.01"]],
                4,
                "Queries and training seeds are random.",
            ),
            Table("Root hashes", ["sampler", "groups"], [["a & b", "0123456789abcdef"]] * 2),
        ],
        notes=["Every student saw the declared 64 documents."],
        environment={"python": "3.11.9", "packages": "numpy 2.2, torch 2.7"},
        recipe='name = "t"\n[study.prices]\nper_cpu_hour = 0.04 # <of a core>\n' + "x = 1 " * 60,
    )
