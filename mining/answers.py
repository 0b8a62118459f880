"""What code of other people answers, looked at before it is used: shape, type, range.

A wrong answer is an error of the plug-in that names it, never an IndexError far from it.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

from .errors import PluginError

Answering = Callable[..., Any]


def checked(kind: str, method: Answering, title: str) -> Answering:
    """Return a method of a plug-in of a kind (statistic, filter, strategy), its answers checked."""
    check = _CHECKS.get(kind)
    if check is None or getattr(method, "answers_checked", False):
        return method

    @functools.wraps(method)
    def call(self: Any, *arguments: Any) -> Any:
        return check(title, method(self, *arguments), *arguments)

    call.answers_checked = True  # type: ignore[attr-defined]
    return call


def wrong(title: str, what: str, do: str) -> PluginError:
    """Return the error for an answer: `what` was given, what to give instead."""
    return PluginError(f"{title} gave {what}", do=f"{do} (this is code of a plug-in)")


def _column(title: str, answer: Any, rows: Any) -> Any:
    """A statistic: float64 and uint8 [rows]."""
    import numpy as np

    do = "return (values, status): two arrays with an item for every row"
    try:
        values, status = answer
        values = np.asarray(values, np.float64)
        status = np.asarray(status).astype(np.uint8, casting="unsafe")
    except (TypeError, ValueError) as error:
        raise wrong(title, f"{type(answer).__name__}, not two arrays of numbers", do) from error
    if values.shape != (len(rows),) or status.shape != values.shape:
        shapes = f"values of shape {values.shape} with status of shape {status.shape}"
        raise wrong(title, f"{shapes} for {len(rows)} rows", do)
    return values, status


def _mask(title: str, answer: Any, candidates: Any) -> Any:
    """A filter: bool [candidates]."""
    import numpy as np

    do = "return an array of true and false with an item for every candidate"
    kept = np.asarray(answer)
    if kept.shape != (len(candidates),) or kept.dtype != bool:
        what = f"{kept.dtype} of shape {kept.shape} for {len(candidates)} candidates"
        raise wrong(title, what, do)
    return kept


def _choice(title: str, answer: Any, candidates: Any, reach: Any, size: int, *_: Any) -> Any:
    """A strategy: int64 [size], different ones of the reachable."""
    import numpy as np

    do = f"return {size} different ones of the {len(reach)} reachable indices"
    chosen = np.asarray(answer)
    whole = chosen.ndim == 1 and (np.issubdtype(chosen.dtype, np.integer) or not len(chosen))
    if not whole or len(chosen) != size:
        raise wrong(title, f"{chosen.dtype} of shape {chosen.shape}", do)
    if len(np.unique(chosen)) < size or not np.isin(chosen, reach).all():
        raise wrong(title, "an index twice, or one that cannot be reached", do)
    return chosen


def _losses(title: str, answer: Any, f: Any, g: Any) -> Any:
    """A loss: a tensor [groups]."""
    shape = getattr(answer, "shape", None)
    if shape is None or tuple(shape) != (len(f),):
        given = type(answer).__name__ if shape is None else f"a tensor of shape {list(shape)}"
        what = f"{given} for {len(f)} groups"
        raise wrong(title, what, "return a tensor with the loss of every group")
    return answer


_CHECKS: dict[str, Callable[..., Any]] = {
    "statistic": _column,
    "filter": _mask,
    "strategy": _choice,
    "loss": _losses,
}
