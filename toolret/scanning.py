"""Vectors that many requests are multiplied with, read in half the time once there are many.

What takes the time of an exact search is to read the vectors. Here each component is written in two
digits of eight bits (scalar quantization, and its remainder quantized again): half of the bytes, in
whole numbers that onnxruntime multiplies with the processor's own instructions for it. Its sums are
exact; what two digits cannot write is some 1e-5 of a cosine.
"""

from __future__ import annotations

import logging
import threading
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from toolret.signals import Floats, products

if TYPE_CHECKING:
    from onnxruntime import InferenceSession

__all__ = ["Digits", "Scan", "in_digits"]

_WORTH = 4_000
"""Vectors from which on digits are worth their making."""

_MOST_BYTES = 2**31 - 2**20
"""Of both digits, for they are handed to onnxruntime in one message."""

_MOST = 127
"""Of a vector's first digit."""

_MOST_ASKED = 63
"""Of a query's first digit. With one bit less, a sum of two products fits into 16 bits, in which
processors add them up that have no instructions for this."""

_BASE = 128
"""What one of a first digit is in ones of the second."""

_ZERO = 64
"""Is written for a query's 0: its digits have no sign."""

_ONNX_OPSET = 13
_ONNX_IR = 8
"""Of 2021."""

_BLOCK = 4_096
"""Vectors that are written in digits at once."""

_log = logging.getLogger(__name__)


class Scan:
    """Vectors that queries are multiplied with.

    The second request has a thread write them in digits: the first is not kept from its answer, and
    a process that has but one question need not do it at all. Until that is done, and where it
    cannot be, they are multiplied as they are.

    Args:
        vectors: Shape ``(vectors, dimensions)``.
    """

    def __init__(self, vectors: Floats) -> None:
        self._vectors = vectors
        self._asked = 0
        self._counting = threading.Lock()
        self._digits: Digits | None = None

    def products(self, queries: Floats) -> Floats:
        """Inner products: shape ``(queries, vectors)``."""
        if self._digits is not None:
            return self._digits.products(queries)
        with self._counting:
            self._asked += 1
            second = self._asked == 2
        if second and len(self._vectors) >= _WORTH and 2 * self._vectors.size < _MOST_BYTES:
            with suppress(RuntimeError):  # no more threads: then as they are
                threading.Thread(target=self._write, name="toolret-scan").start()
        return products(queries, self._vectors)

    def _write(self) -> None:
        try:
            self._digits = in_digits(self._vectors)
        except Exception as error:  # noqa: BLE001 - onnxruntime's errors share no class of their own
            _log.info("vectors are multiplied without onnxruntime, in more time: %s", error)


@dataclass(frozen=True, slots=True)
class Digits:
    """Vectors in two digits.

    Attributes:
        session: Holds both digits, and multiplies queries' digits with them.
        units: What one of a second digit is worth, shape ``(vectors,)``.
    """

    session: InferenceSession
    units: Floats

    def products(self, queries: Floats) -> Floats:
        """Inner products: shape ``(queries, vectors)``."""
        units, first, second = _split(queries, _MOST_ASKED)
        both = (np.concatenate([first, second]) + _ZERO).astype(np.uint8)
        # With the first digits both of the queries', with the second digits their first.
        sums, small = self.session.run(None, {"both": both, "first": both[: len(queries)]})
        found: Floats = sums[: len(queries)].astype(np.float32)
        found *= _BASE
        found += sums[len(queries) :]
        found += small
        found *= self.units
        found *= units[:, None]
        return found


def in_digits(vectors: Floats) -> Digits:
    """Some vectors in digits: shape ``(vectors, dimensions)``."""
    from onnxruntime import InferenceSession, SessionOptions

    first = np.empty(vectors.shape[::-1], dtype=np.int8)
    second = np.empty_like(first)
    units = np.empty(len(vectors), dtype=np.float32)
    for start in range(0, len(vectors), _BLOCK):
        some = slice(start, start + _BLOCK)
        units[some], of_first, of_second = _split(vectors[some], _MOST)
        first[:, some], second[:, some] = of_first.T, of_second.T
    options: Any = SessionOptions()
    options.intra_op_num_threads = 1  # in the thread that asks, as ``products``
    graph = _graph(first, second)
    session = InferenceSession(graph, options, providers=["CPUExecutionProvider"])
    return Digits(session, units / np.float32(_BASE))


def _split(values: Floats, most: int) -> tuple[Floats, Floats, Floats]:
    """What one of a first digit is worth in each row; the first digits, and the second."""
    largest = np.abs(values).max(axis=1)
    units: Floats = np.where(largest > 0, largest, 1).astype(np.float32) / np.float32(most)
    in_units = values / units[:, None]
    first = np.rint(in_units)
    return units, first, np.rint((in_units - first) * _BASE)


def _graph(first: NDArray[np.int8], second: NDArray[np.int8]) -> bytes:
    """An ONNX model of two products."""
    from onnx import TensorProto, helper, numpy_helper

    def asked(name: str) -> Any:
        return helper.make_tensor_value_info(name, TensorProto.UINT8, ["queries", len(first)])

    def found(name: str) -> Any:
        shape = ["queries", first.shape[1]]
        return helper.make_tensor_value_info(name, TensorProto.INT32, shape)

    graph = helper.make_graph(
        [
            helper.make_node("MatMulInteger", ["both", "first_digits", "zero"], ["sums"]),
            helper.make_node("MatMulInteger", ["first", "second_digits", "zero"], ["small"]),
        ],
        "products",
        [asked("both"), asked("first")],
        [found("sums"), found("small")],
        [
            numpy_helper.from_array(first, "first_digits"),
            numpy_helper.from_array(second, "second_digits"),
            numpy_helper.from_array(np.array(_ZERO, dtype=np.uint8), "zero"),
        ],
    )
    opsets = [helper.make_opsetid("", _ONNX_OPSET)]
    model = helper.make_model(graph, opset_imports=opsets, ir_version=_ONNX_IR)
    return bytes(model.SerializeToString())
