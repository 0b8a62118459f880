"""Kernels of exact search in 16-bit integers against int64 and against sorting everything."""

from __future__ import annotations

import numpy as np
import pytest

from rankmill.native.integer_tile import PANEL, ROWS, first_bit, multiply_tile, reaching
from rankmill.native.integers import LENGTH, Block, fill_panels, fill_rows, keep_whole
from rankmill.native.nearest import LEAST, last_floors
from rankmill.native.vectors import longest_row

NONE: dict[str, np.ndarray] = {
    "half": np.empty((0, 0), np.uint16),
    "single": np.empty((0, 0), np.float32),
}


def read_only(rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return rows as kernels get them."""
    half = rows.dtype == np.float16
    given = {**NONE, "half" if half else "single": rows.view(np.uint16) if half else rows}
    for array in given.values():
        array.flags.writeable = False
    return given["half"], given["single"]


def panels_of(rows: np.ndarray, scale: float) -> np.ndarray:
    """Fill panels that begin with rubbish."""
    pairs = -(-rows.shape[1] // 2)
    panels = np.full((-(-len(rows) // PANEL), pairs, PANEL, 2), 77, dtype=np.int16)
    fill_panels(
        *read_only(rows), np.float32(scale), np.full((PANEL, 2 * pairs), 9, np.int16), panels
    )
    return panels


def in_order(panels: np.ndarray) -> np.ndarray:
    """Return the vectors in panels as rows, int64."""
    return panels.transpose(0, 2, 1, 3).reshape(-1, 2 * panels.shape[1]).astype(np.int64)


def multiplied(queries: np.ndarray, panels: np.ndarray) -> np.ndarray:
    """Multiply all rows, a multiple of ROWS, with all panels by the kernel."""
    out = np.empty((len(panels), len(queries), PANEL), dtype=np.int32)
    run_tiles(queries, panels, out)
    return out.transpose(1, 0, 2).reshape(len(queries), -1).astype(np.int64)


def run_tiles(queries: np.ndarray, panels: np.ndarray, out: np.ndarray) -> None:
    """Let `keep_whole` multiply, which keeps nothing: the products stay in its scratch."""
    count, room = np.full(1, -1, np.int32), np.empty((1, PANEL + 1), np.int32)
    floor, bound, tally = np.full(1, LEAST, np.int32), np.zeros(1), np.empty(256, np.int32)
    allowed = np.ones(PANEL, np.uint8)
    for panel, product in zip(panels, out, strict=True):
        state = (bound, floor, count, room, room.copy(), tally)
        keep_whole(queries, Block(panel[None], PANEL, 0, allowed), 1, *state, product)


@pytest.mark.parametrize("width", [1, 2, 3, 31, 33, 384, 4096])
def test_products_are_exact_at_the_ends_of_the_range(width: int) -> None:
    """Pairs of the largest and smallest numbers and alternating signs, where others saturate."""
    rng = np.random.Generator(np.random.Philox(width))
    pairs = -(-width // 2)
    most = min(32767, int((2**31 - 1) ** 0.5 / width**0.5))
    queries = rng.integers(-most, most, (2 * ROWS, 2 * pairs), endpoint=True).astype(np.int16)
    docs = rng.integers(-most, most, (3 * PANEL, 2 * pairs), endpoint=True).astype(np.int16)
    signs = np.where(np.arange(2 * pairs) % 2, -1, 1)
    for rows in (queries, docs):
        rows[:4] = most * np.stack([np.abs(signs), -np.abs(signs), signs, -signs])
        rows[:, width:] = 0
    panels = np.ascontiguousarray(docs.reshape(3, PANEL, pairs, 2).transpose(0, 2, 1, 3))
    wanted = queries.astype(np.int64) @ docs.T.astype(np.int64)
    assert np.abs(wanted).max() > 2**30 or width == 1
    assert np.array_equal(multiplied(queries, panels), wanted)


def test_sums_of_pairs_need_all_32_bits() -> None:
    """The one pair that overflows: (−32768)² twice is 2^31, and wraps as documented."""
    queries = np.full((ROWS, 2), -32768, np.int16)
    panels = np.full((1, 1, PANEL, 2), -32768, np.int16)
    assert (multiplied(queries, panels) == -(2**31)).all()


@pytest.mark.parametrize("dtype", [np.float16, np.float32])
@pytest.mark.parametrize(("rows", "width"), [(1, 1), (PANEL, 7), (PANEL + 3, 384)])
def test_documents_are_rounded_and_laid_out(dtype: type, rows: int, width: int) -> None:
    rng = np.random.Generator(np.random.Philox([rows, width]))
    stored: np.ndarray = rng.normal(size=(rows, width)).astype(dtype)
    if rows > 1:
        stored[0] *= dtype(1e-6)  # subnormal in float16
        stored[-1, 0] = 0.0
    lengths = np.linalg.norm(stored.astype(np.float64), axis=1)
    longest = longest_row(*read_only(stored)) ** 0.5
    np.testing.assert_allclose(longest, lengths.max(), rtol=1e-12)
    scale = np.float32(LENGTH / longest)
    laid = in_order(panels_of(stored, float(scale)))
    wanted = np.zeros_like(laid)
    wanted[:rows, :width] = np.rint(stored.astype(np.float32) * scale)
    assert np.array_equal(laid, wanted)
    lost = stored.astype(np.float64) * float(scale) - laid[:rows, :width]
    assert np.abs(lost).max() < 0.51
    assert np.abs(laid).max() <= LENGTH + 1


def test_queries_are_rounded_and_their_loss_is_measured() -> None:
    rng = np.random.Generator(np.random.Philox(4))
    rows = (rng.normal(size=(9, 33)) * 10.0 ** rng.integers(-30, 30, (9, 1))).astype(np.float32)
    rows[3] = 0.0
    scale = LENGTH / np.maximum(np.linalg.norm(rows.astype(np.float64), axis=1), 1e-300)
    scale[3] = 1.0
    whole, norms = np.full((12, 34), 5, np.int16), np.empty((9, 2))
    fill_rows(rows, scale, whole, norms)
    scaled = rows.astype(np.float64) * scale[:, None]
    assert np.array_equal(whole[:9, :33], np.rint(scaled))
    assert not whole[9:].any()
    assert not whole[:, 33:].any()
    np.testing.assert_allclose(norms[:, 0], np.linalg.norm(np.rint(scaled), axis=1), rtol=1e-12)
    lost = np.linalg.norm(scaled - np.rint(scaled), axis=1)
    np.testing.assert_allclose(norms[:, 1], lost, rtol=1e-12)


@pytest.mark.parametrize("block", [1, 37, 1000])
@pytest.mark.parametrize("depth", [1, 20, 60])
def test_nothing_that_belongs_to_a_list_is_dropped(depth: int, block: int) -> None:
    """Scores are products off by less than the bound; crowds, and lists that only get better."""
    docs, queries, bound = 5003, 8, 20_000.0
    rng = np.random.Generator(np.random.Philox([depth, block]))
    rows = np.zeros((docs, 2 * queries), dtype=np.int16)  # query q reads the components 2q and 2q+1
    rows[:] = rng.normal(size=rows.shape) * 3000
    rows[:, 0] = np.sort(rows[:, 0])
    rows[:, 2] = np.sort(rows[:, 2])[::-1]
    rows[:, 4], rows[100:, 5] = 3, 70  # a crowd
    whole = np.zeros((2 * ROWS, 2 * queries), dtype=np.int16)
    for q in range(queries):
        whole[q, 2 * q : 2 * q + 2] = 2000, -1
    product = whole[:queries].astype(np.int64) @ rows.T.astype(np.int64)
    scores = product + rng.uniform(-bound, bound, product.shape)
    allowed = (rng.random(docs) < 0.9).astype(np.uint8)
    room = 2 * depth + 600
    floor, count = np.full(queries, LEAST, np.int32), np.zeros(queries, np.int32)
    value, doc = np.empty((queries, room), np.int32), np.empty((queries, room), np.int32)
    tally, scratch = np.empty(256, np.int32), np.empty((len(whole), PANEL), np.int32)
    bounds = np.full(queries, bound)
    state = (bounds, floor, count, value, doc)
    step = int(-(-block // PANEL) * PANEL)
    for at in range(0, docs, step):
        piece = rows[at : at + step].astype(np.float32)
        given = Block(panels_of(piece, 1.0), len(piece), at, allowed)
        keep_whole(whole, given, depth, *state, tally, scratch)
    last_floors(depth, *state, tally)
    assert (count < 0).tolist() == [q == 2 for q in range(queries)]
    for q in np.flatnonzero(count >= 0).tolist():
        masked = np.where(allowed == 1, scores[q], -np.inf)
        belongs = set(np.flatnonzero(masked >= np.sort(masked)[::-1][depth - 1]).tolist())
        kept = doc[q, : count[q]].tolist()
        assert belongs <= set(kept)
        assert len(kept) == len(set(kept)) < depth + 250
        assert allowed[kept].all()
        assert value[q, : count[q]].tolist() == product[q, kept].tolist()


def test_fewer_documents_than_asked_for_are_all_kept() -> None:
    whole = np.ones((ROWS, 2), dtype=np.int16)
    rows = np.arange(-15, 15, dtype=np.float32)[:, None]
    allowed = np.ones(30, dtype=np.uint8)
    allowed[7] = 0
    count, value = np.zeros(1, np.int32), np.empty((1, 300), np.int32)
    doc, floor = np.empty((1, 300), np.int32), np.full(1, LEAST, np.int32)
    state = (np.zeros(1), floor, count, value, doc, np.empty(256, np.int32))
    given = Block(panels_of(rows, 1.0), 30, 0, allowed)
    keep_whole(whole, given, 50, *state, np.empty((ROWS, PANEL), np.int32))
    assert doc[0, : count[0]].tolist() == sorted(set(range(30)) - {7})


def test_the_tile_and_the_marks_called_from_python_and_compiled() -> None:
    """With the JIT off the same names are plain functions; both forms are described by this."""
    import numba

    @numba.njit
    def call(queries, panel, out, floor, marks):  # type: ignore[no-untyped-def]
        multiply_tile(queries, 0, panel, out)
        for row in range(len(marks)):
            mask = reaching(out, row, floor)
            while mask != 0:
                marks[row, first_bit(mask)] = True
                mask &= mask - np.uint32(1)

    rng = np.random.Generator(np.random.Philox(6))
    queries = rng.integers(-99, 99, (ROWS, 8)).astype(np.int16)
    panel = rng.integers(-99, 99, (4, PANEL, 2)).astype(np.int16)
    out, marks = np.empty((ROWS, PANEL), np.int32), np.zeros((ROWS, PANEL), bool)
    floor = np.int32(0)
    call(queries, panel, out, floor, marks)
    wanted = queries.astype(np.int64) @ in_order(panel[None]).T
    assert np.array_equal(out, wanted)
    assert np.array_equal(marks, wanted >= 0)
