"""Multiply requests with many vectors in a quarter of the time, by scalar quantization.

Reading the vectors is what takes time in an exact search. Here each component is one byte: a
quarter of the memory, in whole numbers that onnxruntime multiplies with the processor's own
instructions for it. The products are near enough to tell which vectors come into question, and
exact products of these few take next to no time.
"""

from __future__ import annotations

import logging
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from toolret.forking import RenewedLock, start_thread
from toolret.ranking.arrays import Floats, products

if TYPE_CHECKING:
    from onnxruntime import InferenceSession

__all__ = ["QuantizedVectors", "Scan", "quantize"]

_LEAST_VECTORS = 4_000
"""The number of vectors from which on quantizing them is worth its time."""

_MOST_BYTES = 2**31 - 2**20
"""The most bytes of all vectors, as they are handed to onnxruntime in one message."""

_LARGEST = 127
"""The largest component of a quantized vector."""

_LARGEST_OF_QUERY = 63
"""The largest component of a quantized query: with one bit less, a sum of two products fits into 16
bits, in which processors without instructions for this add them up."""

_ZERO = 64
"""The byte that stands for 0 in a query, whose bytes have no sign."""

_ONNX_OPSET = 13
"""The version of ONNX's operators, of 2021."""

_ONNX_IR = 8
"""The version of ONNX's file format, of 2021."""

_BLOCK = 4_096
"""The number of vectors that are quantized at once, which bounds the memory that it takes."""

_log = logging.getLogger(__name__)


class Scan:
    """Vectors that queries are multiplied with, quantized once that is worth it.

    The second request starts a thread that quantizes them: so the first is not delayed, and a
    process with a single request never does it. Until that is done, and where it is impossible, the
    products are exact.

    Args:
        vectors: The vectors, shape ``(vectors, dimensions)``.
    """

    def __init__(self, vectors: Floats) -> None:
        self._vectors = vectors
        self._requests = 0
        self._quantized: QuantizedVectors | None = None
        self._counting = RenewedLock()

    def products(self, queries: Floats) -> Floats:
        """Return inner products, with errors of a few thousandths of the vectors' lengths at most.

        Args:
            queries: Vectors of the queries, shape ``(queries, dimensions)``.

        Returns:
            Shape ``(queries, vectors)``.
        """
        if self._quantized is not None:
            return self._quantized.products(queries)
        with self._counting.current:
            self._requests += 1
            second = self._requests == 2
        if second and len(self._vectors) >= _LEAST_VECTORS and self._vectors.size < _MOST_BYTES:
            with suppress(RuntimeError):  # no thread can be started: products stay exact
                start_thread(self._quantize, "toolret-scan", daemon=False)
        return products(queries, self._vectors)

    def _quantize(self) -> None:
        try:
            self._quantized = quantize(self._vectors)
        except Exception as error:  # noqa: BLE001 - onnxruntime's errors share no class of their own
            _log.info("vectors are multiplied without onnxruntime, in more time: %s", error)


@dataclass(frozen=True, slots=True)
class QuantizedVectors:
    """Vectors with one byte per component.

    Attributes:
        session: Session of onnxruntime that multiplies the bytes of queries with those of the
            vectors, which it holds.
        units: Value of 1 in each vector's bytes, shape ``(vectors,)``.
    """

    session: InferenceSession
    units: Floats

    def products(self, queries: Floats) -> Floats:
        """Return approximate inner products of queries: shape ``(queries, vectors)``."""
        units, rows = _whole_numbers(queries, _LARGEST_OF_QUERY)
        (sums,) = self.session.run(None, {"queries": (rows + _ZERO).astype(np.uint8)})
        inner: Floats = sums.astype(np.float32)
        inner *= self.units
        inner *= units[:, None]
        return inner


def quantize(vectors: Floats) -> QuantizedVectors:
    """Return quantized vectors, from exact ones of shape ``(vectors, dimensions)``."""
    from onnxruntime import InferenceSession, SessionOptions

    columns = np.empty(vectors.shape[::-1], dtype=np.int8)
    units = np.empty(len(vectors), dtype=np.float32)
    for start in range(0, len(vectors), _BLOCK):
        block = slice(start, start + _BLOCK)
        units[block], rows = _whole_numbers(vectors[block], _LARGEST)
        columns[:, block] = rows.T
    options: Any = SessionOptions()
    options.intra_op_num_threads = 1  # in the calling thread, as ``products``
    session = InferenceSession(_graph(columns), options, providers=["CPUExecutionProvider"])
    return QuantizedVectors(session, units)


def _whole_numbers(values: Floats, most: int) -> tuple[Floats, Floats]:
    """Return the value of 1 in each row, and the rows as whole numbers from -most to most."""
    largest = np.abs(values).max(axis=1)
    units: Floats = np.where(largest > 0, largest, 1).astype(np.float32) / np.float32(most)
    return units, np.rint(values / units[:, None])


def _graph(columns: NDArray[np.int8]) -> bytes:
    """Return an ONNX model that multiplies the bytes of queries with those of vectors."""
    from onnx import TensorProto, helper, numpy_helper

    dimensions, vectors = columns.shape
    graph = helper.make_graph(
        [helper.make_node("MatMulInteger", ["queries", "vectors", "zero"], ["sums"])],
        "products",
        [helper.make_tensor_value_info("queries", TensorProto.UINT8, ["count", dimensions])],
        [helper.make_tensor_value_info("sums", TensorProto.INT32, ["count", vectors])],
        [
            numpy_helper.from_array(columns, "vectors"),
            numpy_helper.from_array(np.array(_ZERO, dtype=np.uint8), "zero"),
        ],
    )
    opsets = [helper.make_opsetid("", _ONNX_OPSET)]
    model = helper.make_model(graph, opset_imports=opsets, ir_version=_ONNX_IR)
    return bytes(model.SerializeToString())
