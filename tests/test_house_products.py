"""Products of matrices run in a declared order: BLAS cuts them by its threads, and where it cuts
its kernels add in another order. Each place that still calls it says why its results cannot follow.
"""

import ast

import pytest
from test_house_rules import MODULES, Module, dotted, sample

MAY_MULTIPLY = {
    "mining/models/passes/attention.py": "a forward pass: one thread alone computes a batch",
    "mining/search/bfloat16.py": "proposals: float64 sums in one order decide",
    "mining/search/torch_narrow.py": "proposals: float64 sums in one order decide",
    "mining/search/torch_product.py": "proposals: float64 sums in one order decide",
    "mining/statistics/neighbours.py": "proposals: distances are measured again",
    "native/pool_entropy.py": "tables of 10 × 10, made when the module is loaded",
    "training/partial.py": "whether statistics depend on each other, decided far above rounding",
    "training/networks.py": "training, whose number of threads is declared",
}
CALLS = {"dot", "vdot", "matmul", "inner", "tensordot", "einsum", "cov", "corrcoef", "polyfit"}
CALLS |= {"mm", "bmm", "addmm", "mv"}


def products(module: Module) -> list[str]:
    """Return where a module multiplies matrices by a library."""
    found = []
    for node in module.nodes:
        if isinstance(node, ast.BinOp | ast.AugAssign) and isinstance(node.op, ast.MatMult):
            found.append(f"{module.name}:{node.lineno}: @")
        elif isinstance(node, ast.Call):
            name = dotted(node.func)
            head, _, last = name.rpartition(".")
            if (head and last in CALLS) or ".linalg." in f".{name}":
                found.append(f"{module.name}:{node.lineno}: {name}")
    return found


def test_only_what_says_why_multiplies_by_a_library() -> None:
    found = {m.name: products(m) for m in MODULES if products(m)}
    elsewhere = [
        line for name, lines in found.items() if name not in MAY_MULTIPLY for line in lines
    ]
    assert "\n".join(elsewhere) == ""
    assert set(found) == set(MAY_MULTIPLY)  # a reason that nothing needs any more goes


@pytest.mark.parametrize(
    "text",
    ["y = a @ b", "y @= b", "np.dot(a, b)", "rows.dot(w)", "np.linalg.svd(a)", "np.cov(a, b)"],
)
def test_it_finds(text: str) -> None:
    assert len(products(sample("mining/x.py", text))) == 1


@pytest.mark.parametrize(
    "text", ["y = product(a, b)", "y = (a * b).sum()", "np.outer(a, b)", "text = dot(graph)"]
)
def test_it_lets_pass(text: str) -> None:
    assert products(sample("mining/x.py", text)) == []
