"""The house rules of CONTRIBUTING.md that a program can check, read from the syntax tree.

Each rule is a function from one module to the places where it is broken; the tests below say the
rule in words. An exception to a rule is written down here, with its reason, never in the code.
"""

from __future__ import annotations

import ast
import re
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TypeGuard

import pytest

ROOT = Path(__file__).resolve().parents[1]
ROOMS = ("native", "mining", "training", "rankmill")  # imports may only point to the left
MAX_FUNCTION_LINES = 60  # the house aims at 50; a signature and a docstring may need ten more
MAX_PARAMETERS = 12  # of a kernel, all by place: more belong into named tuples

KERNEL_IMPORTS = {"numpy", "numba", "math", "typing", "__future__"}
NOT_COMPILED = {"native/integer_tile.py": "plain form of what is written in LLVM's words"}
KNOWS_RAY = "mining/actors/"
KNOWS_OBJECT_STORES = "mining/store/objects/"
MAY_WRITE = (
    "mining/store/files/",
    "mining/actors/session.py",  # what a private cluster of Ray's needs: no data, none of it stays
)
KNOWN_WRITES = {
    ("mining/meter/memory.py", "open"): "/proc/self/clear_refs: the kernel starts its peak anew",
    ("rankmill/cli/streams.py", "os.open"): "/dev/null at the number of a closed stream",
    ("rankmill/cli/streams.py", "open"): "likewise: a standard stream",
}
MAY_ECHO = re.compile(r"rankmill/cli/(streams|runs/progress)\.py")
MAY_PRINT = re.compile(r"rankmill/(cli\w*\.py|cli/.*)")

CATCH_ALL = {"Exception", "BaseException"}
MAY_CATCH_ALL = {
    "mining/foreign.py": "whatever a plug-in raises becomes an error that names the plug-in",
    "mining/models/loading/network.py": "whatever transformers meets in files it does not know",
    "mining/models/loading/tokenizer.py": "tokenizers raises bare Exception for a wrong file",
    "mining/ahead.py": "a thread's error, of whatever kind, is raised where its item is due",
    "mining/store/objects/interruptible.py": "a thread's error is raised where it is waited for",
}
COUNTS_PROCESSORS = {"cpu_count", "process_cpu_count", "sched_getaffinity"}
SHIFTS_BY_32 = {
    "mining/pair_keys.py": "the one place",
    "mining/exports/ranking/lightning_ir.py": "a score's bits and a document, one key to sort by",
    "mining/text/near_copies.py": "2³² is a bound of draws",
    "native/words.py": "a slot of a hash table: hash and number of a form",
    "native/members.py": "keys of pairs in a kernel, which can import nothing of mining/",
    "native/bm25_order.py": "a score and a candidate, a document and a place: keys to sort by",
    "native/id_table.py": "a slot of a hash table: hash and row",
    "native/folded.py": "mixing of hashes",
    "native/blake2.py": "rotations of a hash",
    "native/philox.py": "the upper half of a product",
    "native/merge.py": "document and place within one list",
    "native/blocks.py": "a product scaled to a bound",
    "native/nearest.py": "a distance's bits and a document, one key to sort by",
    "native/gather.py": "mixing and scaling of hashes",
    "native/ranked.py": "a score's bits and a place in the list, one key to sort by",
    "native/shingles.py": "the upper half of a hash",
}
MAY_SAY_FOUND = {
    "rankmill/study/costs/teacher_pairs.py": "pairs that were there in earlier scores",
    "rankmill/study/grid/engine.py": "artifacts that were there before the study, not made by it",
    "mining/audit/explain.py": "where the sources found a document",
    "mining/runs/pool.py": "pairs that a source found, not positives that were added",
    "mining/search/bm25.py": "how many candidates the search found",
    "native/bm25.py": "likewise",
    "native/bm25_order.py": "likewise",
}

