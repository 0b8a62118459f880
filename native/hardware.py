"""Instructions that NumPy code cannot name: fused multiply-add, half floats, prefetching, the upper
half of a product.

Each is one LLVM operation, so loops over them still become vector code. With the JIT off they run
as the plain Python that stands beside them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numba
import numpy as np
from numba.core import cgutils, types
from numba.extending import intrinsic

_TO_SECOND_LEVEL = 2  # LLVM's locality of a prefetch: 3 = first-level cache, 0 = none

# Typing is by plain names because numba reads signatures at run time.
_Lowered = Any


def _lower_fma(context: Any, builder: Any, signature: Any, arguments: Any) -> _Lowered:
    return builder.fma(*arguments)


def _lower_larger(context: Any, builder: Any, signature: Any, arguments: Any) -> _Lowered:
    kind = context.get_value_type(signature.return_type)
    shape = cgutils.ir.FunctionType(kind, [kind, kind])
    maximum = builder.module.declare_intrinsic("llvm.maxnum", [kind], shape)
    return builder.call(maximum, arguments, fastmath=("nnan", "nsz"))


def _lower_half(context: Any, builder: Any, signature: Any, arguments: Any) -> _Lowered:
    half = builder.bitcast(arguments[0], cgutils.ir.HalfType())
    return builder.fpext(half, context.get_value_type(signature.return_type))


def _lower_upper_half(context: Any, builder: Any, signature: Any, arguments: Any) -> _Lowered:
    wide = cgutils.ir.IntType(128)
    product = builder.mul(*(builder.zext(one, wide) for one in arguments))
    upper = builder.lshr(product, cgutils.ir.Constant(wide, 64))
    return builder.trunc(upper, context.get_value_type(signature.return_type))


def _lower_prefetch(context: Any, builder: Any, signature: Any, arguments: Any) -> _Lowered:
    kind = signature.args[0]
    array = context.make_array(kind)(context, builder, arguments[0])
    place = cgutils.get_item_pointer(context, builder, kind, array, list(arguments[1:]))
    byte, number = cgutils.voidptr_t, cgutils.int32_t
    shape = cgutils.ir.FunctionType(cgutils.ir.VoidType(), [byte, number, number, number])
    instruction = builder.module.declare_intrinsic("llvm.prefetch", [byte], shape)
    what = [number(0), number(_TO_SECOND_LEVEL), number(1)]  # to be read; data, no instructions
    builder.call(instruction, [builder.bitcast(place, byte), *what])
    return context.get_dummy_value()


# Each name has two forms, for the two ways to run.
if TYPE_CHECKING or numba.config.DISABLE_JIT:

    def fma(a: Any, b: Any, c: Any) -> Any:
        """Return float32 a·b + c; in float64 the product of two float32 is exact."""
        return np.float32(np.float64(a) * np.float64(b) + np.float64(c))

    def larger(a: Any, b: Any) -> Any:
        """Return the larger of two float32."""
        return a if a > b else b

    def half_to_single(bits: Any) -> Any:
        """Return the float32 of a float16 given by its bits."""
        return np.float32(np.uint16(bits).view(np.float16))

    def upper_half(a: Any, b: Any) -> Any:
        """Return the upper 64 bits of the product of two uint64."""
        return np.uint64(int(a) * int(b) >> 64)

    def prefetch(array: Any, row: int, column: int) -> None:
        """Do nothing: only a hint is lost."""

else:

    @intrinsic
    def fma(typing: Any, a: Any, b: Any, c: Any) -> Any:
        """Return float32 a·b + c with one rounding."""
        return types.float32(types.float32, types.float32, types.float32), _lower_fma

    @intrinsic
    def larger(typing: Any, a: Any, b: Any) -> Any:
        """Return the larger of two float32; undefined for NaN, so that maxima become vector code.

        Numba's own conditional expression loses the flags that LLVM wants to see for that.
        """
        return types.float32(types.float32, types.float32), _lower_larger

    @intrinsic
    def half_to_single(typing: Any, bits: Any) -> Any:
        """Return the float32 of a float16 given by its bits (uint16), NaN and infinity too."""
        return types.float32(types.uint16), _lower_half

    @intrinsic
    def upper_half(typing: Any, a: Any, b: Any) -> Any:
        """Return the upper 64 bits of the product of two uint64."""
        return types.uint64(types.uint64, types.uint64), _lower_upper_half

    @intrinsic
    def prefetch(typing: Any, array: Any, row: Any, column: Any) -> Any:
        """Ask for the cache line of array[row, column] of a 2-d array; reads nothing itself.

        `row` and `column` are not negative.
        """
        return types.void(array, types.intp, types.intp), _lower_prefetch
