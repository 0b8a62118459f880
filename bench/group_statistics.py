"""Statistics of groups: our kernels beside per-query loops of NumPy and SciPy, in one process.

    python bench/group_statistics.py [--quick] [--data DIR]

Two loops stand beside each kernel. `reference` is what the public code of the paper does per query
(Parry-Parry/locality-and-entropy, commit 97c5af2): files, ids and data frames apart, its functions
as they are. `tuned` is the shortest NumPy we could write for exactly our numbers; the results are
compared with it before anything is timed. Bandwidths and matrix-product rates of this machine are
measured in the same run, because two of the goals are shares of them. `--data` is accepted for
uniformity: the data are drawn here.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path

import numpy as np
from _report import best_of, figure, finish
from scipy.spatial.distance import jensenshannon, pdist
from scipy.special import entr, expit
from scipy.special import softmax as softmax_of
from scipy.stats import kendalltau, zscore

from rankmill.mining.processors import in_threads
from rankmill.native import divergence, entropy, geometry, pair_order, scales, softmax

SIZE, LIST, WIDTH = 16, 200, 384


def read_only(array):
    array.flags.writeable = False
    return array


# ---- the reference's functions, one query at a time ----------------------------------------------


def reference_pairs(scores):
    """run_entropy.py, `pairwise_entropy` over the groups of its frame: no split by role."""
    out = np.empty(len(scores))
    for row, group in enumerate(scores):
        group = group.astype(np.float64)
        p = expit(group[:, None] - group[None, :])
        h = -(p * np.log2(p + 1e-12) + (1.0 - p) * np.log2(1.0 - p + 1e-12))
        upper = np.triu_indices(len(group), k=1)
        out[row] = h[upper].mean()
    return out


def reference_lists(lists):
    """analysis.py, `shannon_entropy(list(scores.values()))`: its list entropy, no softmax."""
    out = np.empty(len(lists))
    for row, scores in enumerate(lists):
        values = np.asarray(list(scores.values())).astype(float)
        values = values + (abs(values.min()) + 1e-6) if (values <= 0).all() else values
        p = values / values.sum()
        out[row] = float(-np.sum(p * np.log2(p)))
    return out


def reference_diameters(vectors, docs):
    """get_supremum.py: look up each document, divide by the norms (of columns), pdist, quantile."""
    out = np.empty(len(docs))
    for row, group in enumerate(docs):
        points = np.array([vectors[doc] for doc in group]).astype("float32")
        norms = np.linalg.norm(points, axis=0, keepdims=True)
        points = points / np.clip(norms, a_min=1e-9, a_max=None)
        out[row] = float(np.quantile(pdist(points, metric="euclidean"), 0.99))
    return out


def reference_disagreement(x, y):
    """SciPy's own functions for two teachers' scores of one list after the other."""
    out = np.empty((len(x), 3))
    for row, (a, b) in enumerate(zip(x.astype(np.float64), y.astype(np.float64), strict=True)):
        p, q = softmax_of(zscore(a)), softmax_of(zscore(b))
        opposite = np.sign(a[0] - a[1:]) * np.sign(b[0] - b[1:]) < 0
        out[row] = kendalltau(a, b).statistic, jensenshannon(p, q) ** 2, opposite.mean()
    return out + [2.0, 0.0, 1.0]  # no number near 0, as they are compared by quotients


# ---- the shortest loops for our numbers ----------------------------------------------------------


def loop_pairs(scores):
    """Pair entropy with its split."""
    upper = np.triu_indices(SIZE, 1)
    with_positive = upper[0] == 0
    out = np.empty((len(scores), 3))
    for row, group in enumerate(scores):
        p = expit(np.subtract.outer(group, group)[upper])
        bits = (entr(p) + entr(1.0 - p)) / np.log(2.0)
        out[row] = bits.mean(), bits[with_positive].mean(), bits[~with_positive].mean()
    return out


def loop_lists(scores):
    """Entropy of the softmax."""
    out = np.empty(len(scores))
    for row, group in enumerate(scores):
        out[row] = entr(softmax_of(group.astype(np.float64))).sum()
    return out


def loop_disagreement(x, y):
    """τ of lists without ties by signs of all pairs, and the rest by NumPy."""
    upper = np.triu_indices(x.shape[1], 1)
    out = np.empty((len(x), 3))
    for row, (a, b) in enumerate(zip(x.astype(np.float64), y.astype(np.float64), strict=True)):
        order = np.sign(np.subtract.outer(a, a)[upper]) * np.sign(np.subtract.outer(b, b)[upper])
        p, q = (np.exp(s - s.max()) for s in ((a - a.mean()) / a.std(), (b - b.mean()) / b.std()))
        p, q = p / p.sum(), q / q.sum()
        spread = entr((p + q) / 2).sum() - (entr(p).sum() + entr(q).sum()) / 2
        out[row] = order.mean(), spread, (order[: x.shape[1] - 1] < 0).mean()
    return out + [2.0, 0.0, 1.0]


def loop_diameters(vectors, docs):
    """Diameter and two quantiles of unit rows."""
    out = np.empty((len(docs), 3))
    for row, group in enumerate(docs):
        points = vectors[group].astype(np.float64)
        distances = pdist(points / np.linalg.norm(points, axis=1, keepdims=True))
        out[row] = np.quantile(distances, [1.0, 0.99, 0.95])
    return out


# ---- the kernels --------------------------------------------------------------------------------


def pairs(scores):
    n = len(scores)
    offsets = read_only(np.arange(n + 1, dtype=np.int64) * SIZE)
    positive = read_only(np.tile(np.arange(SIZE) == 0, n).astype(np.uint8))
    values = read_only(scores.reshape(-1).view())
    out, status = np.empty((n, 5)), np.empty((n, 5), np.uint8)

    def work(start, stop):
        entropy.pair_columns(
            values, offsets, positive, scales.LOGIT_TO_LOGPROB, 1.0, start, stop, out, status
        )

    in_threads(work, offsets)
    return out[:, [0, 2, 3]]


def lists(scores):
    n = len(scores)
    offsets = read_only(np.arange(n + 1, dtype=np.int64) * LIST)
    values = read_only(scores.reshape(-1).view())
    out, status = np.empty((n, 3)), np.empty((n, 3), np.uint8)

    def work(start, stop):
        softmax.list_columns(values, offsets, scales.AS_STORED, 1.0, start, stop, out, status)

    in_threads(work, offsets)
    return out[:, 0]


def disagreement(x, y):
    n, size = x.shape
    offsets = read_only(np.arange(n + 1, dtype=np.int64) * size)
    positive = read_only(np.tile(np.arange(size) == 0, n).astype(np.uint8))
    singles = [read_only(scores.reshape(-1).view()) for scores in (x, y)]
    doubles = [read_only(scores.astype(np.float64)) for scores in singles]
    counts, inverted = np.empty((n, 5), np.int64), np.empty((n, 2), np.int64)
    spread, status = np.empty(n), np.empty(n, np.uint8)
    fixed = (*singles, offsets, scales.AS_STORED, scales.AS_STORED, True, 1.0)

    def work(start, stop):
        pair_order.count_pairs(*doubles, offsets, start, stop, counts)
        pair_order.count_inverted(*doubles, positive, offsets, start, stop, inverted)
        divergence.jensen_shannon(*fixed, start, stop, spread, status)

    in_threads(work, offsets)
    share = inverted[:, 0] / inverted[:, 1]
    return np.stack([pair_order.kendall_tau_b(counts) + 2.0, spread, share + 1.0], axis=1)


def diameters(vectors, docs):
    n = len(docs)
    offsets = read_only(np.arange(n + 1, dtype=np.int64) * SIZE)
    index = read_only(docs.reshape(-1).astype(np.int64))
    half, single = read_only(vectors.view(np.uint16)), read_only(np.empty((0, 0), np.float32))
    quantiles, queries = np.array([1.0, 0.99, 0.95]), np.empty((0, WIDTH), np.float32)
    out, status = np.empty((n, 6)), np.empty((n, 6), np.uint8)
    fixed = (half, single, index, queries, offsets, quantiles, False)
    in_threads(lambda a, b: geometry.geometry_columns(*fixed, a, b, out, status), offsets)
    return out[:, :3]


# ---- what the machine can do ---------------------------------------------------------------------


def copy_bandwidth(megabytes):
    """Bytes per second copied with all threads, the payload counted once."""
    source = np.ones(megabytes << 18, np.float32)
    target = np.zeros_like(source)
    cuts = np.arange(len(source) + 1, step=len(source) // 64)

    def work(start, stop):
        np.copyto(target[cuts[start] : cuts[stop]], source[cuts[start] : cuts[stop]])

    return source.nbytes / best_of(5, lambda: in_threads(work, cuts))


def gemm_rate():
    """Float32 operations per second of a large matrix product with all threads."""
    a = np.ones((3000, 3000), np.float32)
    _ = a @ a
    return 2 * 3000**3 / best_of(3, lambda: a @ a)


def gather_bandwidth(vectors, docs):
    """Bytes per second at which numpy gathers the same rows with all threads."""
    flat = docs.reshape(-1)
    cuts = np.arange(0, len(flat) + 1, 1 << 12)

    def work(start, stop):
        for number in range(start, stop):
            _ = vectors[flat[cuts[number] : cuts[number + 1]]]

    return flat.size * WIDTH * 2 / best_of(2, lambda: in_threads(work, cuts))


def compare(name, ours, loop, reference, data, sample, repeats, tolerance):
    """Check against the tuned loop on a sample, then time all; returns rows per second of each."""
    few = tuple(d if d.shape[-1] == WIDTH else d[:sample] for d in data)
    began = time.perf_counter()
    ours(*few)
    compiled = time.perf_counter() - began
    worst = np.abs(ours(*few) / loop(*few) - 1.0).max()
    if not worst < tolerance:
        raise SystemExit(f"{name}: relative difference {worst:.1e} from the loop")
    mine = len(data[-1]) / best_of(repeats, lambda: ours(*data))
    tuned = sample / best_of(2, lambda: loop(*few))
    theirs = sample / best_of(2, reference)
    print(
        f"{name:26s} {mine:12,.0f} rows/s   reference loop {theirs:8,.0f} x{mine / theirs:5,.0f}   "
        f"tuned {tuned:8,.0f} x{mine / tuned:5,.0f}   first call {compiled:.1f} s   "
        f"worst difference {worst:.0e}"
    )
    return mine, {"reference loop": theirs, "tuned loop": tuned}


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="a fifth of the data")
    parser.add_argument("--data", type=Path, help="ignored: the data are drawn here")
    asked = parser.parse_args()
    n = 100_000 if asked.quick else 500_000
    rng = np.random.Generator(np.random.Philox(20))
    scores = rng.normal(0, 4, (n, SIZE)).astype(np.float32)
    z = scores.astype(np.float64)
    log_probabilities = np.minimum(z, 0) - np.log1p(np.exp(-np.abs(z)))
    figures = {}

    def loop_from_logits(logits):
        return loop_pairs(log_probabilities[: len(logits)])

    mine, loops = compare(
        "pair entropy and split",
        pairs,
        loop_from_logits,
        lambda: reference_pairs(log_probabilities[:2000]),
        (scores,),
        2000,
        3,
        1e-6,
    )
    seconds = 500_000 / mine
    figures["pair_entropy_split_k16"] = beside(mine, loops, "groups/s")
    figures["pair_entropy_500k_groups"] = figure(seconds, {}, 0.6 / seconds, 1, "s, at most 0.6")

    figures |= disagreements(rng, n // 5)

    many = rng.normal(0, 4, (n, LIST)).astype(np.float32)
    asked = [dict(enumerate(row.tolist())) for row in many[:2000] - many[:2000].max()]
    mine, loops = compare(
        "list entropy of 200",
        lists,
        loop_lists,
        lambda: reference_lists(asked),
        (many,),
        2000,
        3,
        1e-6,
    )
    figures["list_entropy_k200"] = beside(mine, loops, "lists/s")
    copied = copy_bandwidth(256)
    read = mine * LIST * 4
    print(f"  reads {read / 1e9:.2f} GB/s; copying moves {copied / 1e9:.2f} GB/s each way")
    figures["list_entropy_share_of_copy"] = figure(
        read / 1e9, {"copy": copied / 1e9}, read / copied, 0.5, "GB/s"
    )
    del many

    vectors = rng.normal(0, 1, (200_000, WIDTH)).astype(np.float16)
    docs = rng.integers(0, len(vectors), (n, SIZE))
    mine, loops = compare(
        "diameters 16 x 384 float16",
        diameters,
        loop_diameters,
        lambda: reference_diameters(vectors, docs[:1000]),
        (vectors, docs),
        1000,
        2,
        1e-5,
    )
    figures["diameters_k16_d384"] = beside(mine, loops, "groups/s")
    product, gathered = gemm_rate(), gather_bandwidth(vectors, docs)
    by_product = product / (2 * SIZE * SIZE * WIDTH)
    by_reading = gathered / (SIZE * WIDTH * 2)
    binds = "reading" if by_reading < by_product else "matrix product"
    limit = min(by_reading, by_product)
    print(
        f"  limits: matrix product {by_product:,.0f} groups/s ({product / 1e9:.0f} Gflop/s), "
        f"gathering rows {by_reading:,.0f} groups/s ({gathered / 1e9:.1f} GB/s); {binds} binds: "
        f"{mine / limit:.0%}"
    )
    limits = {"matrix product": by_product, "gathering rows": by_reading}
    figures["diameters_share_of_limit"] = figure(mine, limits, mine / limit, 0.5, "groups/s")
    finish("group_statistics", figures)


def disagreements(rng, n):
    """Two teachers on groups of 16, and on lists of a thousand, where SciPy's own loop is the sort
    of τ and no longer the calls of Python."""
    figures = {}
    for size, rows, goal in ((SIZE, n, 100), (1000, n // 100, 10)):
        x, noise = rng.normal(0, 4, (2, rows, size))
        both = tuple(s.astype(np.float32) for s in (x, x + noise))
        few = min(rows, 500 if size == SIZE else 20)
        mine, loops = compare(
            f"disagreement of two, {size}",
            disagreement,
            loop_disagreement,
            lambda both=both, few=few: reference_disagreement(*(s[:few] for s in both)),
            both,
            few,
            2,
            1e-6,
        )
        ratio = mine / loops["reference loop"]
        figures[f"disagreement_k{size}"] = figure(mine, loops, ratio, goal, "lists/s")
    return figures


def beside(mine, loops, unit):
    """A figure beside both loops; the goal is a hundred times the reference's."""
    return figure(mine, loops, mine / loops["reference loop"], 100, unit)


if __name__ == "__main__":
    main()
