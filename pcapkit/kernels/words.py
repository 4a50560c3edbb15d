"""Integers from bytes and into them, in kernels, and what machines do with whole words at once.

The caller has checked that the bytes are there.

In kernels these are single machine loads at any alignment. Under ``NUMBA_BOUNDSCHECK=1`` or
``NUMBA_DISABLE_JIT=1``, which exist to find a missing length check, plain indexing takes their
place, so that every byte read is checked.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from pcapkit.kernels.jit import Function, inline_kernel, machine_kernel
from pcapkit.kernels.settings import BOUNDSCHECK
from pcapkit.schema import Array, Bytes, Int

# What Numba hands to those who generate machine code; it has no types that mypy could see.
Context = Any
Builder = Any  #: llvmlite's
Signature = Any
Values = Any  #: the arguments, as llvmlite's values
NumbaType = Any  #: of an argument

_TOP_BITS = 0x8080808080808080


def _load(bits: int, *, swap: bool) -> Any:
    """Return what makes ``load(buffer, at)`` of an unsigned integer of ``bits``."""

    def generate(
        context: Context, builder: Builder, signature: Signature, arguments: Values
    ) -> Any:
        from llvmlite import ir
        from numba.core import cgutils

        array = cgutils.create_struct_proxy(signature.args[0])(context, builder, value=arguments[0])
        integer = ir.IntType(bits)
        address = builder.gep(array.data, [arguments[1]])
        value = builder.load(builder.bitcast(address, integer.as_pointer()), typ=integer)
        value.align = 1
        if swap:
            value = builder.bswap(value)
        if bits < 64:
            value = builder.zext(value, ir.IntType(64))
        return value

    def load(typing_context: Context, buffer: NumbaType, at: NumbaType) -> Any:
        from numba import types

        result = types.uint64 if bits == 64 else types.int64
        return result(buffer, types.int64), generate

    return load


def _folded_product(typing_context: Context, left: NumbaType, right: NumbaType) -> Any:
    def generate(
        context: Context, builder: Builder, signature: Signature, arguments: Values
    ) -> Any:
        from llvmlite import ir

        wide = ir.IntType(128)
        product = builder.mul(*(builder.zext(value, wide) for value in arguments))
        high = builder.trunc(builder.lshr(product, wide(64)), ir.IntType(64))
        return builder.xor(builder.trunc(product, ir.IntType(64)), high)

    from numba import types

    return types.uint64(types.uint64, types.uint64), generate


def _first_zero_byte(typing_context: Context, word: NumbaType) -> Any:
    def generate(
        context: Context, builder: Builder, signature: Signature, arguments: Values
    ) -> Any:
        from llvmlite import ir

        (value,) = arguments
        integer = ir.IntType(64)
        borrowed = builder.sub(value, integer(0x0101010101010101))
        marks = builder.and_(builder.and_(borrowed, builder.not_(value)), integer(_TOP_BITS))
        return builder.lshr(builder.cttz(marks, ir.IntType(1)(0)), integer(3))

    from numba import types

    return types.int64(types.uint64), generate


def _prefetch(typing_context: Context, array: NumbaType, at: NumbaType) -> Any:
    def generate(
        context: Context, builder: Builder, signature: Signature, arguments: Values
    ) -> Any:
        from llvmlite import ir
        from numba.core import cgutils

        data = cgutils.create_struct_proxy(signature.args[0])(
            context, builder, value=arguments[0]
        ).data
        address = builder.bitcast(builder.gep(data, [arguments[1]]), ir.IntType(8).as_pointer())
        number = ir.IntType(32)
        function = builder.module.declare_intrinsic(
            "llvm.prefetch",
            [address.type],
            ir.FunctionType(ir.VoidType(), [address.type, number, number, number]),
        )
        builder.call(function, [address, number(1), number(3), number(1)])
        return context.get_dummy_value()

    from numba import types

    return types.void(array, types.int64), generate


def _put_u64(typing_context: Context, buffer: NumbaType, at: NumbaType, value: NumbaType) -> Any:
    """Store a little-endian 64-bit integer."""

    def generate(
        context: Context, builder: Builder, signature: Signature, arguments: Values
    ) -> Any:
        from llvmlite import ir
        from numba.core import cgutils

        array = cgutils.create_struct_proxy(signature.args[0])(context, builder, value=arguments[0])
        address = builder.gep(array.data, [arguments[1]])
        stored = builder.store(arguments[2], builder.bitcast(address, ir.IntType(64).as_pointer()))
        stored.align = 1
        return context.get_dummy_value()

    from numba import types

    return types.void(buffer, types.int64, types.uint64), generate


@machine_kernel(_folded_product)
def mix(left: np.uint64, right: np.uint64) -> np.uint64:
    """Multiply two 64-bit numbers and fold the 128 bits of the product into 64."""
    product = int(left) * int(right)
    return np.uint64((product ^ product >> 64) & 0xFFFFFFFFFFFFFFFF)


@machine_kernel(_first_zero_byte)
def zero_byte(word: np.uint64) -> Int:
    """Return which byte of a little-endian word is its first zero, 8 where there is none."""
    return np.int64((int(word).to_bytes(8, "little") + b"\0").index(0))


@machine_kernel(_prefetch)
def prefetch(array: Array, at: Int) -> None:
    """Begin to fetch the element at ``at``, which is about to be read and written."""


def _unchecked(make: Callable[..., Any]) -> Callable[[Function], Function]:
    """Let kernels read or write by machine instructions, but by indexes where those are checked."""
    return inline_kernel if BOUNDSCHECK else machine_kernel(make)


@_unchecked(_load(8, swap=False))
def u8(buffer: Bytes, at: Int) -> Int:
    """Return the byte at ``at``."""
    return np.int64(buffer[at])


@_unchecked(_load(16, swap=True))
def u16(buffer: Bytes, at: Int) -> Int:
    """Return the big-endian 16-bit integer at ``at``."""
    return (np.int64(buffer[at]) << 8) | np.int64(buffer[at + 1])


@_unchecked(_load(32, swap=True))
def u32(buffer: Bytes, at: Int) -> Int:
    """Return the big-endian 32-bit integer at ``at``."""
    return (u16(buffer, at) << 16) | u16(buffer, at + 2)


@_unchecked(_load(16, swap=False))
def u16_little(buffer: Bytes, at: Int) -> Int:
    """Return the little-endian 16-bit integer at ``at``."""
    return np.int64(buffer[at]) | (np.int64(buffer[at + 1]) << 8)


@_unchecked(_load(32, swap=False))
def u32_little(buffer: Bytes, at: Int) -> Int:
    """Return the little-endian 32-bit integer at ``at``."""
    return u16_little(buffer, at) | (u16_little(buffer, at + 2) << 16)


@_unchecked(_load(64, swap=False))
def u64_little(buffer: Bytes, at: Int) -> np.uint64:
    """Return the little-endian 64-bit integer at ``at``."""
    low = np.uint64(u32_little(buffer, at))
    return low | (np.uint64(u32_little(buffer, at + 4)) << np.uint64(32))


@_unchecked(_put_u64)
def put_u64_little(buffer: Bytes, at: Int, value: np.uint64) -> None:
    """Write a little-endian 64-bit integer at ``at``."""
    for k in range(8):
        buffer[at + k] = np.uint8((np.uint64(value) >> np.uint64(8 * k)) & np.uint64(0xFF))


@inline_kernel
def u16_in(buffer: Bytes, at: Int, big: Int) -> Int:
    """Return the 16-bit integer at ``at`` of ``buffer``, which is ``big``-endian or not."""
    return u16(buffer, at) if big else u16_little(buffer, at)


@inline_kernel
def u32_in(buffer: Bytes, at: Int, big: Int) -> Int:
    """Return the 32-bit integer at ``at`` of ``buffer``, which is ``big``-endian or not."""
    return u32(buffer, at) if big else u32_little(buffer, at)
