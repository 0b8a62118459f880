"""The first screen of a run: what was asked, the answer in three sentences, what it rests on."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from rankmill.mining.parts.told import counted
from rankmill.report import content
from rankmill.report.crossed import CostPicture, Interval, Spot
from rankmill.report.page.words import number, signed
from rankmill.study.costs.gains import Gain
from rankmill.study.outcome import Outcome
from rankmill.study.results import BM25, FIRST_STAGE, START, TEACHER
from rankmill.study.standings import Standing, references
from rankmill.study.words import duration
from rankmill.training.comparison import Comparison

NOTABLE = 0.05
_CHEAPER = 0.95  # a student is called cheaper from here on
_NAMES: Mapping[str, str] = {
    START: "the untrained student",
    FIRST_STAGE: "the first stage",
    BM25: "BM25",
    TEACHER: "the teacher",
}


def question(outcome: Outcome) -> str:
    """Return what a run asks; nothing where its title does."""
    if "?" in outcome.recipe.title:
        return ""
    if not outcome.results.students:
        return "What do the sources find, and what are the groups drawn from them like?"
    if len(outcome.results.students) == 1:
        return "Does distillation improve this student, and at what cost?"
    return "Which groups make the best student, and at what cost?"


def lead(outcome: Outcome) -> str:
    """Say in a line what was compared and what all of it took."""
    collection, recipe = outcome.results.collection, outcome.recipe
    sources = counted(len(recipe.sources), "source")
    asked = counted(len(collection.queries), "query", "queries")
    return (
        f"{counted(len(collection.corpus), 'document')}, {asked}; {sources} "
        f"mined to depth {recipe.option('mine', 'depth')} on the {recipe.option('mine', 'split')} "
        f"split; teacher {recipe.teacher}; groups of {recipe.option('groups', 'size')} documents. "
        f"Making all of it took {duration(outcome.seconds)}."
    )


def answer(outcome: Outcome, recall: Sequence[content.SourceRecall]) -> list[str]:
    """Return three sentences: who is best and by how much, over whom and for what, where else."""
    domains = outcome.standings.domains
    best = outcome.best(domains[0]) if domains else None
    if best is None:
        return list(_without_students(outcome, recall))
    return [_best(outcome, best), _others(outcome, best), _elsewhere(outcome, best)]


def _without_students(outcome: Outcome, recall: Sequence[content.SourceRecall]) -> Iterator[str]:
    if recall:
        best = max(recall, key=lambda one: float(one.recall[-1]))
        yield (
            f"“{best.source}” finds most: {float(best.recall[-1]):.0%} of the judged positives "
            f"among its first {counted(len(best.depth), 'candidate')}."
        )
    if outcome.results.groups:
        counts = [f"{one.rows:,} from “{name}”" for name, one in outcome.results.groups.items()]
        yield f"Groups were drawn: {', '.join(counts)}."
    yield "No student was trained, so nothing is said about ranking."


def _named(standing: Standing) -> str:
    return f"the student trained on {_called(standing.system.trained_as)} groups"


def _called(name: str) -> str:
    """Return a student's name for a sentence, in quotes where it holds a comma or a blank."""
    return f"“{name}”" if "," in name or " " in name else name


def _best(outcome: Outcome, best: Standing) -> str:
    several = len(outcome.results.students) > 1
    does = "ranks best, with" if several else "reaches"
    said = f"On {best.domain}, {_named(best)} {does} {outcome.measure} {number(best.mean.mean)}"
    told = [_against(one) for one in references(best)]
    return f"{said}, which is {_listed(_together(told))}." if told else f"{said}."


_ALIKE = "not significantly different from "


def _together(told: Sequence[str]) -> list[str]:
    """Return what is said of several systems; of those that are not told apart, once."""
    alike = [one.removeprefix(_ALIKE) for one in told if one.startswith(_ALIKE)]
    if len(alike) < 2:
        return list(told)
    others = [one for one in told if not one.startswith(_ALIKE)]
    return [*others, f"{_ALIKE}{_listed(alike)}"]


def _against(compared: Comparison) -> str:
    """Say how far a student is above or below another system; of its start with the interval."""
    d, name = compared.difference, _NAMES.get(compared.b, compared.b)
    interval = ""
    if compared.b == START and d.low is not None and d.high is not None:
        interval = f" (95 % interval {signed(d.low)} to {signed(d.high)})"
    if compared.p_adjusted >= NOTABLE:
        near = interval or f" ({signed(d.mean)})"
        return f"{_ALIKE}{name}{near}"
    return f"{number(abs(d.mean))} {'above' if d.mean > 0 else 'below'} {name}{interval}"


def _listed(parts: Sequence[str]) -> str:
    return parts[0] if len(parts) == 1 else f"{', '.join(parts[:-1])} and {parts[-1]}"


