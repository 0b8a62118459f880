"""Data sets of the Hugging Face Hub, read from the files of their repositories.

Which file is what, names say (`readers/hub_names`), and where they do not, columns. Identity is the
content of the files read: no name, path or revision.
"""

from __future__ import annotations

import re
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ..errors import BadInput
from ..inputs import column_names as columns
from ..inputs.hub_place import cache_folder
from ..inputs.shards import unpacked_name
from ..names import nearest
from ..store.files import sha256_once
from .base import Judged
from .lines import read_lines
from .policies import Oddities
from .readers import hub_cache
from .readers.hub_names import ENDINGS, ROLES, HubFile, of_subset, subsets
from .readers.judgement_files import DOC, QUERY, read_judgements, reading_of, together
from .readers.judgement_lists import has_lists, list_judgements
from .tabular import TabularReader, fact

_SHARD = re.compile(r"(.+)-(\d{5})-of-(\d{5})(\..+)")
_SHOWN = 20
_OTHER_ROWS = (".csv", ".csv.gz", ".json", ".arrow", ".zip", ".tar", ".tar.gz", ".tgz", ".pkl")
Roles = dict[str, list[HubFile]]
"""Role ("" where a name says none) → files."""


class HubReader(TabularReader):
    """Reads `OWNER/NAME[:config][@revision]`, or several repositories joined by `+`."""

    def find_at(self, path: str) -> None:
        """Find the repositories in the cache, or fetch them, and choose their files."""
        repositories, self.subset = hub_cache.repositories(path)
        self.where = f"hf:{path}"
        self.names: list[str] = []
        files: list[HubFile] = []
        there: list[str] = []
        for repository in repositories:
            listed, names = hub_cache.files_of(repository, self.subset, self._to_fetch)
            files += listed
            there += [f"{repository.name}/{name}" for name in names]
        self.names = there
        roles = self._chosen(files)
        self._by_columns(roles)
        if not roles["corpus"]:
            raise self._refused("no documents are found")
        self.files = {r: self._complete(_one_format(roles[r])) for r in ("corpus", "queries")}
        self.splits = self._splits(roles)
        if self.splits and not self.files["queries"]:
            raise self._refused("there are judgements, and no queries are found")
        self._tell_unread(files)

    def _to_fetch(self, files: list[HubFile]) -> list[HubFile]:
        """Return what is downloaded of a listing: files of the subset, those for all, and those
        whose name says nothing. Raises BadInput before a download that would lead nowhere."""
        self.names = [one.shown for one in files]
        if not self.subset:
            return [one for chosen in self._chosen(files).values() for one in chosen]
        to_fetch = of_subset(files, self.subset) + [one for one in files if not one.subset]
        if not to_fetch:
            raise self._no_config(files)
        return to_fetch

    def _chosen(self, files: list[HubFile]) -> Roles:
        """Return the files of the subset, by role; raises BadInput where it is not clear which."""
        roles: Roles = {role: [one for one in files if one.role == role] for role in ("", *ROLES)}
        if self.subset and files and not of_subset(files, self.subset):
            raise self._no_config(files)
        known = subsets(roles["corpus"])
        shared = not known or any(not one.subset for one in roles["corpus"])
        if self.subset or shared:
            wanted = self.subset
        elif len(known) == 1:
            wanted = known[0]
        else:
            raise self._refused(
                f"there are documents of {len(known)} configs: {', '.join(known[:_SHOWN])}",
                f"choose one: {self.where.partition('@')[0]}:{known[0]}",
            )
        return {role: self._of(role, wanted, ones, known) for role, ones in roles.items()}

    def _of(self, role: str, wanted: str, files: list[HubFile], known: list[str]) -> list[HubFile]:
        """Return the files of one role that belong to a subset, else those that are for all.

        `known`: the subsets that have documents. Where none is wanted, what is left over of a name
        is a split of queries and judgements, unless there are documents of that name.
        """
        plain = [one for one in files if not one.subset]
        judged = role in ("queries", "qrels")
        if not wanted:
            return [one for one in files if one.subset not in known] if judged else plain
        chosen = of_subset(files, wanted) or plain
        if chosen or not judged or not files:
            return chosen
        if not self.subset:  # the documents alone have a name of their own
            return files
        raise self._refused(
            f"there are {role}, and none of the config {wanted!r}", nearest(wanted, subsets(files))
        )

    def _no_config(self, files: list[HubFile]) -> BadInput:
        return self._refused(
            f"there is no config {self.subset!r}", nearest(self.subset, subsets(files))
        )

    def _by_columns(self, roles: Roles) -> None:
        """Give files whose name says no role the one that their columns have."""
        unknown, documents = roles[""], not roles["corpus"]
        for one in unknown:
            names = self._columns_of(one)
            query, doc = columns.named(names, QUERY), columns.named(names, DOC)
            if query and doc and columns.named(names, columns.GRADE):
                roles["qrels"].append(one)
            elif documents and columns.named(names, columns.CORPUS_ID):
                if columns.named(names, columns.TEXT):
                    roles["corpus"].append(one)

    def _columns_of(self, one: HubFile) -> list[str]:
        _there(one)
        if one.ending in (".parquet", ".jsonl", ".ndjson"):
            return self.names_of(one.path)
        return next((line.split("\t") for _, line in read_lines(one.path)), [])

    def _splits(self, roles: Roles) -> dict[str, list[Path]]:
        """Return split → files of judgements; lists beside the queries count where there are no
        others."""
        files = roles["qrels"]
        if not files:
            chosen = set(self.files["queries"])
            files = [one for one in roles["queries"] if one.path in chosen]
            files = [one for one in files if one.ending == ".parquet" and has_lists(one.path)]
        by_split: dict[str, list[HubFile]] = {}
        configs = {one.subset for one in roles["corpus"]} | {self.subset}
        for one in files:
            config = one.subset in configs or (
                bool(self.subset) and bool(of_subset([one], self.subset))
            )
            parts = [part for part in ("" if config else one.subset, one.split) if part]
            by_split.setdefault("-".join(parts).replace("/", "-") or "all", []).append(one)
        return {s: self._complete(_one_format(ones)) for s, ones in sorted(by_split.items())}

    def _complete(self, files: list[HubFile]) -> list[Path]:
        """Return the places of files in order of name; refuses sets of shards with gaps."""
        sets: dict[tuple[str, str], set[int]] = {}
        for one in files:
            _there(one)
            if match := _SHARD.fullmatch(one.name):
                sets.setdefault((f"{one.repo}/{match[1]}", match[3]), set()).add(int(match[2]))
        for (name, of), numbers in sets.items():
            absent = sorted(set(range(int(of))) - numbers)
            if absent:
                raise BadInput(
                    f"the shards {name}-…-of-{of} are not complete: number {absent[0]:05d} is "
                    "missing",
                    where=self.where,
                    do="fetch the missing files (hf download … --repo-type dataset)",
                )
        return [one.path for one in files]

    def _tell_unread(self, files: list[HubFile]) -> None:
        """Warn of files with rows that are no part of the collection."""
        read = {p for ones in (*self.files.values(), *self.splits.values()) for p in ones}
        left = [one.shown for one in files if one.path not in read]
        left += [name for name in self.names if name.lower().endswith(_OTHER_ROWS)]
        if left:
            more = f" and {len(left) - 10} more" if len(left) > 10 else ""
            warnings.warn(
                f"{self.where}: not read: {', '.join(left[:10])}{more}",
                RuntimeWarning,
                stacklevel=2,
            )

    def _refused(self, what: str, do: str | None = None) -> BadInput:
        shown = ", ".join(self.names[:_SHOWN]) + (", …" if len(self.names) > _SHOWN else "")
        rule = (
            "documents stand in corpus.jsonl or corpus/, queries in queries.jsonl or queries/, "
            "judgements in qrels/SPLIT or data/, as .parquet, .jsonl or .tsv"
        )
        return BadInput(
            f"{what}; the files are: {shown or 'none that are read'}",
            where=f"{self.where}, cache {cache_folder()}",
            do=do or rule,
        )

    def _is_table(self, path: Path) -> bool:
        return not unpacked_name(path.name).lower().endswith((".parquet", ".jsonl", ".ndjson"))

    def facts(self) -> dict[str, Any]:
        """Return the SHA-256 of every file, and how it is read where that is not the plain way."""
        return {
            "corpus": self._content("corpus"),
            "queries": self._content("queries") if self.files["queries"] else None,
            "qrels": {split: self._judged_content(split) for split in self.splits},
        }

    def _judged_content(self, split: str) -> Any:
        reading: dict[str, str] = {}
        for number, path in enumerate(self.splits[split]):
            said = {"lists": "gold"} if self._has_lists(path) else reading_of(path)
            reading |= {f"{what} {number}": how for what, how in said.items()}
        return fact([sha256_once(path) for path in self.splits[split]], reading)

    def _has_lists(self, path: Path) -> bool:
        return path in self.files["queries"]

    def judgements(self, split: str) -> Judged:
        """Return the judgements of all files of one split."""
        parts = [
            list_judgements(path) if self._has_lists(path) else read_judgements(path)
            for path in self.splits[split]
        ]
        return together(parts, self.place("qrels", split))

    def odd(self, role: str, split: str = "") -> Oddities:
        """Return how many fields of TSV files stood in quotation marks."""
        return Oddities() if role == "qrels" else super().odd(role, split)

    def place(self, role: str, split: str = "") -> str:
        """Return the paths of the files."""
        return ", ".join(map(str, self.splits[split] if role == "qrels" else self.files[role]))


def _one_format(files: Sequence[HubFile]) -> list[HubFile]:
    """Return the files of the best format, sorted: data sets stand there in two forms at times."""
    ranks = [_rank(one) for one in files]
    best = min(ranks, default=0)
    chosen = [one for one, rank in zip(files, ranks, strict=True) if rank == best]
    return sorted(chosen, key=lambda one: (one.repo, one.name))


def _rank(one: HubFile) -> int:
    return ENDINGS.index(one.ending) if one.ending in ENDINGS else len(ENDINGS)


def _there(one: HubFile) -> None:
    if not one.path.is_file():
        raise BadInput(
            f"{one.name} is a link to a file that is not there",
            where=one.path,
            do=f"fetch it again: hf download {one.repo} {one.name} --repo-type dataset",
        )
