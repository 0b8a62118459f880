"""Texts of many languages to terms and to an index, beside English in ASCII in the same run.

    python bench/languages.py [--quick]

Texts are synthetic, of one recipe for all: words drawn by Zipf's law from a vocabulary of random
letters of a script, or characters by the same law for Chinese, Japanese and Korean. Terms are
compared with the slow reference of the tests before anything is timed. Runs take turns, best of
several, in processor time of one core; a ratio is that of MB/s of UTF-8, and of millions of
characters, to English ASCII under `language=english`.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from _report import figure, finish

from rankmill.mining.search.postings import invert_texts
from rankmill.mining.text.analysis import analyse, text_buffers
from rankmill.mining.text.languages import language_of
from rankmill.native.words import tokenise

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests"))

GOAL = 0.33  # of English: a mixed corpus is to take at most three times as long a byte
FORMS, WORDS = 60_000, 80  # of a vocabulary; of a text
LETTERS = {
    "english": "etaoinshrdlcumwfgypbvk",
    "german": "enisratdhulcgmobwfkzpvüäöß",
    "russian": "оеаинтсрвлкмдпуяыьгзбчйхжшюцщэф",
    "arabic": "اليمنوهرتبكعدفسحجقصطشخثذضزغظ",
}
RANGES = {"chinese": (0x4E00, 5_000), "japanese": (0x3041, 86), "korean": (0xAC00, 2_000)}
RUNS = {  # name → (texts of, language)
    "english ASCII": ("english", "english"),
    "the same, whitespace": ("english", "whitespace"),
    "the same, porter2": ("english", "porter2"),
    "German": ("german", "german"),
    "Russian": ("russian", "russian"),
    "Arabic": ("arabic", "arabic"),
    "Chinese": ("chinese", "cjk"),
    "Japanese": ("japanese", "cjk"),
    "Korean": ("korean", "cjk"),
    "all mixed, cjk": ("mixed", "cjk"),
    "all mixed, words": ("mixed", "words"),
    "all mixed, english": ("mixed", "english"),
}


def texts_of(name: str, rows: int, rng: np.random.Generator) -> list[str]:
    """Return texts of one script."""
    if name in RANGES:
        start, size = RANGES[name]
        law = rng.permutation(size)
        texts = []
        for _ in range(rows):
            draws = law[np.minimum(rng.zipf(1.2, WORDS * 3) - 1, size - 1)]
            line = "".join(map(chr, start + draws))
            gap = 4 if name == "korean" else 24  # words of Korean, sentences of the others
            mark = " " if name == "korean" else "。"
            texts.append(mark.join(line[i : i + gap] for i in range(0, len(line), gap)))
        return texts
    letters = np.array(list(LETTERS[name]))
    sizes = rng.integers(2, 11, FORMS)
    vocabulary = ["".join(letters[rng.integers(0, len(letters), n)]) for n in sizes]
    vocabulary = [w.capitalize() if rng.random() < 0.1 else w for w in vocabulary]
    ranks = np.minimum(rng.zipf(1.2, (rows, WORDS)) - 1, FORMS - 1)
    return [" ".join(vocabulary[rank] for rank in row) + "." for row in ranks]


def main() -> None:
    """Check, time and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="under a minute: fewer texts")
    options = parser.parse_args()
    rows = 2_500 if options.quick else 20_000
    rng = np.random.Generator(np.random.Philox(7))
    texts = {name: texts_of(name, rows, rng) for name in (*LETTERS, *RANGES)}
    every = [text for some in texts.values() for text in some[: rows // len(texts)]]
    texts["mixed"] = [every[i] for i in rng.permutation(len(every))]
    columns = {name: pa.array(some, pa.large_string()) for name, some in texts.items()}
    check(texts)
    seconds = race(columns, 5 if options.quick else 3)
    report(texts, columns, seconds)


def check(texts: dict[str, list[str]]) -> None:
    """Compare the terms of a few texts with the slow reference."""
    from oracles import analysis, languages

    for name, language in RUNS.values():
        some = texts[name][:3]
        slow = analysis.analyse if language == "english" else None
        expected = [slow(t) if slow else languages.analyse(t, language) for t in some]
        assert analyse(pa.array(some, pa.large_string()), language).rows() == expected, language


def race(columns: dict[str, pa.Array], rounds: int) -> dict[str, tuple[float, float]]:
    """Return the best (kernel, text to index) seconds of every run, taken in turns."""
    best = dict.fromkeys(RUNS, (np.inf, np.inf))
    for _ in range(rounds):
        for run, (name, language) in RUNS.items():
            column, spoken = columns[name], language_of(language)
            data, bounds = text_buffers(column)
            how = (*spoken.tables(), spoken.possessive, spoken.pairs)
            kernel = took(partial(tokenise, data, bounds, *how))
            whole = took(partial(invert_texts, column, language))
            best[run] = min(best[run][0], kernel), min(best[run][1], whole)
    return best


def took(work: Callable[[], Any]) -> float:
    """Return the seconds of processor time that one run of it takes; it runs on one core."""
    began = time.process_time()
    work()
    return time.process_time() - began


def report(
    texts: dict[str, list[str]],
    columns: dict[str, pa.Array],
    seconds: dict[str, tuple[float, float]],
) -> None:
    """Print a row for each run, and the JSON line."""
    rates: dict[str, list[float]] = {}
    for run, (name, _) in RUNS.items():
        size = columns[name].nbytes / 1e6
        letters = sum(map(len, texts[name])) / 1e6
        rates[run] = [size / seconds[run][0], size / seconds[run][1], letters / seconds[run][1]]
    base = rates["english ASCII"]
    print(f"{'':22}{'kernel MB/s':>12}{'to index':>10}{'ratio':>7}{'Mchar/s':>9}{'ratio':>7}")
    figures: dict[str, Any] = {}
    for run, (kernel, whole, letters) in rates.items():
        shares = whole / base[1], letters / base[2]
        print(
            f"{run:22}{kernel:12,.1f}{whole:10,.1f}{shares[0]:7.2f}{letters:9,.1f}{shares[1]:7.2f}"
        )
        key = run.replace(", ", "_").replace(" ", "_")
        figures[key] = figure(whole, {"english ASCII": base[1]}, shares[0], GOAL, "MB/s")
    finish("languages", figures)


if __name__ == "__main__":
    main()