def _others(outcome: Outcome, best: Standing) -> str:
    cost = {gain.system.name: gain for gain in outcome.gains if gain.domain == best.domain}
    own, mine = cost.get(best.system.name), best.system.name
    spent = duration(own.spent.seconds) if own else ""
    alone = f"; making it from scratch takes {spent} of compute" if spent else ""
    pairs = [pair for pair in outcome.standings.pairs(best.domain) if mine in (pair.a, pair.b)]
    if not pairs:
        return f"There is no other student to compare it with{alone}."
    others = {(pair.b if pair.a == mine else pair.a): pair for pair in pairs}
    tied = [name for name, pair in others.items() if pair.p_adjusted >= NOTABLE]
    worse = [name for name in others if name not in tied]
    every = len(others) == len(outcome.results.students) - 1  # else those of its own loss
    if not tied:
        all_ = f"all {len(worse)} others" if every else f"the {len(worse)} others of its loss"
        named = all_ if len(worse) > 1 else f"the one from {_called(worse[0])}"
        return f"It is significantly better than {named}{alone}."
    if worse:
        better, equal = (_listed([*map(_called, names)]) for names in (worse, tied))
        said = f"It is significantly better than {better}, but not than {equal}"
    elif len(tied) == 1:
        said = f"The difference from {_called(tied[0])} is not significant"
    else:
        of = "other students" if every else "other students of its loss"
        said = f"None of the {len(tied)} {of} is significantly different from it"
    return f"{said}{_cheaper(own, [cost[name] for name in tied if name in cost])}."


def _cheaper(own: Gain | None, tied: Sequence[Gain]) -> str:
    """Say which of those that are not told apart is cheapest."""
    if own is None or not tied:
        return ""
    cheap, mine = min(tied, key=lambda gain: gain.spent.seconds), duration(own.spent.seconds)
    name = _called(cheap.system.trained_as)
    if cheap.spent.seconds > _CHEAPER * own.spent.seconds:
        which = f"{name} does not cost" if len(tied) == 1 else "none of these costs"
        return f", and {which} clearly less than its {mine} of compute"
    return f"; {name} costs less, {duration(cheap.spent.seconds)} of compute instead of {mine}"


def _elsewhere(outcome: Outcome, best: Standing) -> str:
    same = [
        s
        for s in outcome.standings.all
        if s.system == best.system and s.domain != best.domain and START in s.against
    ]
    if not same:
        return f"No other evaluation set was judged, so nothing is shown beyond {best.domain}."
    if len(same) == 1:
        (one,) = same
        told = _against(one.against[START])
        reaches = f"reaches {outcome.measure} {number(one.mean.mean)}"
        return f"On {one.domain}, the same student {reaches}, which is {told}."
    better = sum(_gains(one.against[START]) for one in same)
    return (
        f"The same student is significantly better than the untrained one on {better} of the "
        f"{len(same)} other evaluation sets."
    )


def _gains(compared: Comparison) -> bool:
    return compared.p_adjusted < NOTABLE and compared.difference.mean > 0


def caveats(outcome: Outcome) -> list[str]:
    """Say what the answer rests on."""
    domains, seeds = outcome.standings.domains, outcome.recipe.seeds
    if not domains or not outcome.results.students:
        return []
    judging = next(iter(outcome.standings.values(domains[0]).values())).shape[1]
    queries = counted(judging, "query", "queries")
    if len(seeds) == 1:
        said = [
            f"It rests on {queries} and one training seed: the intervals do not cover "
            "what training again with another seed would change."
        ]
    else:
        said = [f"It rests on {queries} and {len(seeds)} training seeds."]
    if len(outcome.results.students) > 1:
        said.append(
            f"The best student is chosen by the queries of {domains[0]} that also judge it, which "
            "flatters it."
        )
    said.append(
        "Costs are seconds of processor and accelerator, measured once on the machine that did the "
        "work."
    )
    return [*said, *outcome.left_out()]


def picture(outcome: Outcome) -> CostPicture | None:
    """Return gain against cost on the first domain; None where no student was compared."""
    domains = outcome.standings.domains
    shown = [gain for gain in outcome.gains if domains and gain.domain == domains[0]]
    if not shown:
        return None
    most = max(gain.spent.seconds for gain in shown)
    scale, unit = (1 / 3600, "hours") if most >= 7200 else (1 / 60, "minutes")
    scale, unit = (1.0, "seconds") if most < 120 else (scale, unit)
    spots = []
    for gain in shown:
        d = gain.gained.difference
        trained = outcome.results.students[gain.system]
        spots.append(
            Spot(
                gain.system.trained_as,
                scale * gain.spent.seconds,
                Interval(d.mean, d.low, d.high, d.reason),
                trained.sampler,
                trained.loss,
                gain.front,
            )
        )
    return CostPicture(
        f"Gain against cost, {domains[0]}",
        outcome.measure,
        _NAMES[START],
        "Compute",
        unit,
        "groups",
        "loss",
        spots,
        outcome.samplers,
        list(outcome.recipe.losses),
    )
