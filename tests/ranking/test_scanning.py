"""Quantized vectors give nearly exact products."""

from __future__ import annotations

import logging
import threading

import numpy as np
import pytest

from tests.ranking.vectors import unit
from toolret.ranking import scanning
from toolret.ranking.arrays import Floats
from toolret.ranking.scanning import Scan, quantize


def wait_for_threads() -> None:
    for thread in threading.enumerate():
        if thread.name == "toolret-scan":
            thread.join()


def is_quantized(scan: Scan) -> bool:
    """Whether the vectors are quantized, once no thread is quantizing them."""
    wait_for_threads()
    return scan._quantized is not None


@pytest.mark.parametrize("dimensions", [32, 384, 3_072])
@pytest.mark.parametrize("queries", [1, 7])
def test_products_of_quantized_vectors_are_nearly_exact(dimensions: int, queries: int) -> None:
    vectors = unit(5_000, dimensions)
    vectors[17] = 0
    asked = unit(queries, dimensions, seed=1) * np.float32(30)
    asked[0] = vectors[3] * 30
    found = quantize(vectors).products(asked)
    assert found.shape == (queries, 5_000)
    assert found.dtype == np.float32
    exact = asked.astype(np.float64) @ vectors.T
    assert np.abs(found - exact).max() < 30 * 2e-2
    assert np.sqrt(np.mean((found - exact) ** 2)) < 30 * 4e-3
    assert not found[:, 17].any()
    assert found[0].argmax() == 3


def test_no_sum_overflows_where_all_bytes_are_the_largest() -> None:
    vectors = np.full((10, 3_072), 0.5, dtype=np.float32)
    vectors[1::2] *= -1
    found = quantize(vectors).products(np.full((2, 3_072), 0.25, dtype=np.float32))
    assert found[1].tolist() == pytest.approx([384, -384] * 5, rel=1e-5)


def test_a_query_of_zeros_has_products_of_zero() -> None:
    assert quantize(unit(6, 8)).products(np.zeros((1, 8), np.float32)).tolist() == [[0] * 6]


def test_the_second_request_has_the_vectors_quantized(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(scanning, "_LEAST_VECTORS", 100)
    scan, asked = Scan(unit(100, 16)), unit(2, 16, seed=1)
    found = [scan.products(asked)]
    assert not is_quantized(scan)
    found.append(scan.products(asked))
    assert is_quantized(scan)
    found.append(scan.products(asked))
    np.testing.assert_allclose(found[1], found[0], atol=2e-2)
    np.testing.assert_allclose(found[2], found[0], atol=2e-2)


def test_few_vectors_are_never_quantized() -> None:
    scan, asked = Scan(unit(100, 16)), unit(2, 16, seed=1)
    for _ in range(3):
        scan.products(asked)
    assert not is_quantized(scan)


def test_products_are_exact_where_no_thread_can_be_started(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def refused(thread: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(scanning, "_LEAST_VECTORS", 100)
    monkeypatch.setattr(threading.Thread, "start", refused)
    scan, asked = Scan(unit(100, 16)), unit(2, 16, seed=1)
    first = scan.products(asked)
    assert np.array_equal(scan.products(asked), first)


def test_products_are_exact_where_vectors_cannot_be_quantized(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def broken(vectors: Floats) -> None:
        raise RuntimeError("no such instruction")

    monkeypatch.setattr(scanning, "_LEAST_VECTORS", 100)
    monkeypatch.setattr(scanning, "quantize", broken)
    caplog.set_level(logging.INFO)
    scan, asked = Scan(unit(100, 16)), unit(2, 16, seed=1)
    first = scan.products(asked)
    scan.products(asked)
    wait_for_threads()
    assert np.array_equal(scan.products(asked), first)
    assert "no such instruction" in caplog.text
