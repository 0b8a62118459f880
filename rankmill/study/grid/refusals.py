"""Refusing a study before the first byte of its data is read, and budgets before any training."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING

from rankmill.mining import names
from rankmill.mining.collection import shared_queries
from rankmill.mining.errors import UsageError
from rankmill.mining.statistics.summaries.power_law import FEWEST_RANKS
from rankmill.study.check import check_recipe
from rankmill.study.grid.declared import Race, for_choosing
from rankmill.study.grid.design import Study
from rankmill.study.grid.hypotheses import (
    OF_RANKS,
    OF_TRAINING,
    ZERO,
    Contrast,
    Hypothesis,
    members,
    statistic_of,
)
from rankmill.study.recipe import Recipe
from rankmill.training.measures import parse_measures
from rankmill.training.pair_risk import PairRisk

if TYPE_CHECKING:
    from rankmill.study.grid.steps import Track


def check_study(study: Study, known: Callable[[str], bool] = lambda name: False) -> None:
    """Raise UsageError for the first thing in a study that cannot work: in a variant's recipe, in
    the budget of documents, in the race."""
    for variant in study.variants:
        check_recipe(variant.recipe, known)
    missed = {}
    for cell in study.cells:
        most = most_seen(study.variants[cell.variant].recipe)
        wanted = study.budget.declared
        seen = {name: min(most[name], wanted[name]) for name in wanted}
        seen["documents"] = most["documents"]  # which every student sees exactly
        if lacking := study.budget.missed(seen):
            missed[cell.name] = lacking
    if missed:
        raise no_budget(missed, study.where)
    for one in study.hypotheses:
        _check_compared(one, study)
    if study.race is not None:
        for variant in study.variants:
            _check_race(study.race, variant.recipe)


def _check_compared(one: Hypothesis, study: Study) -> None:
    """Refuse a claim about what is no measure, no statistic of groups and no figure of training."""
    for contrast in (one.contrast, *one.instead.values()):
        _check_ranks(one, contrast, study)
        measured = contrast.of in ("", *study.measures, *OF_RANKS)
        if measured or (contrast.of in OF_TRAINING and contrast.against is None):
            continue
        if contrast.against is not None:
            raise UsageError(
                f"of={contrast.of!r} is nothing that {contrast.against} has",
                where=f"{study.where}: study.hypotheses.{one.name}",
                do=f"name a measure: {', '.join(study.measures)}",
            )
        try:
            needs = statistic_of(contrast.of).needs & {"vectors", "query_vectors"}
            if needs and study.variants[0].recipe.option("statistics", "encoder") is None:
                raise UsageError("it needs vectors, and there is no statistics.encoder")
        except UsageError as error:
            raise UsageError(
                f"of={contrast.of!r} is no measure of the study and no statistic that can be had: "
                f"{error.what}",
                where=f"{study.where}: study.hypotheses.{one.name}",
                do=f"name one of {', '.join((*study.measures, *OF_TRAINING, *OF_RANKS))}, or a "
                "statistic",
            ) from error
        if blends := _blends_in(contrast, study):
            raise UsageError(
                f"of={contrast.of!r} is a statistic of groups, and the blend {blends[0]!r} has "
                "none of its own",
                where=f"{study.where}: study.hypotheses.{one.name}",
                do="name the samplers that it blends, or a measure",
            )


def _check_ranks(one: Hypothesis, contrast: Contrast, study: Study) -> None:
    """Refuse zero, another system than students, and a baseline where they do not fit what is
    compared, and lists that are too short to have a shape."""
    where = f"{study.where}: study.hypotheses.{one.name}"
    of_ranks, zero = contrast.of in OF_RANKS, contrast.against == ZERO
    if of_ranks != zero and (zero or contrast.against is not None):
        raise UsageError(
            f"of={contrast.of!r} is compared with {contrast.against}",
            where=where,
            do=f'against = "{ZERO}" goes with of = "{OF_RANKS[0]}", which goes with it or with b',
        )
    if contrast.system is not None and not zero:
        raise UsageError(
            f"system={contrast.system!r} stands beside no students here",
            where=where,
            do=f'it goes with of = "{OF_RANKS[0]}" and against = "{ZERO}"',
        )
    depth = study.variants[0].recipe.option("evaluate", "depth")
    if of_ranks and depth < FEWEST_RANKS:
        raise UsageError(
            f"evaluate.depth={depth}: lists too short to tell a power law from other shapes",
            where=where,
            do=f"write evaluate.depth = {FEWEST_RANKS} or more",
        )


def _blends_in(contrast: Contrast, study: Study) -> list[str]:
    """Return the samplers of the cells on both sides that are blends."""
    levels = [{k: [v] for k, v in cell.levels.items()} for cell in study.cells]
    cells = [study.cells[place] for side in members(contrast, levels) for place in side]
    blend_of = {c.sampler: study.variants[c.variant].recipe.blend(c.sampler) for c in cells}
    return [sampler for sampler, blend in blend_of.items() if blend is not None]


def documents_of(recipe: Recipe) -> int:
    """Return the documents that a student sees: the budget of its training, in whole groups."""
    return most_seen(recipe)["documents"]


def most_seen(recipe: Recipe) -> dict[str, int]:
    """Return the most that a student can see of all that is counted (`declared.COUNTED`), whatever
    the data: its documents, each of another pair, one query a group, and one positive a group
    where groups hold no more."""
    from rankmill.training.budget import positions_of

    negatives = recipe.option("train", "negatives")
    size = recipe.option("groups", "size") if negatives is None else negatives + 1
    groups = positions_of(recipe.option("train", "documents"), size)
    single = recipe.option("groups", "positives") in ("first", "all") and not recipe.borrowed
    return {
        "documents": groups * size,
        "unique_pairs": groups * size,
        "positives": groups if single else groups * size,
        "queries": groups,
    }


def check_reachable(study: Study, bounds: Sequence[Mapping[str, int]]) -> None:
    """Raise UsageError for declared budgets that are larger than what the data hold: `bounds` of
    every variant, the most queries, positives and groups that its split gives, where they are
    known."""
    missed = {}
    for cell in study.cells:
        recipe = study.variants[cell.variant].recipe
        if recipe.borrowed:  # groups of the workspace may hold other queries
            continue
        most, declared = dict(bounds[cell.variant]), study.budget.declared
        if "groups" in most:  # of a blend each part has as many
            parts = len(recipe.parts(cell.sampler))
            most["unique_pairs"] = most["groups"] * recipe.option("groups", "size") * parts
        seen: dict[str, int] = {
            name: min(most[name], wanted) for name, wanted in declared.items() if name in most
        }
        if lacking := study.budget.missed(seen):
            missed[cell.name] = lacking
    if missed:
        raise no_budget(missed, study.where)


def no_budget(missed: Mapping[str, Sequence[str]], where: str) -> UsageError:
    """Return the error for cells that cannot meet the declared budgets."""
    shown = [f"{name} ({'; '.join(why)})" for name, why in list(missed.items())[:5]]
    more = f" and {len(missed) - 5} more" if len(missed) > 5 else ""
    return UsageError(
        f"{len(missed)} cells do not meet the declared budget: {', '.join(shown)}{more}",
        where=f"{where}: study.budget",
        do="change train.documents, groups or the budget, allow study.budget.tolerance, or leave "
        "these cells out (study.without); nothing was trained",
    )


def check_race_queries(race: Race | None, tracks: Sequence[Track]) -> None:
    """Raise UsageError where the queries of a race, whatever their split is called, are queries
    that students are trained on, or that a set for testing is judged by."""
    if race is None:
        return
    tests = [
        (f"of the evaluation set {domain!r}, which is for testing", track.judged_on(domain))
        for track in tracks
        for domain in track.recipe.domains
        if not for_choosing(track.recipe.domains[domain].split)
    ]
    for track in tracks:
        held, split = track.judged_on(race.domain)
        count = len(held.qrels(split).queries)
        others = [("on which students are trained", track.trained_on), *tests]
        for what, (other, name) in others:
            shared = shared_queries(held, split, other, name)
            if shared:
                raise UsageError(
                    f"a race on the split {split!r}: {shared:,} of its {count:,} queries are "
                    f"in the split {name!r}, {what}",
                    where=f"{track.recipe.where}: study.race",
                    do="race on queries of their own; nothing was mined or trained",
                )


def _check_race(race: Race, recipe: Recipe) -> None:
    where = f"{recipe.where}: study.race"
    if race.domain not in recipe.domains:
        raise UsageError(
            f"race.domain={race.domain!r} is no evaluation set",
            where=where,
            do=f"{names.nearest(race.domain, list(recipe.domains))}; the sets are those of "
            "evaluate.domains",
        )
    split = recipe.domains[race.domain].split
    if not for_choosing(split):
        raise UsageError(
            f"a race on the split {split!r}: test queries are never used to choose",
            where=where,
            do="add an evaluation set with a split for development (dev, validation) to "
            "evaluate.domains, and name that",
        )
    if recipe.in_domain(race.domain) and split == recipe.option("mine", "split"):
        raise UsageError(
            f"a race on the split {split!r}, on which the students are trained",
            where=where,
            do="name an evaluation set with a split of its own",
        )
    if race.measure is not None and race.measure not in recipe.measured:
        raise UsageError(
            f"race.measure={race.measure} is not measured",
            where=where,
            do=f"{names.nearest(race.measure, recipe.measured)}, or add it to evaluate.measures",
        )
    if race.measure is not None and isinstance(parse_measures(race.measure)[0], PairRisk):
        raise UsageError(
            f"race.measure={race.measure}: the best of a risk has the least",
            where=where,
            do="name a measure of which more is better",
        )
    if race.after >= len(recipe.seeds):
        raise UsageError(
            f"a race that stops cells after {race.after} seeds of {len(recipe.seeds)} stops none",
            where=where,
            do="name more train.seeds, a smaller study.race.after, or no race",
        )