# Calls that change the disk. `os.open` and `open` are judged by their mode.
WRITING_OS = {
    "os.rename", "os.replace", "os.link", "os.symlink", "os.mkdir", "os.makedirs", "os.remove",
    "os.unlink", "os.rmdir", "os.truncate", "os.fsync", "os.open", "os.chmod",
}  # fmt: skip
WRITING_METHODS = {
    "write_text", "write_bytes", "mkdir", "touch", "unlink", "rmdir", "symlink_to", "hardlink_to",
    "chmod", "tofile",
}  # fmt: skip
WRITING_CALLS = {
    "np.save",
    "np.savez",
    "np.savetxt",
    "np.memmap",
    "pa.OSFile",
    "pa.RecordBatchFileWriter",
}  # noqa: E501
WRITING_PREFIXES = ("shutil.", "tempfile.")
READING_SHUTIL = {"shutil.which", "shutil.disk_usage", "shutil.get_terminal_size"}
SERIALIZERS = {"pickle", "cloudpickle", "dill", "joblib", "marshal", "shelve"}
GLOBAL_DRAWS = re.compile(
    r"(np|numpy)\.random\.(?!Generator$|Philox$|PCG64$|SeedSequence$|BitGenerator$)\w+"
    r"|torch\.(seed|rand|randn|randint|randperm)"
)


@dataclass(frozen=True)
class Module:
    """One source file of the four rooms."""

    path: Path

    @property
    def name(self) -> str:
        return self.path.relative_to(ROOT).as_posix()

    @property
    def room(self) -> str:
        return self.name.split("/")[0]

    @cached_property
    def text(self) -> str:
        return self.path.read_text(encoding="utf-8")

    @cached_property
    def nodes(self) -> list[ast.AST]:
        return list(ast.walk(ast.parse(self.text, self.name)))

    @cached_property
    def calls(self) -> list[tuple[str, ast.Call]]:
        """Every call with the dotted name that it is made by."""
        return [(dotted(node.func), node) for node in self.nodes if isinstance(node, ast.Call)]

    def imports(self) -> Iterator[tuple[int, tuple[str, ...]]]:
        """Yield line and absolute dotted path (rooms by their folder name) of every import."""
        package = self.path.relative_to(ROOT).parent.parts
        for node in self.nodes:
            if isinstance(node, ast.Import):
                for alias in node.names:
                    yield node.lineno, without_face(tuple(alias.name.split(".")))
            elif isinstance(node, ast.ImportFrom):
                base = package[: len(package) - node.level + 1] if node.level else ()
                module = (*base, *(node.module.split(".") if node.module else ()))
                for alias in node.names:
                    yield node.lineno, without_face((*module, alias.name))


def without_face(path: tuple[str, ...]) -> tuple[str, ...]:
    """`rankmill.mining.x` is the folder `mining`; everything else of `rankmill` is the top room."""
    return path[1:] if path[0] == "rankmill" and path[1:2] and path[1] in ROOMS[:-1] else path


def dotted(node: ast.AST) -> str:
    """Return `a.b.c` for a chain of names, with `?` for what is not a name."""
    if isinstance(node, ast.Attribute):
        return f"{dotted(node.value)}.{node.attr}"
    return node.id if isinstance(node, ast.Name) else "?"


def constant(node: ast.AST | None) -> object:
    """Return the value of a literal, else None."""
    return node.value if isinstance(node, ast.Constant) else None


MODULES = [Module(path) for room in ROOMS for path in sorted((ROOT / room).rglob("*.py"))]


def broken(rule: Callable[[Module], Iterator[tuple[int, str]]]) -> list[str]:
    """Collect where a rule is broken, as `file:line: why`."""
    return [f"{m.name}:{line}: {why}" for m in MODULES for line, why in rule(m)]


# ---- the way down ------------------------------------------------------------------------------


def imports_against_the_way_down(module: Module) -> Iterator[tuple[int, str]]:
    height = ROOMS.index(module.room)
    for line, path in module.imports():
        if path[0] in ROOMS and ROOMS.index(path[0]) > height:
            yield line, f"{module.room} imports {'.'.join(path)}"


def crowded_kernels(module: Module) -> Iterator[tuple[int, str]]:
    if module.room == "native":
        for node in module.nodes:
            if isinstance(node, ast.FunctionDef):
                count = len(node.args.posonlyargs) + len(node.args.args)
                if count > MAX_PARAMETERS:
                    yield node.lineno, f"{node.name} takes {count} arguments: name tuples of them"


