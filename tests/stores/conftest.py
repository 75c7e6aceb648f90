from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.stores.places import Place, chroma_server, make_place

REMOTE = ["chroma", "memory", "qdrant", "pgvector"]


@pytest.fixture(scope="session")
def chroma(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with chroma_server(tmp_path_factory.mktemp("chroma")) as url:
        yield url


def _place(kind: str, tmp_path: Path, request: pytest.FixtureRequest) -> Place:
    if kind == "pgvector" and "TOOLRET_PGVECTOR" not in os.environ:
        pytest.skip("TOOLRET_PGVECTOR names no PostgreSQL with pgvector")
    url = request.getfixturevalue("chroma") if kind == "chroma" else ""
    return make_place(kind, tmp_path, chroma=url)


@pytest.fixture(params=["folder", *REMOTE])
def place(tmp_path: Path, request: pytest.FixtureRequest) -> Place:
    """An index in each kind of place."""
    return _place(request.param, tmp_path, request)


@pytest.fixture(params=REMOTE)
def remote(tmp_path: Path, request: pytest.FixtureRequest) -> Place:
    """An index in each kind of place beyond this machine."""
    return _place(request.param, tmp_path, request)
