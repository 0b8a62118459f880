"""Heads made of modules, as sentence-transformers saves them: pooling, dense, norm, dense.

`modules.json` lists them in order, each with a folder for its settings and weights. Ettin rerankers
are such models: an encoder without a head of its own, and a head in four modules behind it. Each
module reads rows by one name and puts its own by one, most read what the pooling gave; what is
called `scores` in the end is what the head says, whatever stands behind.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ...errors import BadInput
from ..folder import ModelFolder
from ..pooling import pooling_of

Step = Callable[[Any], Any]
_ACTIVATIONS = "torch.nn.modules.activation"
_RUN = frozenset({"Dense", "Dropout", "LayerNorm", "Normalize"})
_ELSEWHERE = "score it elsewhere and import that: rankmill import FILE --as scores --kind logit"
_IN = "sentence_embedding"  # what the pooling's rows are called
_OUT = "scores"  # what those are called that the head says


@dataclass(frozen=True, slots=True)
class Module:
    """One module of a head: its type, its folder and what its config.json says."""

    kind: str
    folder: Path
    settings: Mapping[str, Any]

    @property
    def inlet(self) -> str:
        """What the rows are called that it reads."""
        return str(self.settings.get("module_input_name") or _IN)

    @property
    def outlet(self) -> str:
        """What it calls its own rows; those that it read are gone where that is the same name."""
        return str(self.settings.get("module_output_name") or self.inlet)


@dataclass(frozen=True, slots=True)
class ModularHead:
    """What stands behind the trunk: the pooling, and the modules that the scores come from."""

    model: ModelFolder
    pooling: str
    modules: tuple[Module, ...]

    @property
    def labels(self) -> int:
        """How many numbers the head says of a pair."""
        last = next(one for one in reversed(self.modules) if one.outlet == _OUT)
        return _size(last.settings, "out_features", last.folder)

    def load(self, device: Any) -> Step:
        """Return the modules as one function of rows [n, width] in float32; raises BadInput for
        what is missing, and for modules that do not fit each other."""
        import torch

        steps = [(_step(one, device), one.inlet, one.outlet) for one in self.modules]

        def said(rows: Any) -> Any:
            known = {_IN: rows}
            for step, inlet, outlet in steps:
                known[outlet] = step(known[inlet])
            return known[_OUT]

        try:
            said(torch.zeros(1, _width(self.model), device=device))
        except RuntimeError as error:
            raise _refused(self.model, f"its modules do not fit: {_last_line(error)}") from error
        return said


def head_of(model: ModelFolder) -> ModularHead | None:
    """Return the head that modules.json describes; None where none of its modules says a score.

    Raises BadInput for a module, pooling or activation that cannot be run as it was trained.
    """
    said = model.settings("modules.json") or []
    named = [(str(m["type"]).rpartition(".")[2], str(m["path"])) for m in said]
    modules = [
        Module(kind, model.path / path, model.settings(f"{path}/config.json"))
        for kind, path in named[1:]
    ]
    if not any(one.kind == "Dense" and one.outlet == _OUT for one in modules):
        return None
    for _, path in named[1:]:
        if Path(path).name != path:
            raise _refused(model, f"it names a folder {path!r}")
    kinds = [kind for kind, _ in named]
    if kinds[:2] != ["Transformer", "Pooling"]:
        raise _refused(model, f"its modules begin with {', '.join(kinds[:2])}")
    pooling, *behind = modules
    known = {_IN}
    for one in behind:
        if one.kind not in _RUN:
            raise _refused(model, f"it has a module {one.kind!r}")
        if one.inlet not in known:
            raise _refused(model, f"{one.folder.name} reads {one.inlet!r}")
        if one.outlet == _OUT and one.kind != "Dense":
            raise _refused(model, f"its scores are what {one.folder.name} makes of others")
        known.add(one.outlet)
    run = tuple(one for one in behind if one.kind != "Dropout")  # it does nothing but in training
    return ModularHead(model, pooling_of(pooling.settings, model), run)


def _width(model: ModelFolder) -> int:
    """Return how many components the rows of the trunk have."""
    said = (model.text_config.get(key) for key in ("hidden_size", "dim", "d_model", "n_embd"))
    return int(next(n for n in said if n))


def _last_line(error: Exception) -> str:
    return str(error).splitlines()[-1].strip()


def _refused(model: ModelFolder, why: str) -> BadInput:
    return BadInput(
        f"the classification head cannot be run: {why}",
        where=model.path / "modules.json",
        do=f"use a head of Transformer, Pooling, Dense, LayerNorm, Normalize, or {_ELSEWHERE}",
    )


def _step(module: Module, device: Any) -> Step:
    import torch

    folder, settings = module.folder, module.settings
    if module.kind == "Normalize":
        return lambda rows: torch.nn.functional.normalize(rows, dim=-1)
    weights = _weights(folder)
    if module.kind == "LayerNorm":
        norm = torch.nn.LayerNorm(_size(settings, "dimension", folder))
        return _filled(norm, weights, "norm.", folder).to(device)
    wide, narrow = (_size(settings, name, folder) for name in ("in_features", "out_features"))
    linear = torch.nn.Linear(wide, narrow, bias=bool(settings.get("bias", True)))
    linear = _filled(linear, weights, "linear.", folder).to(device)
    act = _activation(str(settings.get("activation_function", "torch.nn.Tanh")), folder)
    act = _filled(act, weights, "activation_function.", folder).to(device)  # those of PReLU
    if not settings.get("use_residual"):
        return lambda rows: act(linear(rows))
    residual: Any = torch.nn.Identity()
    if wide != narrow:
        beside = torch.nn.Linear(wide, narrow, bias=False)
        residual = _filled(beside, weights, "residual.", folder).to(device)
    return lambda rows: act(linear(rows)) + residual(rows)


def _size(settings: Mapping[str, Any], name: str, folder: Path) -> int:
    if settings.get(name) is None:
        raise BadInput(
            f"the settings of a module of the head do not say {name}",
            where=folder / "config.json",
            do="copy the checkpoint again, with the folders that modules.json names",
        )
    return int(settings[name])


def _activation(name: str, folder: Path) -> Any:
    """Return an activation of torch's own by its name, as it is outside of training; raises
    BadInput for any other."""
    import inspect

    import torch

    kind: Any = getattr(torch.nn, name.rpartition(".")[2], None)
    own = getattr(kind, "__module__", "") == _ACTIVATIONS
    wanted = inspect.signature(kind).parameters.values() if own else ()
    anything = (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)  # nothing: Tanh
    settled = own and all(one.default is not one.empty or one.kind in anything for one in wanted)
    if not name.startswith("torch.nn.") or not (settled or kind is torch.nn.Identity):
        raise BadInput(
            f"the activation {name!r} is not one of torch's that need no settings",
            where=folder / "config.json",
            do=_ELSEWHERE,
        )
    return kind().eval()


def _weights(folder: Path) -> Mapping[str, Any]:
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    path = folder / "model.safetensors"
    try:
        return dict(load_file(path))
    except (OSError, SafetensorError) as error:
        raise BadInput(
            f"the weights of a module of the head cannot be read: {error}",
            where=path,
            do="copy the checkpoint again, with the folders that modules.json names",
        ) from error


def _filled(layer: Any, weights: Mapping[str, Any], prefix: str, folder: Path) -> Any:
    """Return a layer with its weights, in float32."""
    own = {k.removeprefix(prefix): v for k, v in weights.items() if k.startswith(prefix)}
    try:
        layer.load_state_dict(own)
    except RuntimeError as error:
        raise BadInput(
            f"a module of the head does not fit its settings: {_last_line(error)}",
            where=folder,
            do="copy the checkpoint again",
        ) from error
    return layer.float().requires_grad_(False)
