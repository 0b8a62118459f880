"""What a part needs and what its work grows with, said once where the part is registered."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Costs:
    """What a part needs, in a few words, and what its work grows with; `gpu`: one is advisable."""

    needs: str
    grows: str
    gpu: bool = False


INDEX = Costs("CPU", "postings of each query's terms; the index once for a collection")
LISTS = Costs("CPU", "rows of the lists that are read")
DRAWN = Costs("CPU", "queries × depth")
FILE = Costs("CPU", "lines of the file")
CANDIDATES = Costs("CPU", "candidates of the pool")
TEXTS = Costs("CPU", "characters of the candidates' texts")
VECTORS = Costs("vectors of an encoder", "candidates of the pool, and encoding the corpus once")
SWAPS = Costs("CPU", "queries × swaps × group size")
GROUPS = Costs("CPU", "documents of the groups")
PAIRS = Costs("CPU", "pairs of documents in a group: groups × size²")
WRITTEN = Costs("CPU", "groups, and their texts where the format holds them")
ENCODER = Costs(
    "encoder, over the corpus",
    "tokens of the corpus, once per model; then queries × documents × dimensions",
    gpu=True,
)
ENCODED_PAIRS = Costs(
    "encoder, over the corpus",
    "tokens of the corpus, once per model; pairs are products",
    gpu=True,
)
FORWARD = Costs("model, over pairs", "tokens of all pairs: queries × depth × length", gpu=True)
LARGE = Costs(
    "large model, over pairs", "tokens of all pairs, times the size of the model", gpu=True
)
SERVER = Costs("server, over HTTP", "requests: one for a pair, or for some documents of a query")
WINDOWS = Costs("server, over HTTP", "requests: list length / stride for each query and pass")
MEMBERS = Costs("what its members need", "what its members cost; the mean itself is cheap")
TEACHER = Costs("what its teacher needs", "pairs that the teacher scores", gpu=True)
STEP = Costs("training", "documents of a step")
STEP_PAIRS = Costs("training", "pairs of documents in a group: size²")
TRAINED_PAIRS = Costs(
    "training", "tokens of all pairs that are seen, about three forward passes", gpu=True
)
TRAINED = Costs(
    "training", "tokens of all texts that are seen, about three forward passes", gpu=True
)
