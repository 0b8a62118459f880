"""Special tokens that stand in a text as its own words: found, and spelled out where that is asked.

A tokenizer turns `[SEP]` or `<|im_end|>` in a document into the token that the model knows as the
end of a text or of a turn, and a document can so pretend to be two. That is what transformers does.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np

from ..actors import Execution
from ..errors import BadInput, UsageError
from ..store import Artifact

if TYPE_CHECKING:
    from tokenizers import Encoding, Tokenizer

TOKENS, TEXT = "tokens", "text"
SPECIALS = (TOKENS, TEXT)
STRINGS = (
    *("[CLS]", "[SEP]", "[PAD]", "[MASK]", "[UNK]"),  # BERT and its kin
    *("<s>", "</s>", "<pad>", "<mask>", "<unk>"),  # RoBERTa, XLM-R, T5, Llama 2, Mistral
    *("[INST]", "[/INST]", "<<SYS>>", "<</SYS>>"),
    *("<|endoftext|>", "<|im_start|>", "<|im_end|>"),  # GPT-2, ModernBERT, Qwen
    *("<|begin_of_text|>", "<|end_of_text|>", "<|eot_id|>"),  # Llama 3
    *("<|start_header_id|>", "<|end_header_id|>"),
    *("<bos>", "<eos>", "<start_of_turn>", "<end_of_turn>"),  # Gemma
    *("<|system|>", "<|user|>", "<|assistant|>", "<|end|>"),  # Phi, Zephyr
)
"""What special tokens are called by the models that serve as teachers: looked for in texts where no
tokenizer is at hand."""

HOLDING = "texts_with_specials"  # in the ledger of tokens
_ROUNDS = 16


def check_specials(specials: str) -> None:
    """Refuse a `specials=` that is not known; raises UsageError."""
    if specials not in SPECIALS:
        raise UsageError(f"specials={specials} is not known", do=f"one of {', '.join(SPECIALS)}")


class Specials:
    """The special tokens of a tokenizer, but for the unknown one, which any text may give.

    `specials`: how texts are read. `around`: what is put before and behind a text. Raises
    UsageError where that holds special tokens and texts are to hold none: they would become words
    too.
    """

    def __init__(
        self, tokenizer: Tokenizer, specials: str = TOKENS, around: tuple[str, str] = ("", "")
    ):
        added = tokenizer.get_added_tokens_decoder()
        known = {number for number, token in added.items() if token.special}
        self.ids, self.keep = frozenset(known - {_unknown(tokenizer)}), specials == TOKENS
        self._is_special = np.zeros(1 + max([0, *self.ids]), bool)
        self._is_special[list(self.ids)] = True
        self._meant = 0
        for part in around:
            meant = tokenizer.encode(part, add_special_tokens=False).ids
            self._meant += sum(number in self.ids for number in meant)
        if self._meant and not self.keep:
            raise UsageError(
                f"specials={TEXT} reads special tokens as words, and {' … '.join(around)!r}, which "
                "is put round every text, holds some",
                do=f"leave out specials={TEXT}, or take them out of the prompt",
            )

    def told(self, tokenizer: Tokenizer) -> Specials:
        """Have the tokenizer read texts that way from now on: with `text` it looks for none."""
        tokenizer.encode_special_tokens = not self.keep
        return self

    def holding(self, ids: np.ndarray, lengths: np.ndarray) -> list[int]:
        """Return which rows hold special tokens beyond those that are put round every text: `ids`
        of all rows one after the other, whole numbers, `lengths` int64 [rows]."""
        flags = self._is_special[np.minimum(ids, len(self._is_special) - 1)]
        flags &= ids < len(self._is_special)
        if not flags.any():
            return []
        total = np.concatenate([[0], np.cumsum(flags)])
        ends = np.cumsum(lengths)
        return np.flatnonzero(total[ends] - total[ends - lengths] > self._meant).tolist()

    def spelled_out(self, text: str, encode: Callable[[str], Encoding]) -> list[int]:
        """Return the ids of a text of which no word is a special token: a blank is put after the
        first character of each, `< /s>`, until the tokenizer finds none.

        Where words begin and end only the tokenizer knows: some find `</s>` among their pieces even
        when told to look for no special tokens, in full-width letters too.
        """
        for _ in range(_ROUNDS):
            made = encode(text)
            pairs = zip(made.ids, made.offsets, strict=True)
            spans = [span for number, span in pairs if number in self.ids]
            if not spans:
                return list(made.ids)
            for begin, end in reversed(spans):
                begin += end - begin - len(text[begin:end].lstrip())  # some take blanks before them
                rest = text[begin + 1 :] if end - begin > 1 else text[end:]
                text = (text[: begin + 1] if end - begin > 1 else text[:begin]) + " " + rest
        raise BadInput(
            f"a text holds special tokens that cannot be spelled out: {text[:80]!r}…",
            do=f"leave out specials={TEXT}, or take the text out of the collection",
        )


def _unknown(tokenizer: Tokenizer) -> int | None:
    """Return the id of what the vocabulary lacks; None where there is none."""
    model = tokenizer.model
    if hasattr(model, "unk_token"):
        return tokenizer.token_to_id(model.unk_token) if model.unk_token else None
    said = json.loads(tokenizer.to_str())["model"].get("unk_id")  # a Unigram model's, not said else
    return None if said is None else int(said)


def tell_specials(tokens: Artifact, executor: Execution) -> None:
    """Say how many texts hold special tokens that the model will read as its own."""
    held = int(tokens.cost().get("usage", {}).get(HOLDING, 0))
    if held and tokens.parameters.get("specials", TOKENS) == TOKENS:
        executor.progress.announce(
            f"warning: {held:,} of {tokens.rows:,} texts hold special tokens of this tokenizer, "
            f"which the model reads as its own; specials={TEXT} reads them as words"
        )
