"""Vectors that many requests are multiplied with, read in a quarter of the time.

What takes the time of an exact search is to read the vectors. Here each component is a byte
(scalar quantization): a quarter of the bytes, in whole numbers that onnxruntime multiplies with the
processor's own instructions for it. What that finds is near enough to say which vectors come into
question, and exact products of these few take next to no time.
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

__all__ = ["Bytes", "Scan", "in_bytes"]

_WORTH = 4_000
"""Vectors from which on bytes are worth their making."""

_MOST_BYTES = 2**31 - 2**20
"""Of all vectors, for they are handed to onnxruntime in one message."""

_MOST = 127
"""Of a component of a vector."""

_MOST_ASKED = 63
"""Of a component of a query. With one bit less, a sum of two products fits into 16 bits, in which
processors add them up that have no instructions for this."""

_ZERO = 64
"""Is written for a query's 0: its bytes have no sign."""

_ONNX_OPSET = 13
_ONNX_IR = 8
"""Of 2021."""

_BLOCK = 4_096
"""Vectors that are written in bytes at once."""

_log = logging.getLogger(__name__)


class Scan:
    """Vectors that queries are multiplied with.

    The second request has a thread write them in bytes: the first is not kept from its answer, and
    a process that has but one question need not do it at all. Until that is done, and where it
    cannot be, they are multiplied as they are.

    Args:
        vectors: Shape ``(vectors, dimensions)``.
    """

    def __init__(self, vectors: Floats) -> None:
        self._vectors = vectors
        self._asked = 0
        self._bytes: Bytes | None = None
        self._counting = RenewedLock()

    def products(self, queries: Floats) -> Floats:
        """Return inner products, to within a few thousandths of the lengths multiplied.

        Args:
            queries: Shape ``(queries, dimensions)``.

        Returns:
            Shape ``(queries, vectors)``.
        """
        if self._bytes is not None:
            return self._bytes.products(queries)
        with self._counting.current:
            self._asked += 1
            second = self._asked == 2
        if second and len(self._vectors) >= _WORTH and self._vectors.size < _MOST_BYTES:
            with suppress(RuntimeError):  # no more threads: then as they are
                start_thread(self._write, "toolret-scan", daemon=False)
        return products(queries, self._vectors)

    def _write(self) -> None:
        try:
            self._bytes = in_bytes(self._vectors)
        except Exception as error:  # noqa: BLE001 - onnxruntime's errors share no class of their own
            _log.info("vectors are multiplied without onnxruntime, in more time: %s", error)


@dataclass(frozen=True, slots=True)
class Bytes:
    """Vectors in bytes.

    Attributes:
        session: Holds the bytes, and multiplies queries' bytes with them.
        units: What one is worth in each vector, shape ``(vectors,)``.
    """

    session: InferenceSession
    units: Floats

    def products(self, queries: Floats) -> Floats:
        """Inner products: shape ``(queries, vectors)``."""
        units, asked = _written(queries, _MOST_ASKED)
        (sums,) = self.session.run(None, {"asked": (asked + _ZERO).astype(np.uint8)})
        found: Floats = sums.astype(np.float32)
        found *= self.units
        found *= units[:, None]
        return found


def in_bytes(vectors: Floats) -> Bytes:
    """Some vectors in bytes: shape ``(vectors, dimensions)``."""
    from onnxruntime import InferenceSession, SessionOptions

    columns = np.empty(vectors.shape[::-1], dtype=np.int8)
    units = np.empty(len(vectors), dtype=np.float32)
    for start in range(0, len(vectors), _BLOCK):
        some = slice(start, start + _BLOCK)
        units[some], written = _written(vectors[some], _MOST)
        columns[:, some] = written.T
    options: Any = SessionOptions()
    options.intra_op_num_threads = 1  # in the thread that asks, as ``products``
    session = InferenceSession(_graph(columns), options, providers=["CPUExecutionProvider"])
    return Bytes(session, units)


def _written(values: Floats, most: int) -> tuple[Floats, Floats]:
    """What one is worth in each row, and the rows as whole numbers up to ``most``."""
    largest = np.abs(values).max(axis=1)
    units: Floats = np.where(largest > 0, largest, 1).astype(np.float32) / np.float32(most)
    return units, np.rint(values / units[:, None])


def _graph(columns: NDArray[np.int8]) -> bytes:
    """An ONNX model of the product."""
    from onnx import TensorProto, helper, numpy_helper

    dimensions, vectors = columns.shape
    graph = helper.make_graph(
        [helper.make_node("MatMulInteger", ["asked", "vectors", "zero"], ["sums"])],
        "products",
        [helper.make_tensor_value_info("asked", TensorProto.UINT8, ["queries", dimensions])],
        [helper.make_tensor_value_info("sums", TensorProto.INT32, ["queries", vectors])],
        [
            numpy_helper.from_array(columns, "vectors"),
            numpy_helper.from_array(np.array(_ZERO, dtype=np.uint8), "zero"),
        ],
    )
    opsets = [helper.make_opsetid("", _ONNX_OPSET)]
    model = helper.make_model(graph, opset_imports=opsets, ir_version=_ONNX_IR)
    return bytes(model.SerializeToString())
