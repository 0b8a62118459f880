"""Refusing a recipe before the first byte of its data is read: every name and value in it.

Names that only the last stages use are found wrong here, not after hours of mining. Models are not
opened and collections not read: whether they are there, the first stages say.
"""

from __future__ import annotations

import contextlib
import re
from collections.abc import Callable, Iterator
from typing import Any

from rankmill.mining import names
from rankmill.mining.errors import MODELS, BadInput, RankmillError, UsageError, need
from rankmill.mining.inputs.given_paths import path_given
from rankmill.study.blends import is_blend
from rankmill.study.recipe import Recipe, cut_with_labels, with_labels
from rankmill.study.results import RESERVED

Known = Callable[[str], bool]
"""known(name) says whether the workspace has an artifact of a name: sources may be made of its
runs, blends of its groups, and scores stored there are a source and a teacher."""


def check_recipe(recipe: Recipe, known: Known = lambda name: False) -> None:
    """Raise UsageError for the first thing in a recipe that cannot work."""
    _check_names(recipe)
    _check_collections(recipe, known)
    labels = _check_sources(recipe, known)
    with _at(recipe, "teacher"):
        _check_teacher(recipe.teacher, known)
    _check_others(recipe, known)
    _check_groups(recipe, labels)
    _check_blends(recipe, labels, known)
    _check_statistics(recipe, labels)
    _check_packages(recipe)
    if recipe.trains:
        _check_training(recipe)
    _check_devices(recipe)
    _check_evaluation(recipe, known)


@contextlib.contextmanager
def _at(recipe: Recipe, key: str) -> Iterator[None]:
    """Say in an error which key of the recipe it is about."""
    try:
        yield
    except RankmillError as error:
        where = f"{recipe.where}: {key}" + (f", {error.where}" if error.where else "")
        raise UsageError(error.what, where=where, do=error.do) from error


_LETTERS = "use letters, digits, '.', '_', '-', '+', '@'"
_ALIAS = 128  # characters, mining/store/workspace.py
_SHORT = re.compile(r"\w[\w.+@-]*")  # what an alias may be made of


def _check_names(recipe: Recipe) -> None:
    """Refuse names that aliases cannot have, and those that mean something else in results."""
    with _at(recipe, "name"):
        if not _SHORT.fullmatch(recipe.name):
            raise UsageError(f"name={recipe.name!r} cannot begin an alias", do=_LETTERS)
    for section, table in (
        ("groups.samplers", recipe.samplers),
        ("train.losses", recipe.losses),
        ("mine.sources", recipe.sources),
        ("evaluate.domains", recipe.domains),
        ("statistics.other", recipe.other),
    ):
        for name in table:
            with _at(recipe, f"{section}.{name}"):
                if section == "groups.samplers" and name in RESERVED:
                    raise UsageError(
                        f"a sampler cannot be called {name!r}: results call one of the systems "
                        "that students are compared with by that name",
                        do=f"choose another name, not one of {', '.join(RESERVED)}",
                    )
                if not _SHORT.fullmatch(name):
                    raise UsageError(f"{name!r} is not a short name", do=_LETTERS)
    _check_aliases(recipe)


def _check_aliases(recipe: Recipe) -> None:
    """Refuse names that make an alias too long, or the same for two results."""
    aliases = [f"{recipe.name}-{end}" for end in _ends_of_aliases(recipe)]
    longest = max(aliases, key=len)
    with _at(recipe, "name"):
        if len(longest) > _ALIAS:
            raise UsageError(
                f"the alias {longest!r} would have {len(longest)} characters",
                do=f"aliases have at most {_ALIAS}: choose shorter names of the recipe, its "
                "samplers and losses",
            )
        for alias in aliases:
            if aliases.count(alias) > 1:
                raise UsageError(
                    f"two results would be called {alias!r}",
                    do="choose another short name for a source, a sampler, a loss or a teacher",
                )


def _ends_of_aliases(recipe: Recipe) -> Iterator[str]:
    """Yield what the results of a recipe are called behind its name (rankmill/study/run.py)."""
    yield from ("pool", "scores", *recipe.sources)
    yield from (f"{label}-scores" for label in recipe.other)
    seeds = [f"-seed{seed}" for seed in recipe.seeds]
    for sampler in recipe.samplers:
        for redrawn in ("", *(seeds if recipe.redraw else ())):
            yield f"{sampler}-stats{redrawn}"
            yield f"{sampler}-groups{redrawn}"
            yield f"{sampler}-groups{redrawn}-target"
        for loss in recipe.losses:
            trained = f"{sampler}-{loss}" if len(recipe.losses) > 1 else sampler
            yield from (f"{trained}-student{seed}" for seed in ("", *seeds[1:]))


