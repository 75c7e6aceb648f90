"""Eight processes on one Chroma server; ``TOOLRET_SOAK_SECONDS`` says for how long."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

from tests.conftest import ROOT
from tests.stores.places import Place, embedder
from tests.stores.worker import TOOLS
from toolret.index import ToolIndex
from toolret.stores import chroma_store

SECONDS = os.environ.get("TOOLRET_SOAK_SECONDS", "6")
ROLES = [f"writer{i}" for i in range(3)] + [f"reader{i}" for i in range(5)]


def test_eight_processes_lose_nothing_and_see_whole_syncs(chroma: str, tmp_path: Path) -> None:
    url = f"{chroma}/soak{tmp_path.name}"
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    processes = [
        subprocess.Popen(
            [sys.executable, "-m", "tests.stores.worker", role, url, tmp_path, SECONDS],
            cwd=ROOT,
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for role in ROLES
    ]
    reports = []
    for process in processes:
        out, error = process.communicate()
        assert process.returncode == 0, error
        reports.append(json.loads(out))
    print(json.dumps(reports, indent=1))
    place = Place("chroma", lambda cache: chroma_store(url, cache_dir=cache), tmp_path)
    index = ToolIndex(place.machine(), embedder=embedder())
    written = {r["role"]: r["version"] for r in reports if "version" in r}
    assert {found.name: found.description for found in index} == {
        f"{role}_{i}": f"version {version} of {i}"
        for role, version in written.items()
        for i in range(TOOLS)
    }
    assert sum(written.values()) > 3
    assert all(r["refreshes"] > 3 for r in reports if "refreshes" in r)