def copied_slices(module: Module) -> Iterator[tuple[int, str]]:
    """numba compiles the text of an error message for them: two seconds more for the first one."""
    if module.room != "native" or module.name in NOT_COMPILED:
        return
    for node in module.nodes:
        if not isinstance(node, ast.Assign) or isinstance(node.value, ast.Constant | ast.UnaryOp):
            continue
        made = dotted(node.value.func) if isinstance(node.value, ast.Call) else ""
        if re.match(r"np\.(u?int|float)", made):  # a number
            continue
        for target in node.targets:
            inside = ast.walk(target.slice) if isinstance(target, ast.Subscript) else ()
            if any(isinstance(one, ast.Slice) for one in inside):
                yield node.lineno, "a slice is given an array: write the loop"


def kernel_imports(module: Module) -> Iterator[tuple[int, str]]:
    if module.room == "native":
        for line, path in module.imports():
            if path[0] not in KERNEL_IMPORTS | {"native"}:
                yield line, f"a kernel module imports {'.'.join(path)}"


def ray_imports(module: Module) -> Iterator[tuple[int, str]]:
    if not module.name.startswith(KNOWS_RAY):
        for line, path in module.imports():
            if path[0] == "ray":
                yield line, "imports ray"


def store_imports(module: Module) -> Iterator[tuple[int, str]]:
    if not module.name.startswith(KNOWS_OBJECT_STORES):
        for line, path in module.imports():
            if path[0] == "obstore":
                yield line, "imports obstore"


def plotting_imports(module: Module) -> Iterator[tuple[int, str]]:
    if not module.name.startswith("rankmill/report/"):
        for line, path in module.imports():
            if path[0] == "matplotlib":
                yield line, "imports matplotlib"


# ---- the disk ----------------------------------------------------------------------------------


def writes(module: Module) -> Iterator[tuple[int, str]]:
    if module.name.startswith(MAY_WRITE):
        return
    for name, call in module.calls:
        owner, _, method = name.rpartition(".")
        if owner == "files" or (module.name, name) in KNOWN_WRITES:
            continue  # the one folder that may
        if name in {"open", "io.open", "gzip.open", "bz2.open", "lzma.open"} or (
            method == "open" and is_path_open(call)
        ):
            place = 0 if method == "open" and "." in name and name.split(".")[0] not in {
                "io", "gzip", "bz2", "lzma"} else 1  # fmt: skip
            mode = call.args[place] if len(call.args) > place else None
            mode = mode or next((k.value for k in call.keywords if k.arg == "mode"), None)
            if mode is not None and set(str(constant(mode))) & set("wax+?N"):
                yield call.lineno, f"{name}(mode={constant(mode)!r})"
        elif (
            name in WRITING_OS | WRITING_CALLS
            or method in WRITING_METHODS
            or (name.startswith(WRITING_PREFIXES) and name not in READING_SHUTIL)
        ):
            yield call.lineno, f"{name}()"


def is_path_open(call: ast.Call) -> bool:
    """`path.open("w")`: the first argument or `mode` looks like a mode, not like a file name."""
    modes = [*call.args[:1], *(k.value for k in call.keywords if k.arg == "mode")]
    return any(re.fullmatch(r"[rwaxbt+]{1,3}", str(constant(mode))) for mode in modes)


# ---- code from data ----------------------------------------------------------------------------


def unsafe_loading(module: Module) -> Iterator[tuple[int, str]]:
    for line, path in module.imports():
        if path[0] in SERIALIZERS:
            yield line, f"imports {path[0]}"
    for name, call in module.calls:
        if name in {"eval", "exec", "__import__", "torch.load", "torch.save", "yaml.load"}:
            yield call.lineno, f"{name}()"
        for keyword in call.keywords:
            trusting = keyword.arg in {"trust_remote_code", "allow_pickle"}
            if trusting and constant(keyword.value) is not False:
                yield call.lineno, f"{keyword.arg} is not False"


