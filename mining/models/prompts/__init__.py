"""What is put before queries and documents: declared by a checkpoint, of a preset, or said."""

from .asked import Encoding, check_encoding, written_out
from .declared import (
    FILE,
    check_room,
    declared_prompt,
    declares_prompts,
    skipped_tokens,
    tell_borrowed,
    tell_unprompted,
)
from .presets import PRESETS

__all__ = [
    "FILE",
    "PRESETS",
    "Encoding",
    "check_encoding",
    "check_room",
    "declared_prompt",
    "declares_prompts",
    "skipped_tokens",
    "tell_borrowed",
    "tell_unprompted",
    "written_out",
]
