"""Six first-stage runs with real scores: how their scores fall with rank, measured and plotted."""

from __future__ import annotations

import gzip
from collections import defaultdict
from pathlib import Path

import numpy as np

from rankmill.mining.statistics.summaries.power_law import Decay, fit_decay

RUNS = {  # the folder, and the name shown
    "BM25": "BM25",
    "BM25_RM3": "BM25 + RM3",
    "SPLADE_P_P_ENSEMBLE_DISTIL": "SPLADE++ ED",
    "D_BERT_KD_TASB": "TAS-B",
    "OPEN_AI_ADA2": "ada2",
    "REP_LLAMA": "RepLLaMA",
}
SPLITS = ("dl19", "dl20")
DEPTH = 100
COLOURS = ("#0072B2", "#56B4E9", "#009E73", "#D55E00", "#CC79A7", "#E69F00")
NAMES = {"power_law": "power law", "exponential": "exponential", "log_normal": "log-normal"}


def first_stage(data: Path, folder: Path | None) -> str:
    """Return the table in Markdown; the picture goes to `folder` where one is given."""
    curves = {name: relative(scores_of(data, run)) for run, name in RUNS.items()}
    fits = {name: fit_decay(curve, 1, DEPTH) for name, curve in curves.items()}
    if folder is not None:
        plot(curves, fits, folder / "first-stage-runs.svg")
    head = "| run | queries | at rank 10 | at rank 100 | α of rank^−α [95 %] | R² | best by BIC |"
    lines = [head + " ΔBIC of the power law | effective documents |", "|---|" + "--:|" * 8]
    for name, curve in curves.items():
        fit = fits[name]
        behind = fit.bic["power_law"] - fit.bic[fit.best]
        cells = [
            f"{len(curve)}",
            f"{np.nanmean(curve[:, 9]):.3f}",
            f"{np.nanmean(curve[:, DEPTH - 1]):.3f}",
            f"{fit.alpha:.3f} [{fit.low:.3f}, {fit.high:.3f}]",
            f"{fit.r2:.3f}",
            NAMES[fit.best],
            f"{behind:.0f}",
            f"{effective(curve):.1f}",
        ]
        lines.append(f"| {name} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def scores_of(data: Path, run: str) -> list[np.ndarray]:
    """Return each query's scores, best first, at most DEPTH."""
    by_query: dict[str, list[float]] = defaultdict(list)
    for split in SPLITS:
        path = data / "trec/runs/rank_llm/retrieve" / run / f"trec_results_{split}.txt.gz"
        with gzip.open(path, "rt") as stream:
            for line in stream:
                query, _, _, _, score, _ = line.split()
                by_query[query].append(float(score))
    return [np.sort(np.array(s))[::-1][:DEPTH] for _, s in sorted(by_query.items())]


def relative(scores: list[np.ndarray]) -> np.ndarray:
    """Return scores divided by the query's best, [queries, DEPTH], NaN beyond the end of a list."""
    out = np.full((len(scores), DEPTH), np.nan)
    for row, score in enumerate(scores):
        out[row, : len(score)] = score / score[0]
    return out


def effective(curve: np.ndarray) -> float:
    """Return the mean effective size 1/Σq², q the softmax of scores standardised per query.

    Standardised, because the runs' scales have nothing in common.
    """
    sizes = []
    for row in curve:
        score = row[~np.isnan(row)]
        score = (score - score.mean()) / score.std()
        weight = np.exp(score - score.max())
        weight /= weight.sum()
        sizes.append(1.0 / (weight**2).sum())
    return float(np.mean(sizes))


def plot(curves: dict[str, np.ndarray], fits: dict[str, Decay], path: Path) -> None:
    """Draw mean curves, the middle half of queries and the fitted lines, each run in its panel."""
    import matplotlib

    matplotlib.use("Agg")
    matplotlib.rcParams |= {"svg.hashsalt": "rankmill", "svg.fonttype": "path", "font.size": 9}
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots(
        2, 3, figsize=(9.5, 5.4), sharex=True, sharey="row", layout="constrained"
    )
    rank = np.arange(1, DEPTH + 1)
    for axis, colour, (name, curve) in zip(axes.flat, COLOURS, curves.items(), strict=True):
        low, high = np.nanquantile(curve, [0.25, 0.75], axis=0)
        mean = np.nanmean(curve, axis=0)
        axis.fill_between(rank, low, high, color=colour, alpha=0.2, lw=0)
        axis.plot(rank, mean, color=colour, lw=2)
        fit = fits[name]
        line = np.exp(np.log(mean).mean() + fit.alpha * (np.log(rank).mean() - np.log(rank)))
        axis.plot(rank, line, color="#1f2430", lw=1, ls="--")
        axis.set(xscale="log", yscale="log")
        axis.set_title(f"{name}: α = {fit.alpha:.3f}, R² = {fit.r2:.3f}", fontsize=9)
        axis.set_xticks([1, 10, 100], ["1", "10", "100"])
        axis.grid(color="#e4e7ec", lw=0.7)
        axis.spines[["top", "right"]].set_visible(False)
    for row in axes:
        low = row[0].get_ylim()[0]
        ticks = [t for t in np.arange(0.1, 1.01, 0.02 if low > 0.8 else 0.1) if t >= low]
        row[0].set_yticks(ticks, [f"{t:.2g}" for t in ticks])
        row[0].set_yticks([], minor=True)
    figure.supxlabel("rank")
    figure.supylabel("score / best score of the query")
    figure.savefig(path, metadata={"Date": None})
    plt.close(figure)
