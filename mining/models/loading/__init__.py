"""What is loaded from a model folder: its tokenizer, its weights; never code of its own."""

from .network import HEADS, embedded_by, load_model, quiet_transformers
from .tokenizer import load_tokenizer

__all__ = ["HEADS", "embedded_by", "load_model", "load_tokenizer", "quiet_transformers"]