def _check_collections(recipe: Recipe, known: Known) -> None:
    """Check how collections are read; whether they are there, the first stage says."""
    from rankmill.mining.collection import check_reading

    specs = {"collection": recipe.collection}
    for name, domain in recipe.domains.items():
        if domain.collection is not None:
            specs[f"evaluate.domains.{name}.collection"] = domain.collection
    for key, spec in specs.items():
        with _at(recipe, key):
            if ":" not in spec and spec != "python-docs" and known(spec):
                raise UsageError(
                    f"{spec!r} is a name in the workspace, and a recipe says what a collection is "
                    "read from, so that it means the same on every machine",
                    do=f"write what was collected under this name, {key}=beir:PATH say: what is in "
                    "the workspace already is found, not read again; tables of Python are written "
                    "to files first. Verbs and commands take the name: rankmill mine … -c "
                    f"{spec}",
                )
            check_reading(spec)
    with _at(recipe, "collect"):
        told = recipe.options["collect"]
        check_reading(recipe.collection, title=told["title"], on=told["on"])


def _check_sources(recipe: Recipe, known: Known) -> dict[str, str]:
    """Check the sources; return the text of each, which stands for its label until it is mined."""
    from rankmill.mining.sources import SOURCES

    labels = {}
    for name in recipe.sources:
        with _at(recipe, f"mine.sources.{name}"):
            text = recipe.source(name)
            _check_source(SOURCES, text, recipe, known)
            labels[name] = str(SOURCES.parse(text))
            same = [other for other, label in labels.items() if label == labels[name]]
            if len(same) > 1:
                raise UsageError(
                    f"{' and '.join(same)} are the same source", do="keep one of the two"
                )
    return labels


def _check_source(family: names.Family, text: str, recipe: Recipe, known: Known) -> None:
    value = family.parse(text)
    _check_stored(value, known)
    parts = getattr(value, "of", None) or ()
    for part in (parts,) if isinstance(parts, str) else parts:
        word = str(part)
        if "(" in word or word in family.names():
            _check_source(family, word, recipe, known)
        elif not known(word):
            raise UsageError(
                f"{word!r} is no source of the recipe, no source by itself, and no run",
                do=names.nearest(word, [*recipe.sources, *family.names()]),
            )
    if teacher := getattr(value, "teacher", None):
        _check_teacher(str(teacher), known)


def _check_stored(value: Any, known: Known) -> None:
    """Refuse stored scores, a source or a teacher, that the workspace does not have."""
    if value.canonical_name == "stored" and not known(value.scores):
        raise UsageError(
            f"{value.scores!r} is nothing in the workspace",
            do="name scores that are there: `rankmill list scores` shows them",
        )


def _check_teacher(text: str, known: Known) -> None:
    from rankmill.mining.teachers import TEACHERS

    if not text.strip():
        raise UsageError("no teacher is named", do="write cross_encoder(model=PATH), say")
    parsed = names.parse(text) if not path_given(text).exists() else text
    if isinstance(parsed, names.Call):
        value = TEACHERS.parse(parsed)
        _check_stored(value, known)
        for member in getattr(value, "of", None) or ():
            _check_teacher(str(member), known)
    elif isinstance(parsed, str) and _is_name(parsed):
        TEACHERS.parse(parsed)  # says which parameter it needs


def _check_others(recipe: Recipe, known: Known) -> None:
    """Check the teachers that statistics compare the recipe's with: each another one."""
    seen = {recipe.teacher: "the recipe's own"}
    for label, text in recipe.other.items():
        with _at(recipe, f"statistics.other.{label}"):
            _check_teacher(text, known)
            if text in seen:
                raise UsageError(
                    f"this teacher is {seen[text]}: nobody disagrees with himself",
                    do="name another teacher, or leave it out",
                )
            seen[text] = f"{label!r} too"


def _is_name(text: str) -> bool:
    """Say whether a text is the bare name of a kind of model, and no folder of that name."""
    from rankmill.mining.teachers import TEACHERS

    return text in TEACHERS.names() and not path_given(text).exists()


def _check_groups(recipe: Recipe, labels: dict[str, str]) -> None:
    from rankmill.mining.selection import FILTERS, STRATEGIES

    columns = list(labels.values())
    for name, text in recipe.strategies.items():
        with _at(recipe, f"groups.samplers.{name}"):
            strategy = STRATEGIES.parse(with_labels(text, STRATEGIES, labels))
            if looks_at_vectors(strategy) and encoder_of(recipe) is None:
                raise UsageError(
                    f"{strategy.canonical_name} looks at vectors",
                    do="name an encoder: groups.encoder, or statistics.encoder",
                )
            if strategy.canonical_name != "blocked_cell":  # its design chooses for all cells
                strategy.bind(columns)
    for text in recipe.option("groups", "filters"):
        with _at(recipe, "groups.filters"):
            FILTERS.parse(with_labels(text, FILTERS, labels)).reads(columns)
    with _at(recipe, "groups.cut"):
        _check_cut(recipe, labels)
    with _at(recipe, "groups.encoder"):
        _check_encoder(recipe.option("groups", "encoder"))


