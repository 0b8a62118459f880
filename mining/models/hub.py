"""Models of the Hugging Face Hub: their files in its local cache, else a download.

A model is named `OWNER/NAME` or `OWNER/NAME@REVISION` (a branch, a tag or a commit). Only what is
read is fetched: settings, tokenizer, safetensors; never pickles, never code. The settings come
first, so that a checkpoint that cannot be run is refused before its weights are fetched.
"""

from __future__ import annotations

import contextlib
import difflib
import glob
import re
import shlex
import warnings
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from pathlib import Path

from ..errors import BadInput, RankmillError
from ..inputs.bounds.model_files import read_checked
from ..inputs.hub_place import (
    cache_folder,
    failures,
    is_offline,
    recorded_names,
    revisions_held,
)
from .checkpoint_files import (
    CONFIG,
    INDEX,
    MODULES,
    TOKENIZERS,
    WEIGHTS,
    lacking,
    needs_code,
    pickles_among,
    refuse_gguf,
    settings_among,
    weights_among,
)

_NAMED = re.compile(r"(?P<name>\w[\w.-]*/\w[\w.-]*)(?:@(?P<revision>\w[\w./-]*))?", re.ASCII)
_COMMIT = re.compile(r"[0-9a-f]{40}")
_SHORT = re.compile(r"[0-9a-f]{7,39}")
_HEADS = ("ForSequenceClassification", "ForCausalLM", "ForConditionalGeneration")
_INCLUDED = ("*.json", "*.safetensors", "*.txt", "*.model", "*.jinja")
_SHOWN = 5
_ANSWER_S = 30.0  # for the Hub to say what a repository holds
_PATTERNS = " ".join(f"--include '{one}'" for one in _INCLUDED)


@dataclass(frozen=True, slots=True)
class HubModel:
    """A model repository of the Hub, at a branch, tag or commit."""

    name: str
    revision: str = "main"

    def __str__(self) -> str:
        return self.name if self.revision == "main" else f"{self.name}@{self.revision}"

    @property
    def command(self) -> str:
        """The command that fetches what is read of it."""
        revision = "" if self.revision == "main" else f" --revision {shlex.quote(self.revision)}"
        return f"hf download {self.name}{revision} {_PATTERNS}"


def hub_model(text: str) -> HubModel | None:
    """Return the repository that a text names; None for one that can only be a path."""
    match = _NAMED.fullmatch(text)
    if match is None or ".." in text or "--" in match["name"]:
        return None
    return HubModel(match["name"], match["revision"] or "main")


def folder_of(model: HubModel) -> Path:
    """Return the folder of a model's files: in the cache, or fetched into it.

    A cache that holds the whole model is taken as it is, without a look at the network. Raises
    BadInput where the model cannot be had or must not be run, with what to do instead.
    """
    held = _snapshot(model)
    names = None if held is None else recorded_names(model.name, held.name, "model")
    missing = [] if held is None else lacking(held, names)
    whole = held is not None and not missing
    unknown = whole and held is not None and names is None and _modules_unknown(held)
    if held is not None and whole and not unknown:
        return held
    if not is_offline():
        try:
            return _downloaded(model)
        except Unreachable:
            if not whole:
                raise
    if held is None or missing:
        raise _not_here(model, held, missing)
    warnings.warn(
        f"the Hub's cache does not say whether {model} has {MODULES}, which says how an encoder "
        f"pools; without it vectors are means. Fetch the model whole: {model.command}",
        RuntimeWarning,
        stacklevel=3,
    )
    return held


def tell_namesake(text: str) -> None:
    """Warn where a folder is taken and the Hub's cache has a model of the same name."""
    model = hub_model(text)
    if model is not None and revisions_held(model.name, "model"):
        warnings.warn(
            f"{text!r} is a folder here, and a model in the Hub's cache: the folder is taken "
            f"(from another folder the same words mean the Hub's; ./{text} is always the folder)",
            RuntimeWarning,
            stacklevel=3,
        )


def nearest_models(text: str) -> str:
    """Return the models in the cache whose names are nearest to a text, for an error; "" for
    none."""
    held = cache_folder().glob("models--*--*")
    names = sorted(p.name.removeprefix("models--").replace("--", "/", 1) for p in held)
    asked = text.partition("@")[0].lower()
    short = {name.rpartition("/")[2].lower(): name for name in names}
    whole = {name.lower(): name for name in names}
    close = [whole[n] for n in difflib.get_close_matches(asked, whole, n=3, cutoff=0.7)]
    last = asked.rstrip("/").rpartition("/")[2]
    close += [short[n] for n in difflib.get_close_matches(last, short, n=3, cutoff=0.7)]
    return " or ".join(dict.fromkeys(close))


# ---- what the cache holds ----------------------------------------------------------------------


