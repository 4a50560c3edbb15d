"""Integers from bytes and into them, in kernels, and what machines do with whole words at once.

The caller has checked that the bytes are there.

The fast forms are single machine loads at any alignment. Under ``NUMBA_BOUNDSCHECK=1`` or
``NUMBA_DISABLE_JIT=1``, which exist to find a missing length check, plain indexing takes their
place, so that every byte read is checked.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import config, types
from numba.core import cgutils
from numba.extending import intrinsic

from pcapkit.kernels.jit import inline_kernel
from pcapkit.schema import Array, Bytes, Int

# What Numba hands to those who generate machine code; it has no types that mypy could see.
Context = Any
Builder = Any  #: llvmlite's
Signature = Any
Values = Any  #: the arguments, as llvmlite's values
NumbaType = Any  #: of an argument

_intrinsic: Any = intrinsic  # which has no types of its own
_TOP_BITS = 0x8080808080808080


def _load(bits: int, *, swap: bool) -> Any:
    """Make an intrinsic ``load(buffer, at)`` of an unsigned integer of ``bits``."""

    def generate(
        context: Context, builder: Builder, signature: Signature, arguments: Values
    ) -> Any:
        from llvmlite import ir

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

    result = types.uint64 if bits == 64 else types.int64

    def load(typing_context: Context, buffer: NumbaType, at: NumbaType) -> Any:
        return result(buffer, types.int64), generate

    return _intrinsic(load)


def _folded_product(typing_context: Context, left: NumbaType, right: NumbaType) -> Any:
    def generate(
        context: Context, builder: Builder, signature: Signature, arguments: Values
    ) -> Any:
        from llvmlite import ir

        wide = ir.IntType(128)
        product = builder.mul(*(builder.zext(value, wide) for value in arguments))
        high = builder.trunc(builder.lshr(product, wide(64)), ir.IntType(64))
        return builder.xor(builder.trunc(product, ir.IntType(64)), high)

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

    return types.int64(types.uint64), generate


def _prefetch(typing_context: Context, array: NumbaType, at: NumbaType) -> Any:
    def generate(
        context: Context, builder: Builder, signature: Signature, arguments: Values
    ) -> Any:
        from llvmlite import ir

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

    return types.void(array, types.int64), generate


if config.DISABLE_JIT:

    def mix(left: np.uint64, right: np.uint64) -> np.uint64:
        """Multiply two 64-bit numbers and fold the 128 bits of the product into 64."""
        product = int(left) * int(right)
        return np.uint64((product ^ product >> 64) & 0xFFFFFFFFFFFFFFFF)

    def zero_byte(word: np.uint64) -> Int:
        """Return which byte of a little-endian word is its first zero, 8 where there is none."""
        return np.int64((int(word).to_bytes(8, "little") + b"\0").index(0))

    def prefetch(array: Array, at: Int) -> None:
        """Begin to fetch the element at ``at``, which is about to be read and written."""

else:
    mix = _intrinsic(_folded_product)
    zero_byte = _intrinsic(_first_zero_byte)
    prefetch = _intrinsic(_prefetch)


def _put_u64() -> Any:
    """Make an intrinsic ``put(buffer, at, value)`` of a little-endian 64-bit integer."""

    def generate(
        context: Context, builder: Builder, signature: Signature, arguments: Values
    ) -> Any:
        from llvmlite import ir

        array = cgutils.create_struct_proxy(signature.args[0])(context, builder, value=arguments[0])
        address = builder.gep(array.data, [arguments[1]])
        stored = builder.store(arguments[2], builder.bitcast(address, ir.IntType(64).as_pointer()))
        stored.align = 1
        return context.get_dummy_value()

    def put(typing_context: Context, buffer: NumbaType, at: NumbaType, value: NumbaType) -> Any:
        return types.void(buffer, types.int64, types.uint64), generate

    return _intrinsic(put)


if config.DISABLE_JIT or config.BOUNDSCHECK:

    @inline_kernel
    def u8(buffer: Bytes, at: Int) -> Int:
        """Return the byte at ``at``."""
        return np.int64(buffer[at])

    @inline_kernel
    def u16(buffer: Bytes, at: Int) -> Int:
        """Return the big-endian 16-bit integer at ``at``."""
        return (np.int64(buffer[at]) << 8) | np.int64(buffer[at + 1])

    @inline_kernel
    def u32(buffer: Bytes, at: Int) -> Int:
        """Return the big-endian 32-bit integer at ``at``."""
        return (u16(buffer, at) << 16) | u16(buffer, at + 2)

    @inline_kernel
    def u16_little(buffer: Bytes, at: Int) -> Int:
        """Return the little-endian 16-bit integer at ``at``."""
        return np.int64(buffer[at]) | (np.int64(buffer[at + 1]) << 8)

    @inline_kernel
    def u32_little(buffer: Bytes, at: Int) -> Int:
        """Return the little-endian 32-bit integer at ``at``."""
        return u16_little(buffer, at) | (u16_little(buffer, at + 2) << 16)

    @inline_kernel
    def u64_little(buffer: Bytes, at: Int) -> np.uint64:
        """Return the little-endian 64-bit integer at ``at``."""
        low = np.uint64(u32_little(buffer, at))
        return low | (np.uint64(u32_little(buffer, at + 4)) << np.uint64(32))

    @inline_kernel
    def put_u64_little(buffer: Bytes, at: Int, value: np.uint64) -> None:
        """Write a little-endian 64-bit integer at ``at``."""
        for k in range(8):
            buffer[at + k] = np.uint8((np.uint64(value) >> np.uint64(8 * k)) & np.uint64(0xFF))

else:
    u8 = _load(8, swap=False)
    u16 = _load(16, swap=True)
    u32 = _load(32, swap=True)
    u16_little = _load(16, swap=False)
    u32_little = _load(32, swap=False)
    u64_little = _load(64, swap=False)
    put_u64_little = _put_u64()


@inline_kernel
def u16_in(buffer: Bytes, at: Int, big: Int) -> Int:
    """Return the 16-bit integer at ``at`` of ``buffer``, which is ``big``-endian or not."""
    return u16(buffer, at) if big else u16_little(buffer, at)


@inline_kernel
def u32_in(buffer: Bytes, at: Int, big: Int) -> Int:
    """Return the 32-bit integer at ``at`` of ``buffer``, which is ``big``-endian or not."""
    return u32(buffer, at) if big else u32_little(buffer, at)
