"""The fast tokenizer of a model folder, as it is before anything is cut or padded."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from ...errors import BadInput

if TYPE_CHECKING:
    from tokenizers import Tokenizer


def load_tokenizer(path: Path) -> Tokenizer:
    """Load the fast tokenizer of a model folder; it neither truncates nor pads."""
    from tokenizers import Tokenizer

    try:
        if (path / "tokenizer.json").exists():
            tokenizer = Tokenizer.from_file(str(path / "tokenizer.json"))
        else:
            from transformers import AutoTokenizer

            fast = AutoTokenizer.from_pretrained(
                path, local_files_only=True, trust_remote_code=False
            )
            tokenizer = fast.backend_tokenizer
        for pair in (None, "b"):
            tokenizer.encode("a", pair)  # what is wrong with a vocabulary shows only here
    except BaseException as error:  # the library raises bare Exception; its panics are none
        if not isinstance(error, Exception) and type(error).__name__ != "PanicException":
            raise
        raise BadInput(
            f"the tokenizer cannot be loaded: {error}",
            where=path,
            do="save it again with save_pretrained()",
        ) from error
    tokenizer.no_truncation()
    tokenizer.no_padding()
    return tokenizer