def _snapshot(model: HubModel) -> Path | None:
    """Return the folder of the revision in the cache, whole or not; None where there is none."""
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import EntryNotFoundError, HFValidationError

    try:
        folder = snapshot_download(
            model.name,
            revision=_full(model),
            cache_dir=cache_folder(),
            local_files_only=True,
            allow_patterns=[],  # the folder is asked for: which files are needed is known here
        )
    except (EntryNotFoundError, FileNotFoundError):
        return None
    except HFValidationError as error:
        raise BadInput(
            f"{model.name!r} can be no model of the Hub: {' '.join(str(error).split())}",
            do="give a folder, package:NAME, or OWNER/NAME as the Hub spells it",
        ) from error
    return Path(str(folder))


def _full(model: HubModel) -> str:
    """Return the commit of the cache that a short one begins; else the revision as it is."""
    held = [r for r in revisions_held(model.name, "model") if r.startswith(model.revision)]
    commits = {r for r in held if _COMMIT.fullmatch(r)}
    if _SHORT.fullmatch(model.revision) and len(commits) == 1:
        return commits.pop()
    return model.revision


def _modules_unknown(folder: Path) -> bool:
    """Say whether nothing tells if the repository has modules.json, which an encoder needs.

    Other programs fetch a part of a model, and note what they looked for in vain.
    """
    noted = folder.parent.parent / ".no_exist" / folder.name / MODULES
    if (folder / MODULES).is_file() or noted.is_file():
        return False
    heads = read_checked(folder / CONFIG).get("architectures") or ()
    return not any(str(head).endswith(_HEADS) for head in heads)


def _not_here(model: HubModel, held: Path | None, missing: Collection[str]) -> BadInput:
    """Return the error for a model that the cache has not got, or not whole, without a network."""
    off = "the network is off (HF_HUB_OFFLINE or TRANSFORMERS_OFFLINE)"
    there = f"on a machine with a network: {model.command}; then copy its cache here, or set "
    there += "HF_HOME or HF_HUB_CACHE to it"
    if held is None:
        known = revisions_held(model.name, "model")
        close = nearest_models(str(model)) if not known else ""
        beside = f"the cache holds its revisions {', '.join(known[:_SHOWN])}; " if known else ""
        beside += f"did you mean {close}? " if close and close != model.name else ""
        return BadInput(
            f"there is no folder {str(model)!r}, the Hub's cache has no such model at revision "
            f"{model.revision!r}, and {off}",
            where=cache_folder(),
            do=beside + there,
        )
    pickles = pickles_among([p.name for p in held.iterdir()])
    if pickles and any(name.endswith(".safetensors") for name in missing):
        return _only_pickles(model, pickles, held)
    return BadInput(
        f"the Hub's cache holds {model} in part: {_listed(missing)} of commit {held.name[:12]} "
        f"{'is' if len(missing) == 1 else 'are'} not there, and {off}",
        where=held,
        do=there,
    )


def _listed(names: Collection[str]) -> str:
    shown = ", ".join(list(names)[:_SHOWN])
    return shown + (f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else "")


# ---- downloads ---------------------------------------------------------------------------------


class Unreachable(RankmillError):
    """The Hub does not answer, or not now: what was asked for may be there all the same."""


def _downloaded(model: HubModel) -> Path:
    """Fetch what is read of a model into the cache; returns its folder there.

    What an earlier call has fetched, whole or in part, is not fetched again.
    """
    from huggingface_hub import HfApi, snapshot_download

    with _explained(model):
        revision = _full(model)
        info = HfApi().model_info(model.name, revision=revision, timeout=_ANSWER_S)
        names = [one.rfilename for one in info.siblings or ()]
        _check_names(model, names)

        def fetch(revision: str, files: Collection[str]) -> Path:
            patterns = [glob.escape(name) for name in files]
            place = cache_folder()
            return Path(
                snapshot_download(
                    model.name, revision=revision, cache_dir=place, allow_patterns=patterns
                )
            )

        folder = fetch(revision, settings_among(names))  # also notes what the revision is
        _check_code(model, folder)
        fetch(folder.name, weights_among(names, folder))
    missing = lacking(folder, names)
    if missing:
        raise Unreachable(
            f"{model} did not arrive whole: {_listed(missing)} are missing",
            where=folder,
            do="run the same command again; what is there is kept",
        )
    return folder