def global_draws(module: Module) -> Iterator[tuple[int, str]]:
    for line, path in module.imports():
        if path[0] in {"random", "secrets"}:
            yield line, f"imports {path[0]}"
    for name, call in module.calls:
        seeded = any(k.arg == "generator" for k in call.keywords)
        if name == "hash" or (GLOBAL_DRAWS.fullmatch(name) and not seeded):
            yield call.lineno, f"{name}(): salted or global randomness"


def unchecked_parts(module: Module) -> Iterator[tuple[int, str]]:
    """Levels 0 and 1 compare no hash: what is made of such a part may be made of anything."""
    if module.name == "mining/store/artifact.py":
        return
    for name, call in module.calls:
        for keyword in call.keywords:
            if keyword.arg == "level" and constant(keyword.value) in (0, 1):
                yield call.lineno, f"{name}(level={constant(keyword.value)})"
    for node in module.nodes:
        if isinstance(node, ast.arguments):
            named = [*node.posonlyargs, *node.args]
            given = zip(named[len(named) - len(node.defaults) :], node.defaults, strict=True)
            for argument, default in [*given, *zip(node.kwonlyargs, node.kw_defaults, strict=True)]:
                if argument.arg == "level" and constant(default) in (0, 1):
                    yield argument.lineno, f"level is {constant(default)} by default"


# ---- talk and silence --------------------------------------------------------------------------


def prints(module: Module) -> Iterator[tuple[int, str]]:
    if not MAY_PRINT.fullmatch(module.name):
        for name, call in module.calls:
            if name in {"print", "input", "sys.stdout.write", "sys.stderr.write"}:
                yield call.lineno, f"{name}()"


def echoes(module: Module) -> Iterator[tuple[int, str]]:
    """Texts of others become harmless where they are printed, so there is one such place."""
    if module.name.startswith("rankmill/") and not MAY_ECHO.fullmatch(module.name):
        for name, call in module.calls:
            if name in {"typer.echo", "typer.secho", "Console", "click.echo"}:
                yield call.lineno, f"{name}()"


def swallowed(module: Module) -> Iterator[tuple[int, str]]:
    for node in module.nodes:
        if isinstance(node, ast.ExceptHandler):
            if node.type is None:
                yield node.lineno, "a bare except"
            elif all(isinstance(step, ast.Pass) for step in node.body):
                yield node.lineno, "an exception caught and dropped; contextlib.suppress names it"
            elif all(isinstance(step, ast.Continue) for step in node.body) and (
                dotted(node.type) in {"Exception", "BaseException"}
            ):
                yield node.lineno, "every exception ends a round of the loop in silence"


def broad_handlers(module: Module) -> Iterator[tuple[int, str]]:
    """What catches everything takes a bug or an interruption for what it expected."""
    if module.room not in {"mining", "training"} or module.name in MAY_CATCH_ALL:
        return
    for node in module.nodes:
        if isinstance(node, ast.ExceptHandler):
            kinds = node.type.elts if isinstance(node.type, ast.Tuple) else [node.type]
            named = {dotted(kind).rpartition(".")[2] for kind in kinds if kind is not None}
            again = any(isinstance(step, ast.Raise) and step.exc is None for step in node.body)
            if (not named or named & CATCH_ALL) and not again:
                yield node.lineno, f"except {', '.join(sorted(named)) or 'everything'}"
    for name, call in module.calls:
        if name.endswith("suppress") and {dotted(kind) for kind in call.args} & CATCH_ALL:
            yield call.lineno, "every exception suppressed"


def processors_elsewhere(module: Module) -> Iterator[tuple[int, str]]:
    if module.name != "mining/processors.py":
        for node in module.nodes:
            if isinstance(node, ast.Attribute) and node.attr in COUNTS_PROCESSORS:
                yield node.lineno, f"{node.attr}: mining/processors.py knows the quota too"


def pair_keys_elsewhere(module: Module) -> Iterator[tuple[int, str]]:
    """`query << 32 | doc` and its way back, written out; 32 may have a name."""
    if module.name in SHIFTS_BY_32:
        return
    named = {name for node in module.nodes for name, value in assigned(node) if is_32(value)}
    for node in module.nodes:
        if isinstance(node, ast.BinOp) and isinstance(node.op, ast.LShift | ast.RShift):
            if is_32(node.right) or dotted(node.right) in named:
                yield node.lineno, "pair keys are made and read by mining/pair_keys.py"


