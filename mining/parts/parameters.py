"""What is said of parameters that several parts have: each once, for all of them.

A parameter of one part alone says it in its own field, `H: Annotated[float, Option("…")]`.
"""

from __future__ import annotations

from ..options import Option

MODEL = Option("Model folder, package:NAME, or OWNER/NAME of the Hub.", example="PATH")
QUERY_MODEL = Option("An encoder of its own for queries; default: the same as for documents.")
MAX_LENGTH = Option("Most tokens read; default: what the model can read.", unit="tokens")
COMPUTE = Option("float32, bfloat16, float16, or auto: the faster of the first two on this device.")
DTYPE = Option("How vectors are stored: float16 or float32.")
POOLING = Option("mean, cls or last; default: what the model's files say.")
NORMALISE = Option("Make vectors unit vectors; default: what the model's files say.")
QUERY_PROMPT = Option('Put before every query; default: what the files declare; "": nothing.')
PROMPT = Option('Put before every document; default: what the files declare; "": nothing.')
PRESET = Option("A published style of both prompts and its pooling, such as e5 or bge.")
DIM = Option("Keep the first components of every vector (Matryoshka).", unit="components")
SPECIALS = Option(
    "Of special tokens in a text, such as [SEP]: tokens as they are, or read as text."
)
TEMPERATURE = Option("Temperature: scores are divided by it.")
SCORE_SCALE = Option("Scale on which scores are read: logprob, logit or raw (as stored).")
FIRST = Option("First rank of the window.", unit="rank")
LAST = Option("Last rank that is looked at; default: as deep as the list goes.", unit="rank")
SOURCE = Option("A source of the pool; default: the whole pool, or its only source.")
ONE_SOURCE = Option("A source of the pool.", example="bm25")
MEMBERS = Option("Runs by name, or sources.", example="[RUN,OTHER]")
SCORE_SCALING = Option("How each list is scaled first: min_max (default), z, or raw.")
MIN_GRADE = Option("Grade from which a document is positive.", unit="grade")
DIRECTION = Option("judged (default): refuse scores that run the wrong way; trusted: do not ask.")
UNSCORED = Option("Pairs without a score: error, drop_doc or drop_query.")
UNKNOWN_IDS = Option("Ids that the collection lacks: error or skip.")
SIGN = Option("-1 where lower scores are better, as distances are.")
PROMPT_TEXT = Option("What the model reads, with {query} and {document}; default: a plain one.")
SAYS_YES = Option("The word that means relevant, one token, or a list of its spellings.")
SAYS_NO = Option("The word that means not relevant, or a list of spellings; none: yes alone.")
FIRST_TURN = Option("The first turn of the chat.")
INSTRUCTION = Option("What is looked for, where the prompt has {instruction}.")
STORED = Option("Scores in the workspace, by name.", example="SCORES")
COVERED = Option("What should be covered: corpus, or a source of the pool.")
DRAWS = Option("Repeat the draw so often to estimate what has no closed form.", unit="draws")
OTHER = Option("Label of the other teacher; default: the mean over all pairs of teachers.")
LOCALITY = Option("The statistic of locality.")
ENTROPY = Option("The statistic of entropy.")
NEAR = Option("Level of locality, 0 is nearest.", unit="level", example="0")
SURE = Option("Level of entropy, 0 is lowest.", unit="level", example="0")
LEVELS = Option("Levels of each.", unit="levels")
OF_STATISTIC = Option("The statistic that is cut by.")
QUANTILE = Option("The quantile at which is cut.", unit="share of the groups")
FENCES = Option("How far the fences stand off, in interquartile ranges.")
LAYERS = Option("Keep the first layers only; default: all.", unit="layers")
SCRATCH = Option("Forget the weights and start from random ones.")
DROPOUT = Option("Train with the checkpoint's own dropout rates.")
FROZEN = Option("embeddings: do not train the embedding tables.")
