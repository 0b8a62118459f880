"""Products of 16-bit integers in a tile of registers: what exact search multiplies without AMX.

A step multiplies pairs of components, adds the two products and adds that to a 32-bit sum: one or
two instructions for all lanes of a vector (pmaddwd and paddd, or vpdpwssd), which is two or more
times the rate of float32. Written as plain LLVM operations, so every processor computes the same
integers; x86 has the instructions, and LLVM picks them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numba
import numpy as np
from numba.core import cgutils, types
from numba.core.codegen import get_host_cpu_features
from numba.extending import intrinsic

_ASKED = numba.config.CPU_FEATURES  # NUMBA_CPU_FEATURES, to stand for a lesser processor
_FEATURES = frozenset((get_host_cpu_features() if _ASKED is None else _ASKED).split(","))
IN_VECTORS = "+avx2" in _FEATURES  # elsewhere it is no faster than float32
_LANES, _VECTORS = 16 if "+avx512bw" in _FEATURES else 8, 2  # 32-bit sums in a vector
ROWS = 6  # of a tile: with two vectors each, 12 sums, 2 operands, a factor and a product: 16
PANEL = _LANES * _VECTORS  # columns of a tile

ir = cgutils.ir
_INTEGER, _SHORT, _PLACE = ir.IntType(32), ir.IntType(16), ir.IntType(64)
_SUMS = ir.VectorType(_INTEGER, _LANES)
_PAIRS = ir.VectorType(_SHORT, 2 * _LANES)
_PRODUCTS = ir.VectorType(_INTEGER, 2 * _LANES)


def _every_second(builder: Any, products: Any, first: int) -> Any:
    mask = ir.Constant(_SUMS, [_INTEGER(2 * lane + first) for lane in range(_LANES)])
    return builder.shuffle_vector(products, ir.Constant(_PRODUCTS, ir.Undefined), mask)


def _pair_sums(builder: Any, left: Any, right: Any) -> Any:
    """Products of two vectors of pairs, the two of a pair added: LLVM makes it one instruction."""
    wide = [builder.sext(side, _PRODUCTS) for side in (left, right)]
    products = builder.mul(*wide)
    return builder.add(_every_second(builder, products, 0), _every_second(builder, products, 1))


def _load(builder: Any, pointer: Any) -> Any:
    value = builder.load(pointer)
    value.align = 4
    return value


def _in_all_lanes(builder: Any, pair: Any) -> Any:
    unset = ir.Constant(_SUMS, ir.Undefined)
    one = builder.insert_element(unset, pair, _INTEGER(0))
    every = builder.shuffle_vector(one, unset, ir.Constant(_SUMS, [_INTEGER(0)] * _LANES))
    return builder.bitcast(every, _PAIRS)


def _lower_tile(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
    arrays = [
        context.make_array(signature.args[at])(context, builder, arguments[at]) for at in (0, 2, 3)
    ]
    queries, panel, out = (
        builder.bitcast(array.data, kind.as_pointer())
        for array, kind in zip(arrays, (_INTEGER, _PAIRS, _SUMS), strict=True)
    )
    pairs, row = cgutils.unpack_tuple(builder, arrays[1].shape)[0], arguments[1]
    starts = [builder.mul(builder.add(row, _PLACE(r)), pairs) for r in range(ROWS)]
    begin = builder.block
    loop, end = builder.append_basic_block("loop"), builder.append_basic_block("end")
    builder.branch(loop)

    builder.position_at_end(loop)
    step = builder.phi(_PLACE)
    step.add_incoming(_PLACE(0), begin)
    sums = [[builder.phi(_SUMS) for _ in range(_VECTORS)] for _ in range(ROWS)]
    at = builder.mul(step, _PLACE(_VECTORS))
    columns = [
        _load(builder, builder.gep(panel, [builder.add(at, _PLACE(v))])) for v in range(_VECTORS)
    ]
    for start, row_sums in zip(starts, sums, strict=True):
        pair = _load(builder, builder.gep(queries, [builder.add(start, step)]))
        factor = _in_all_lanes(builder, pair)
        for v, column in enumerate(columns):
            total = builder.add(row_sums[v], _pair_sums(builder, factor, column))
            row_sums[v].add_incoming(ir.Constant(_SUMS, None), begin)
            row_sums[v].add_incoming(total, loop)
            row_sums[v] = total
    following = builder.add(step, _PLACE(1))
    step.add_incoming(following, loop)
    builder.cbranch(builder.icmp_signed("<", following, pairs), loop, end)

    builder.position_at_end(end)
    for r, row_sums in enumerate(sums):
        first = builder.mul(builder.add(row, _PLACE(r)), _PLACE(_VECTORS))
        for v, total in enumerate(row_sums):
            stored = builder.store(total, builder.gep(out, [builder.add(first, _PLACE(v))]))
            stored.align = 4
    return context.get_dummy_value()


def _lower_reaching(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
    products = context.make_array(signature.args[0])(context, builder, arguments[0])
    sums = builder.bitcast(products.data, _SUMS.as_pointer())
    first = builder.mul(arguments[1], _PLACE(_VECTORS))
    floor = builder.bitcast(_in_all_lanes(builder, arguments[2]), _SUMS)
    mask = _INTEGER(0)
    for v in range(_VECTORS):
        row = _load(builder, builder.gep(sums, [builder.add(first, _PLACE(v))]))
        marks = builder.bitcast(builder.icmp_signed(">=", row, floor), ir.IntType(_LANES))
        upper = builder.shl(builder.zext(marks, _INTEGER), _INTEGER(v * _LANES))
        mask = builder.or_(mask, upper)
    return mask


def _lower_first_bit(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
    zeros = builder.cttz(arguments[0], cgutils.true_bit)
    return builder.zext(zeros, context.get_value_type(signature.return_type))


# Two forms, for the two ways to run: see `hardware`.
if TYPE_CHECKING or numba.config.DISABLE_JIT:

    def multiply_tile(queries: Any, row: int, panel: Any, out: Any) -> None:
        """Write the products of ROWS queries from `row` with the PANEL documents of a panel.

        `queries` int16 [at least row + ROWS, 2·pairs], `panel` int16 [pairs, PANEL, 2], `out` int32
        [rows of queries, PANEL], C-contiguous, at least one pair. Sums wrap beyond 32 bits.
        """
        left = queries[row : row + ROWS].reshape(ROWS, -1, 1, 2).astype(np.int64)
        out[row : row + ROWS] = (left * panel).sum(axis=(1, 3)).astype(np.int32)

    def reaching(products: Any, row: int, floor: Any) -> Any:
        """Return which of products int32 [n, PANEL] of a row reach the floor: bits of a uint32."""
        marks = products[row] >= floor
        return np.uint32(sum(1 << column for column in range(PANEL) if marks[column]))

    def first_bit(mask: Any) -> int:
        """Return the place of the lowest bit of a uint32 that is not 0."""
        return (int(mask) & -int(mask)).bit_length() - 1

else:

    @intrinsic
    def multiply_tile(typing: Any, queries: Any, row: Any, panel: Any, out: Any) -> Any:
        """Write the products of ROWS queries from `row` with the PANEL documents of a panel.

        `queries` int16 [at least row + ROWS, 2·pairs], `panel` int16 [pairs, PANEL, 2], `out` int32
        [rows of queries, PANEL], C-contiguous, at least one pair. Sums wrap beyond 32 bits.
        """
        return types.void(queries, types.intp, panel, out), _lower_tile

    @intrinsic
    def reaching(typing: Any, products: Any, row: Any, floor: Any) -> Any:
        """Return which of products int32 [n, PANEL] of a row reach the floor: bits of a uint32."""
        return types.uint32(products, types.intp, types.int32), _lower_reaching

    @intrinsic
    def first_bit(typing: Any, mask: Any) -> Any:
        """Return the place of the lowest bit of a uint32 that is not 0."""
        return types.intp(types.uint32), _lower_first_bit