def is_32(node: ast.AST) -> bool:
    return constant(node.args[0] if is_uint64(node) else node) == 32


def assigned(node: ast.AST) -> Iterator[tuple[str, ast.AST]]:
    """Yield the names that a statement gives to values, one by one."""
    if isinstance(node, ast.Assign):
        for target in node.targets:
            if isinstance(target, ast.Tuple) and isinstance(node.value, ast.Tuple):
                for one, value in zip(target.elts, node.value.elts, strict=False):
                    yield dotted(one), value
            else:
                yield dotted(target), node.value


def is_uint64(node: ast.AST) -> TypeGuard[ast.Call]:
    return isinstance(node, ast.Call) and dotted(node.func) == "np.uint64" and bool(node.args)


def found_by_habit(module: Module) -> Iterator[tuple[int, str]]:
    """Variables, parameters and attributes called `found`: the word does not say what they hold."""
    if module.name in MAY_SAY_FOUND:
        return
    for node in module.nodes:
        if isinstance(node, ast.arg):
            name = node.arg
        elif isinstance(node, ast.Name | ast.Attribute) and isinstance(node.ctx, ast.Store):
            name = dotted(node).rpartition(".")[2]
        else:
            continue
        if name == "found":
            yield node.lineno, "found: call it by what it holds"


def parquet_elsewhere(module: Module) -> Iterator[tuple[int, str]]:
    """Parquet files opened with Arrow's default, which holds a streamed file in memory."""
    if module.name == "mining/inputs/parquet_rows.py" or not module.name.startswith("mining/"):
        return
    for node in module.nodes:
        if isinstance(node, ast.Call) and dotted(node.func).rpartition(".")[2] == "ParquetFile":
            yield node.lineno, "streams of Parquet are opened by mining/inputs/parquet_rows.py"


def wordless_errors(module: Module) -> Iterator[tuple[int, str]]:
    for node in module.nodes:
        if not isinstance(node, ast.Raise) or node.exc is None:
            continue
        raised = dotted(node.exc.func if isinstance(node.exc, ast.Call) else node.exc)
        is_class = raised.rpartition(".")[2][:1].isupper()
        wordless = not isinstance(node.exc, ast.Call) or not (node.exc.args or node.exc.keywords)
        if is_class and wordless and raised not in {"StopIteration", "KeyboardInterrupt"}:
            yield node.lineno, f"raise {raised} says nothing"


def unfinished(module: Module) -> Iterator[tuple[int, str]]:
    for line, text in enumerate(module.text.splitlines(), 1):
        if re.search(r"\b(TODO|FIXME|XXX|HACK)\b", text) or "NotImplementedError" in text:
            yield line, text.strip()[:80]


# ---- size --------------------------------------------------------------------------------------


def sizes(module: Module) -> Iterator[tuple[int, str]]:
    for node in module.nodes:
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            length = (node.end_lineno or node.lineno) - node.lineno + 1
            if length > MAX_FUNCTION_LINES:
                yield node.lineno, f"{node.name} has {length} lines"


RULES = {
    "imports point down: rankmill, training, mining, native": imports_against_the_way_down,
    "kernels import numpy, numba and math only": kernel_imports,
    "kernels take named tuples rather than many arguments": crowded_kernels,
    "kernels copy element by element: a slice takes seconds to compile": copied_slices,
    "only mining/actors knows Ray": ray_imports,
    "only mining/store/objects knows object stores": store_imports,
    "only rankmill/report knows matplotlib": plotting_imports,
    "only mining/store/files changes the disk": writes,
    "nothing that was read is run: no pickle, eval, remote code": unsafe_loading,
    "every draw is keyed: no global generator, no hash()": global_draws,
    "a part is used only after its hash was compared": unchecked_parts,
    "only the command line and progress print": prints,
    "commands print in one place": echoes,
    "no exception is dropped in silence": swallowed,
    "what catches every exception raises it again": broad_handlers,
    "only mining/processors.py counts processors": processors_elsewhere,
    "only mining/pair_keys.py makes keys of pairs": pair_keys_elsewhere,
    "streams of Parquet are opened in one place": parquet_elsewhere,
    "a variable says what it holds, not that it was found": found_by_habit,
    "every error raised says something": wordless_errors,
    "nothing is left for later in the code": unfinished,
    "functions stay short": sizes,
}


