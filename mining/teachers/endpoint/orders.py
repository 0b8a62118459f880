"""Orders as language models write them: `[3] > [1] > [2]`, numbered lists, bare numbers.

Line by line, by a strict grammar: a line is an order, one place of a list, or prose. Passages named
in prose alone, and orders that contradict each other, are no order (`Ambiguous`): to read them in
the order of their mention, as RankGPT does (Sun et al., EMNLP 2023), gives wrong ranks silently.
What an order leaves out keeps its place behind what it names; what it names again, or does not
exist, is passed over. Each of these is counted.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

_THOUGHT = "</think>"
_ID = r"(?:(?:passage|document|doc)\s*)?(?:\[[0-9]+\]|(?<![0-9])[0-9]+(?![0-9]))"
_MARKED = r"(?:(?:passage|document|doc)\s*)?\[[0-9]+\]"
_LEAD = r"(?:[^\[\]>\n]*[:：]\s*)?"  # "Here is the ranking of the 3 passages:"
_WORDS = r"(?:[^\[\]>0-9\n]*(?<![A-Za-z0-9]))?"  # "The final order is"
_CUT = r"\s*>+\s*(?:\[[0-9]*)?"  # an answer that ends where its room did
_TAIL = r"(?:\s*[.;(,–—].*)?"  # prose behind an order; with an identifier in it, it is none
_CHAIN = re.compile(
    rf"(?:{_LEAD}|{_WORDS})\[?(?P<ids>{_ID}(?:\s*>+\s*{_ID})+)\]?(?:{_CUT}|(?P<tail>{_TAIL}))", re.I
)
_COMMAS = re.compile(
    rf"{_LEAD}(?:(?P<ids>{_MARKED}(?:[\s,]*{_MARKED})*)|\[?(?P<bare>[0-9]+(?:[\s,]+[0-9]+)*)\]?)\.?",
    re.I,
)
_PLACE = re.compile(rf"(?:rank\s*)?(?P<place>[0-9]+)\s*[.):]\s*(?:{_MARKED})(?P<tail>.*)", re.I)
_BARE_PLACE = re.compile(  # without a word, `1. 3` may also say of passage 1 that it is the third
    r"(?:rank\s*(?P<place>[0-9]+)\s*[.):]\s+(?:(?:passage|document|doc)\s*)?"
    r"|(?P<number>[0-9]+)\s*[.):]\s+(?P<word>(?:passage|document|doc)\s*)?)(?P<id>[0-9]+)\.?",
    re.I,
)
_MENTION = re.compile(r"\[([0-9]+)\]")
_NUMBERS = re.compile(r"[\s0-9.,;:>()=<\[\]-]+")


class Ambiguous(ValueError):
    """An answer that names passages and is no order."""


def order_of(answer: str, count: int) -> tuple[list[int], dict[str, int]]:
    """Return the places 0…count−1 in the order that an answer says, and what had to be repaired.

    Thoughts are no order: what stands before `</think>` is not read, nor an answer that ends in
    its thoughts. `windows_unread` counts 1 for an answer that names no passage. Raises Ambiguous.
    """
    whole = "" if "<think>" in answer and _THOUGHT not in answer else answer
    numbers = _ordered(whole.rpartition(_THOUGHT)[2], count)
    known = [int(n) - 1 for n in numbers if len(n) < 9 and 1 <= int(n) <= count]
    named = list(dict.fromkeys(known))
    rest = sorted(set(range(count)) - set(named))
    odd = {
        "ids_unknown": len(numbers) - len(known),
        "ids_repeated": len(known) - len(named),
        "ids_missing": len(rest) if named else 0,
        "windows_unread": int(not named),
    }
    return named + rest, {name: n for name, n in odd.items() if n}


def _ordered(said: str, count: int) -> list[str]:
    """Return the identifiers of the one order that a text holds; none where it names no passage.

    Chains with `>` go before numbered lists, and these before identifiers in a row, which may
    repeat how passages were shown. Of several of a kind one may name all passages, and is meant.
    """
    lines = list(_lines(said))
    for reader in (_chains, _lists, _rows):
        different = [list(one) for one in dict.fromkeys(map(tuple, reader(lines)))]
        if len(different) > 1:
            every = {str(n + 1) for n in range(count)}
            different = [one for one in different if every <= set(one)]
            if len(different) != 1:
                raise Ambiguous("several orders that differ")
        if different:
            return different[0]
    if any(1 <= int(n) <= count for n in _MENTION.findall(said) if len(n) < 9):
        raise Ambiguous("passages named in sentences, in no order")
    if _NUMBERS.fullmatch(said) and re.search(r"[0-9]", said):
        raise Ambiguous("numbers that are no order")
    return []


def _lines(said: str) -> Iterator[str]:
    """Yield lines without marks of layout, a chain that goes over several as one."""
    held: list[str] = []
    for line in re.sub(r"[*`#]", "", said).splitlines():
        line = line.strip().removeprefix("- ")
        if held and line and not line.startswith(">") and not held[-1].endswith(">"):
            yield " ".join(held)
            held = []
        held += [line] if line else []
    yield " ".join(held)


def _chains(lines: Sequence[str]) -> Iterator[list[str]]:
    for line in lines:
        match = _CHAIN.fullmatch(line)
        if match and not re.search(r"\[[0-9]+\]|>", match["tail"] or ""):
            yield re.findall(r"[0-9]+", match["ids"])


def _lists(lines: Sequence[str]) -> Iterator[list[str]]:
    """Yield what lists name whose places are 1, 2, 3, …; between their lines prose may stand."""
    for pattern in (_PLACE, _BARE_PLACE):
        ids: list[str] = []
        for match in filter(None, map(pattern.fullmatch, lines)):
            said = match.groupdict()
            if said.get("number") and not said["word"]:
                raise Ambiguous("a list of bare numbers: of passages, or of their ranks or grades")
            place = int((said["place"] or said["number"])[:9])
            if place == 1 and ids:
                yield ids
                ids = []
            if place != len(ids) + 1:
                raise Ambiguous(f"a numbered list whose place {len(ids) + 1} is called {place}")
            ids.append(match["id"] if pattern is _BARE_PLACE else _MENTION.findall(match[0])[0])
        if ids:
            yield ids


def _rows(lines: Sequence[str]) -> Iterator[list[str]]:
    """Yield identifiers that nothing but commas, blanks or line ends stands between."""
    ids: list[str] = []
    for line in [*lines, "end"]:
        match = _COMMAS.fullmatch(line)
        if match is None:
            if line and ids:
                yield ids
                ids = []
            continue
        ids += re.findall(r"[0-9]+", match["ids"] or match["bare"])