def _check_names(model: HubModel, names: Collection[str]) -> None:
    """Refuse, before anything is fetched, a repository without what is read."""
    page = f"https://huggingface.co/{model.name}"
    pickles = pickles_among(names)
    if WEIGHTS not in names and INDEX not in names and pickles:
        raise _only_pickles(model, pickles, page)
    if "adapter_config.json" in names and WEIGHTS not in names and INDEX not in names:
        raise BadInput(
            f"{model} is an adapter (adapter_config.json), no whole checkpoint",
            where=page,
            do="merge it into its base model with peft (merge_and_unload, save_pretrained) and "
            "give that folder",
        )
    if WEIGHTS not in names and INDEX not in names:
        refuse_gguf(sorted(name for name in names if name.endswith(".gguf")), page)
    wanted = ((CONFIG,), (WEIGHTS, INDEX), TOKENIZERS)
    missing = [" or ".join(some) for some in wanted if not set(some) & set(names)]
    if missing:
        raise BadInput(
            f"{model} has no {' and no '.join(missing)}",
            where=page,
            do="use a repository of a whole transformers checkpoint with its fast tokenizer, or "
            "make one: load it with transformers and save_pretrained() model and tokenizer",
        )


def _only_pickles(model: HubModel, pickles: list[str], where: str | Path) -> BadInput:
    return BadInput(
        f"the weights of {model} are pickles ({', '.join(pickles[:3])}), which can run code when "
        "loaded; there are no safetensors",
        where=where,
        do=f"look for a revision that has them (often {model.name}@refs/pr/N, see the page's "
        "discussions), or convert them on a machine you trust: from_pretrained(…), then "
        "save_pretrained(folder), and give the folder",
    )


def _check_code(model: HubModel, folder: Path) -> None:
    """Refuse a checkpoint that needs code of its own before its weights are fetched."""
    said = needs_code(folder)
    if said is not None:
        raise BadInput(
            f"{model} needs code of its own ({said[0]} in {said[1].name}), which rankmill never "
            "runs",
            where=said[1],
            do="use a checkpoint of an architecture that transformers itself ships, or import "
            "scores made elsewhere: rankmill import FILE --as scores",
        )


@contextlib.contextmanager
def _explained(model: HubModel) -> Iterator[None]:
    """Turn what the library raises into an error that says what to do."""
    try:
        yield
    except failures() as error:
        raise _failed(model, _of_the_hub(error)) from error
    except (ValueError, KeyError, TypeError) as error:  # JSON that is none, or of another service
        raise Unreachable(
            f"what answers for {model} does not speak as the Hub does: {_short(error)}",
            where=_endpoint(),
            do="check HF_ENDPOINT, and whether a proxy or a login page stands between",
        ) from error


def _of_the_hub(error: BaseException) -> BaseException:
    """Return what the Hub answered, of an error that says no more than that a file is missing."""
    chain: BaseException | None = error
    while chain is not None and not hasattr(chain, "response"):
        chain = chain.__cause__
    return chain or error


def _failed(model: HubModel, error: BaseException) -> RankmillError:
    from huggingface_hub import errors

    page = f"{_endpoint()}/{model.name}"
    status = getattr(getattr(error, "response", None), "status_code", None)
    if isinstance(error, errors.GatedRepoError):
        return BadInput(
            f"{model.name} is gated: its owners hand it out to accounts that asked ({status})",
            where=page,
            do="accept the terms on that page, then say who you are: hf auth login, or HF_TOKEN",
        )
    if isinstance(error, errors.RevisionNotFoundError):
        known = revisions_held(model.name, "model")
        held = f"; the cache holds {', '.join(known[:_SHOWN])}" if known else ""
        return BadInput(
            f"{model.name} has no revision {model.revision!r}",
            where=page,
            do=f"name a branch, a tag or a commit of it, or leave out @{model.revision}{held}",
        )
    if isinstance(error, errors.RepositoryNotFoundError):
        close = nearest_models(model.name)
        meant = f"did you mean {close}? " if close and close != model.name else ""
        return BadInput(
            f"there is no folder {str(model)!r}, and no model {model.name} on the Hub that may be "
            f"read ({status})",
            where=page,
            do=f"{meant}check the spelling; if the model is private, hf auth login, or HF_TOKEN",
        )
    if status in (401, 403):
        return BadInput(
            f"the Hub refuses {model.name} to this account ({status}): {_short(error)}",
            where=page,
            do="look at the page while logged in; then hf auth login, or HF_TOKEN, with a token "
            "that may read it",
        )
    return Unreachable(
        f"{model} cannot be fetched now: {_short(error)}",
        where=page,
        do=f"{_advice(status)}; what has arrived is kept. Without a network: {model.command} "
        "elsewhere, then copy its cache here, or set HF_HOME to it",
    )


def _advice(status: int | None) -> str:
    if status == 429:
        return (
            "the Hub limits how often it is asked: wait some minutes (accounts may ask more "
            "often: hf auth login) and run the same command again"
        )
    if status is not None and status >= 500:
        return "the Hub is out of order: run the same command again later"
    return "check network, proxy, HF_ENDPOINT and free space, and run the same command again"


def _short(error: BaseException) -> str:
    return f"{type(error).__name__}: {' '.join(str(error).split())}"[:240]


def _endpoint() -> str:
    from huggingface_hub import constants

    return constants.ENDPOINT