def _check_cut(recipe: Recipe, labels: dict[str, str]) -> None:
    """Refuse a cut by a statistic that the recipe does not measure."""
    from rankmill.mining.derive import CUTS

    if recipe.cut is None:
        return
    measured = _measured(recipe, labels)
    for column in CUTS.parse(cut_with_labels(recipe.cut, labels)).reads():
        if column not in measured:
            raise UsageError(
                f"{column} is not measured",
                do=f"add it to statistics.statistics; {names.nearest(column, measured)}",
            )


def _measured(recipe: Recipe, labels: dict[str, str]) -> list[str]:
    """Return the columns of the recipe's statistics: those named, or all that any kind of score
    has by default."""
    from rankmill.mining.statistics import STATISTICS, default_statistics
    from rankmill.mining.statistics.disagreement import default_disagreement
    from rankmill.mining.teachers.contract import RANGES

    named = recipe.option("statistics", "statistics")
    if named is not None:
        return [str(STATISTICS.parse(with_labels(text, STATISTICS, labels))) for text in named]
    seen = recipe.option("statistics", "encoder") is not None
    kinds = [default_statistics(kind, vectors=seen, query_vectors=seen) for kind in RANGES]
    kinds += [default_disagreement(True)] if recipe.other else []
    return list(dict.fromkeys(text for texts in kinds for text in texts))


def _check_blends(recipe: Recipe, labels: dict[str, str], known: Known) -> None:
    """Check that blends are of samplers that draw different groups, or of the workspace's."""
    from rankmill.mining.selection import STRATEGIES

    for name in recipe.samplers:
        with _at(recipe, f"groups.samplers.{name}"):
            blend = recipe.blend(name)
            if blend is None:
                continue
            if not recipe.trains:
                raise UsageError(
                    "students are trained on a blend, and this recipe trains none",
                    do="add [train] with a student, or leave the blend out",
                )
            drawn: dict[str, str] = {}
            for part in blend.of:
                text = recipe.samplers.get(part)
                if text is None and not known(part):
                    raise UsageError(
                        f"{part!r} is no sampler of the recipe and no groups of the workspace",
                        do=names.nearest(part, list(recipe.strategies)),
                    )
                if text is not None and is_blend(text):
                    raise UsageError(
                        f"{part!r} is a blend itself",
                        do="name its samplers, with weights multiplied by its share",
                    )
                if text is not None:
                    strategy = str(STRATEGIES.parse(with_labels(text, STRATEGIES, labels)))
                    if other := drawn.get(strategy):
                        raise UsageError(
                            f"{other!r} and {part!r} draw the same groups",
                            do="name one of them, with a larger weight",
                        )
                    drawn[strategy] = part


def looks_at_vectors(strategy: Any) -> bool:
    """Say whether a strategy needs an encoder's vectors."""
    return "vectors" in strategy.needs


def encoder_of(recipe: Recipe) -> str | None:
    """Return the encoder whose vectors strategies look at: of the groups, or of statistics."""
    chosen: str | None = recipe.option("groups", "encoder")
    return chosen or recipe.option("statistics", "encoder")


def _check_encoder(text: str | None) -> None:
    from rankmill.mining.teachers import TEACHERS

    if text is not None and ("(" in text or _is_name(text)):
        value = TEACHERS.parse(text)
        if value.canonical_name != "bi_encoder":
            raise UsageError(
                f"{value.canonical_name} is no encoder", do="write bi_encoder(model=…)"
            )


def _check_statistics(recipe: Recipe, labels: dict[str, str]) -> None:
    from rankmill.mining.selection import FILTERS
    from rankmill.mining.statistics import STATISTICS

    encoder = recipe.option("statistics", "encoder")
    told = recipe.option("groups", "filters")
    filters = [str(FILTERS.parse(with_labels(text, FILTERS, labels))) for text in told]
    for text in recipe.option("statistics", "statistics") or ():
        with _at(recipe, "statistics.statistics"):
            value = STATISTICS.parse(with_labels(text, STATISTICS, labels))
            if value.needs & {"vectors", "query_vectors"} and encoder is None:
                raise UsageError(f"{value} needs vectors", do="name statistics.encoder")
            _refuse_other_scores(recipe, value)
            if hasattr(value, "reads"):
                value.reads(list(labels.values()))
            if value.canonical_name == "removed" and value.filter not in (None, *filters):
                raise UsageError(
                    f"{value.filter} is no filter of the recipe",
                    do=names.nearest(value.filter, filters),
                )
    with _at(recipe, "statistics.encoder"):
        _check_encoder(encoder)