@pytest.mark.parametrize("rule", RULES.values(), ids=RULES.keys())
def test_rule(rule: Callable[[Module], Iterator[tuple[int, str]]]) -> None:
    assert "\n".join(broken(rule)) == ""


# ---- the rules themselves find what they are for -----------------------------------------------

SAMPLES = [
    (imports_against_the_way_down, "mining/x.py", "from ..training.losses import kl"),
    (imports_against_the_way_down, "native/x.py", "from rankmill.mining import pool"),
    (imports_against_the_way_down, "training/x.py", "import rankmill.cli"),
    (kernel_imports, "native/x.py", "import pyarrow as pa"),
    (crowded_kernels, "native/x.py", f"def f({', '.join(f'a{i}' for i in range(13))}):\n    g()"),
    (copied_slices, "native/x.py", "key[:n] = other[:n]"),
    (copied_slices, "native/x.py", "fact[t, :] = row"),
    (ray_imports, "mining/pool.py", "def f():\n    import ray"),
    (store_imports, "mining/store/files/arrow.py", "from obstore import store"),
    (plotting_imports, "rankmill/demo.py", "from matplotlib.figure import Figure"),
    (unchecked_parts, "mining/x.py", "artifact.tables(level=1)"),
    (unchecked_parts, "training/x.py", "def f(artifact, level=1):\n    return 1"),
    (writes, "mining/x.py", "open(path, 'wb')"),
    (writes, "mining/x.py", "gzip.open(path, mode='wt')"),
    (writes, "mining/x.py", "path.open('a')"),
    (writes, "mining/x.py", "open(path, mode)"),
    (writes, "mining/x.py", "os.replace(a, b)"),
    (writes, "mining/x.py", "folder.mkdir()"),
    (writes, "mining/x.py", "shutil.rmtree(folder)"),
    (unsafe_loading, "mining/x.py", "import pickle"),
    (unsafe_loading, "training/x.py", "torch.load(path)"),
    (unsafe_loading, "mining/x.py", "AutoModel.from_pretrained(p, trust_remote_code=True)"),
    (unsafe_loading, "mining/x.py", "eval(text)"),
    (global_draws, "mining/x.py", "np.random.default_rng(0)"),
    (global_draws, "mining/x.py", "hash(query_id)"),
    (global_draws, "training/x.py", "torch.randperm(9)"),
    (prints, "mining/x.py", "print('done')"),
    (echoes, "rankmill/cli/look.py", "typer.echo(text)"),
    (swallowed, "mining/x.py", "try:\n    f()\nexcept:\n    raise"),
    (swallowed, "mining/x.py", "try:\n    f()\nexcept OSError:\n    pass"),
    (swallowed, "mining/x.py", "for x in y:\n  try:\n    f()\n  except Exception:\n    continue"),
    (broad_handlers, "mining/x.py", "try:\n    f()\nexcept Exception as e:\n    raise X(1) from e"),
    (broad_handlers, "training/x.py", "try:\n    f()\nexcept (OSError, BaseException):\n    g()"),
    (broad_handlers, "mining/x.py", "with contextlib.suppress(Exception):\n    f()"),
    (processors_elsewhere, "bench/x.py", "threads = os.cpu_count() or 1"),
    (processors_elsewhere, "training/x.py", "threads = len(os.sched_getaffinity(0))"),
    (pair_keys_elsewhere, "training/x.py", "key = query[:, None] << np.uint64(32) | doc"),
    (pair_keys_elsewhere, "mining/x.py", "query = (keys >> 32).astype(np.uint32)"),
    (parquet_elsewhere, "mining/x.py", "with pq.ParquetFile(path) as file:\n    g(file)"),
    (pair_keys_elsewhere, "mining/x.py", "_HALF = np.uint64(32)\nkey = query << _HALF | doc"),
    (pair_keys_elsewhere, "training/x.py", "low, half = 3, 32\nquery = keys >> half"),
    (found_by_habit, "mining/x.py", "found = {}\nfound['a'] = len(found)"),
    (found_by_habit, "training/x.py", "def f(found: Interval):\n    return found.low"),
    (found_by_habit, "rankmill/x.py", "low = {a: found.low for a, found in rows.items()}"),
    (found_by_habit, "native/x.py", "class Lists(NamedTuple):\n    found: np.ndarray"),
    (found_by_habit, "mining/x.py", "self.found, self.queries = read(path)"),
    (wordless_errors, "mining/x.py", "raise ValueError"),
    (wordless_errors, "mining/x.py", "raise BadInput()"),
    (unfinished, "mining/x.py", "x = 1  # TO" + "DO later"),
    (sizes, "mining/x.py", "def f():\n" + "    x = 1\n" * 61),
]
ALLOWED = [
    (imports_against_the_way_down, "mining/sources/x.py", "from ...native.topk import merge"),
    (imports_against_the_way_down, "rankmill/x.py", "from rankmill.training import losses"),
    (copied_slices, "native/x.py", "a[:] = 0\nb[:] = -1\nkey[i:] = np.uint64(7)\nkey[i] = c[j]"),
    (copied_slices, "mining/x.py", "key[:n] = other[:n]"),
    (writes, "mining/x.py", "files.write_bytes(path, data)"),
    (writes, "mining/x.py", "open(path, 'rb')"),
    (writes, "mining/x.py", "open(path, encoding='utf-8')"),
    (writes, "mining/x.py", "workspace.open('run', 'abc')"),
    (unsafe_loading, "mining/x.py", "np.load(path, allow_pickle=False)"),
    (global_draws, "mining/draws.py", "np.random.Generator(np.random.Philox(key=key))"),
    (global_draws, "training/x.py", "random = generator(seed, 'x', 1)\nrandom.integers(2)"),
    (swallowed, "mining/x.py", "while True:\n  try:\n    f()\n  except Full:\n    continue"),
    (broad_handlers, "mining/x.py", "try:\n    f()\nexcept Exception:\n    g()\n    raise"),
    (broad_handlers, "rankmill/x.py", "try:\n    f()\nexcept Exception as e:\n    say(e)"),
    (pair_keys_elsewhere, "mining/x.py", "half = x >> np.uint64(17)"),
    (found_by_habit, "mining/search/bm25.py", "found = state.lists.found"),
    (found_by_habit, "mining/x.py", "count = lists.found.sum()\nassert f(found=count)"),
    (prints, "rankmill/cli.py", "print('done')"),
    (echoes, "rankmill/cli/streams.py", "typer.echo(text)"),
    (wordless_errors, "mining/x.py", "try:\n    f()\nexcept OSError as error:\n    raise"),
]


def sample(name: str, text: str) -> Module:
    """Return a module that exists only in memory."""
    module = Module(ROOT / name)
    module.__dict__["text"] = text
    return module


@pytest.mark.parametrize(("rule", "name", "text"), SAMPLES)
def test_rule_finds(rule: Callable, name: str, text: str) -> None:
    assert len(list(rule(sample(name, text)))) == 1


@pytest.mark.parametrize(("rule", "name", "text"), ALLOWED)
def test_rule_lets_pass(rule: Callable, name: str, text: str) -> None:
    assert list(rule(sample(name, text))) == []


def test_benches_say_what_a_variable_holds():
    """The word says as little in a script that measures as it does in a room."""
    benches = [Module(path) for path in sorted((ROOT / "bench").glob("*.py"))]
    places = [f"{m.name}:{line}" for m in benches for line, _ in found_by_habit(m)]
    assert places == []


def test_no_script_hides_a_module_of_the_standard_library():
    """A script's folder is first on its path: what it imports would get our file instead."""
    scripts = {path.stem for folder in ("bench", "tests") for path in (ROOT / folder).glob("*.py")}
    assert scripts & set(sys.stdlib_module_names) == set()