def _refuse_other_scores(recipe: Recipe, statistic: Any) -> None:
    """Refuse what compares the teacher with somebody whom a recipe does not know."""
    from rankmill.mining.statistics.disagreement import check_other

    if "student" in statistic.needs:
        raise UsageError(
            f"{statistic} needs a student's scores, and a recipe measures its own teacher's",
            do="measure the groups when they are made: "
            f"rankmill diagnose --student S --groups {recipe.name}-SAMPLER-groups",
        )
    if "others" in statistic.needs and not recipe.other:
        raise UsageError(
            f"{statistic} needs another teacher's scores",
            do="name that teacher in [statistics.other]: minilm = 'cross_encoder(model=PATH)'",
        )
    check_other(statistic, frozenset(recipe.other))


def _check_packages(recipe: Recipe) -> None:
    """Refuse to run models where nothing is installed that does, before anything is mined."""
    from rankmill.mining.sources import SOURCES
    from rankmill.mining.teachers import TEACHERS

    values = {f"mine.sources.{n}": SOURCES.parse(recipe.source(n)) for n in recipe.sources}
    named = names.parse(recipe.teacher) if not path_given(recipe.teacher).exists() else None
    if isinstance(named, names.Call):
        values["teacher"] = TEACHERS.parse(named)
    running = {key for key, one in values.items() if hasattr(one, "model")}
    running -= {key for key, one in values.items() if hasattr(one, "url")}  # it runs elsewhere
    asked = {
        "train": recipe.trains,
        "teacher": not isinstance(named, names.Call),  # a model's folder or name
        "groups.encoder, or statistics.encoder": encoder_of(recipe) is not None,
    }
    for key in sorted(running | {key for key, runs in asked.items() if runs}):
        need(*MODELS, where=f"{recipe.where}: {key}")


def _check_training(recipe: Recipe) -> None:
    from rankmill.training.losses import LOSSES
    from rankmill.training.settings import Settings
    from rankmill.training.students import STUDENTS

    with _at(recipe, "train.student"):
        student = STUDENTS.parse(recipe.student)
        if recipe.retrieve and student.canonical_name == "cross_encoder":
            raise UsageError("a cross-encoder cannot search a corpus", do="drop evaluate.retrieve")
    for name, text in recipe.losses.items():
        with _at(recipe, f"train.losses.{name}"):
            LOSSES.parse(text).check_student(student.score_kind, None)
    if recipe.target is not None:
        from rankmill.mining.derive import TARGETS

        with _at(recipe, "train.target"):
            TARGETS.parse(recipe.target)
    with _at(recipe, "train"):
        known = set(Settings.__dataclass_fields__)
        Settings(**{k: v for k, v in recipe.options["train"].items() if k in known})
    for seed in recipe.seeds:
        with _at(recipe, "train.seeds"):
            Settings(seed=seed)


def _check_devices(recipe: Recipe) -> None:
    """Refuse a device that is not here, which the last stages would meet after hours."""
    from rankmill.mining.devices import Engine, check_engine

    for section, options in recipe.options.items():
        with _at(recipe, f"{section}.device"):
            check_engine(Engine(device=options.get("device", "auto")))


def _check_evaluation(recipe: Recipe, known: Known) -> None:
    from rankmill.mining.sources import SOURCES
    from rankmill.training.measures import parse_measures
    from rankmill.training.pair_risk import PairRisk

    with _at(recipe, "evaluate.measures"):
        if not recipe.option("evaluate", "measures").split():
            raise UsageError("evaluate.measures names no measure", do="write nDCG@10, say")
        first = parse_measures(recipe.measured)[0]
        if isinstance(first, PairRisk):
            raise UsageError(
                f"{first} cannot be the first measure: the best student is the one with the most",
                do="name another first, such as nDCG@10, and the risk after it",
            )
    for domain, of in recipe.domains.items():
        own = f"evaluate.domains.{domain}." if of.first_stage is not None else "evaluate."
        with _at(recipe, f"{own}first_stage"):
            _check_source(SOURCES, recipe.first_stage_of(domain), recipe, known)
    with _at(recipe, "evaluate.compute"):
        from rankmill.mining.models.precision import CHOICES

        chosen: Any = recipe.option("evaluate", "compute")
        if chosen not in CHOICES:
            raise BadInput(f"compute={chosen} is not one of {', '.join(CHOICES)}")
