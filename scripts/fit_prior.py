"""Fit the prior weights of the ranking on public data and write ``toolret/ranking/prior.json``.

    python -m scripts.fit_prior ../shared/data

Each set gives requests with known tools in four ways: its labelled requests against its tools
alone, the same with its demonstrations, these asked again, singly and in pairs, with
themselves left out, and the requests with what an LLM once wrote of their needs, where the set
has that. Requests of the other sets, asked of it, are requests that need none of its
tools. Every set counts alike, so that a large one does not decide. A set's tools are adapted by a
matrix that saw nothing of it (``scripts.fit_adapter``): where it has, cosines say more than they do
of a user's tools. With ``--without NAME`` a set and its siblings are left out, which is how the
prior is tested on data it has not seen; nothing is written then but the figures.
"""

from __future__ import annotations

import argparse
import json
import tempfile
from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np

from scripts.fit_adapter import demonstrations_of, fit_without
from toolret.catalogs import load_tools
from toolret.embedders import RoleEmbedder, SentenceTransformerEmbedder
from toolret.index import ToolIndex
from toolret.queries.combining import expand_queries
from toolret.ranking.arrays import Floats
from toolret.ranking.comparer import Comparer
from toolret.ranking.evidence import FEATURES, gather
from toolret.ranking.familiarity import Familiarity, fit_familiarity
from toolret.ranking.fitting import Example, fit_weights, need_inputs_of
from toolret.ranking.learning import distant_pairs, evenly_spaced, weights_to_json
from toolret.ranking.need import fit_need, need_inputs
from toolret.ranking.weighing import Weights
from toolret.rows import LabelledRequest, load_demos, load_requests
from toolret.text.clauses import split_clauses
from toolret.types import Query

SETS = (
    "apibank/dev",
    "apibench/dev",
    "bfcl/dev",
    "mcptoolbenchpp/dev",
    "mcpzero/dev",
    "metatool/dev",
    "metatool/multi_dev",
    "nestful/dev",
    "sealtools/dev",
    "taubench/dev",
    "tldr/dev",
    "toolalpaca/dev",
    "toollens/dev",
    "toolret/apibank_dev",
    "toolret/apigen_dev",
    "toolret/gorilla_dev",
    "toolret/toolink_dev",
    "traject/dev",
    "ultratool/dev",
)
"""The data folder's development files, ``folder/file``."""

MOST_DEMOS = 3_000
"""Demonstrations of a set that are indexed: evenly spaced ones, to keep the run short."""

REQUESTS_OF_A_SET = 150
DEMOS_OF_A_SET = 150
"""How many of each a set gives: all sets have about as many, so all count alike."""

FEW_DEMOS = 30
"""Of a set, to see what a few are worth."""

PAIRS_OF_A_SET = 50
"""Pairs of demonstrations that are asked as one request."""

STRANGERS_OF_A_SET = 5
"""Requests of each other set that are asked of a set as needing none of its tools."""

UNIVERSAL = "toolret"
"""A folder whose tools are of every kind, so that no other set's requests are strange to it."""

LEARNT = [i for i, name in enumerate(FEATURES) if name.startswith(("demo", "dense_aligned"))]
"""Columns that demonstrations decide."""

FROM_VECTORS = [
    i
    for i, name in enumerate(FEATURES)
    if name == "demo_any_nearest"
    or not name.startswith(("lexical", "name", "demo_lexical", "demo_count", "demo_any"))
]
"""Columns that vectors decide."""

PRIOR = Path(__file__).parent.parent / "toolret" / "ranking" / "prior.json"


def main() -> None:
    """Fit, and write or print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("data", type=Path)
    parser.add_argument("--without", default="", help="folder of a set to leave out")
    arguments = parser.parse_args()
    model = SentenceTransformerEmbedder()
    names = [
        (folder, file)
        for folder, _, file in (name.partition("/") for name in SETS)
        if folder != arguments.without
    ]
    demonstrated = demonstrations_of(arguments.data, model)
    demonstrated.pop(arguments.without, None)
    adapters = fit_without({folder for folder, _ in names}, demonstrated)
    strangers = {
        folder: evenly_spaced(requests_of(arguments.data / folder, file), STRANGERS_OF_A_SET)
        for folder, file in names
    }
    examples: list[Example] = []
    idle: list[Example] = []
    of_sets: list[list[Example]] = []
    familiar: list[tuple[Floats, bool]] = []
    seen: set[str] = set()
    for folder, file in names:
        asked_here, strange, spoken_of = examples_of(
            arguments.data / folder,
            file,
            RoleEmbedder(model, tool_adapter=adapters[folder]),
            ask_demos=folder not in seen,
            strangers=[
                request
                for other, requests in strangers.items()
                if folder != UNIVERSAL and other not in (folder, UNIVERSAL)
                for request in requests
            ],
        )
        seen.add(folder)
        print(f"{folder}/{file}: {len(asked_here)} examples, {len(strange)} that need no tool")
        examples += asked_here
        idle += strange
        familiar += spoken_of
        of_sets.append([example for example in asked_here if silent(example)])
    start = unfitted(examples)
    alone = [averaged(example, LEARNT, start) for example in examples if silent(example)]
    text = fit_weights(alone, start)
    by_demos = fit_weights(examples, start)
    needs = [[need_inputs_of(example, text) for example in of_set] for of_set in of_sets]
    text_need = fit_need(
        [need for of_set in needs for need in of_set],
        [need_inputs_of(e, text) for e in idle if silent(e)],
    )
    # A target of recall is to hold in each catalog: those of a few tools are further from requests
    # than large ones, in which something is always near.
    lowest = np.min([fit_need(of_set, [], text_need).needing for of_set in needs], axis=0)
    prior = {
        "text": weights_to_json(text),
        "demonstrated": weights_to_json(by_demos),
        "text_by_words": weights_to_json(
            fit_weights([averaged(e, FROM_VECTORS, start) for e in alone], start)
        ),
        "demonstrated_by_words": weights_to_json(
            fit_weights([averaged(e, FROM_VECTORS, start) for e in examples], start)
        ),
        "text_need": asdict(replace(text_need, needing=tuple(lowest.tolist()))),
        "demonstrated_need": asdict(
            fit_need(
                [need_inputs_of(e, by_demos) for e in examples if not silent(e)],
                [need_inputs_of(e, by_demos) for e in idle if not silent(e)],
            )
        ),
        "familiarity": familiarity_of(familiar),
    }
    written = json.dumps(prior, indent=1)
    if arguments.without:
        print(written)
    else:
        PRIOR.write_text(written + "\n", "utf-8")


def familiarity_of(requests: Sequence[tuple[Floats, bool]]) -> dict[str, float]:
    """Of requests, each with whether demonstrations use all its tools."""
    kinds: dict[bool, list[Floats]] = {True: [], False: []}
    for features, is_familiar in requests:
        kinds[is_familiar].append(features)
    found = fit_familiarity(
        kinds[True],
        kinds[False],
        undemonstrated=len(kinds[False]) / len(kinds[True]),  # each request counts alike
        prior=Familiarity(0.0, 0.0, 0.0),
    )
    assert found is not None, "there are both kinds"
    return {name: round(value, 6) for name, value in asdict(found).items()}


def requests_of(folder: Path, file: str) -> list[LabelledRequest]:
    """The requests of a set that need a tool."""
    return [request for request in load_requests(folder / f"{file}.jsonl") if request.tools]


def examples_of(
    folder: Path,
    file: str,
    embedder: RoleEmbedder,
    *,
    ask_demos: bool,
    strangers: Sequence[LabelledRequest],
) -> tuple[list[Example], list[Example], list[tuple[Floats, bool]]]:
    """What one set shows: its requests with and without demonstrations, and these asked again.

    Returns:
        The examples of requests that need its tools; those of the strangers, which do not; and the
        features of its requests with few and with many demonstrations, with whether these use all
        tools of the request.
    """
    with tempfile.TemporaryDirectory() as scratch:
        index = ToolIndex(Path(scratch) / "index", embedder=embedder)
        index.sync_tools(load_tools(folder / "tools.jsonl"))
        requests = evenly_spaced(requests_of(folder, file), REQUESTS_OF_A_SET)
        comparer = Comparer(index.snapshot, embedder)
        found = [asked(comparer, request) for request in requests]
        needs = written_needs(folder / f"{file}.jsonl")
        found += [asked(comparer, r, needs[r.id]) for r in requests if r.id in needs]
        strange = [asked(comparer, request) for request in strangers]
        demos = folder / "demos.jsonl"
        spoken_of: list[tuple[Floats, bool]] = []
        for most in (FEW_DEMOS, MOST_DEMOS) if demos.exists() else ():
            index.sync_demos(evenly_spaced([d for d in load_demos(demos) if d.tools], most))
            comparer = Comparer(index.snapshot, embedder)
            used = frozenset[str]().union(*(demo.tools for demo in index.demos))
            asked_here = [asked(comparer, request) for request in requests]
            spoken_of += [
                (example.features, used.issuperset(request.tools))
                for example, request in zip(asked_here, requests, strict=True)
            ]
        if demos.exists():
            found += asked_here
            strange += [asked(comparer, request) for request in strangers]
        if demos.exists() and ask_demos:
            positions = evenly_spaced(range(len(index.demos)), DEMOS_OF_A_SET)
            found += comparer.examples([[position] for position in positions])
            found += comparer.examples(distant_pairs(positions, PAIRS_OF_A_SET))
        return found, strange, spoken_of


def written_needs(file: Path) -> dict[str, list[str]]:
    """What an LLM wrote of the needs of a file's requests, where the rows hold it."""
    rows = map(json.loads, file.read_text("utf-8").splitlines())
    return {
        row["id"]: [need["tool_description"] for need in row["rewritten"]["tool_needs"]]
        for row in rows
        if "rewritten" in row
    }


def asked(comparer: Comparer, request: LabelledRequest, needs: Sequence[str] = ()) -> Example:
    """A request as the ranking sees it; one of another set needs none of the tools."""
    parts = [Query(need, "need") for need in needs]
    parts = parts or [Query(clause, "clause") for clause in split_clauses(request.text)]
    queries = [query.text for query in expand_queries([Query(request.text, "request"), *parts])]
    comparisons = comparer.compare(queries, comparer.embed(queries))
    candidates = gather(comparer.layout, comparisons)
    positions = comparer.snapshot.tools.positions
    gold = [positions[tool] for tool in request.tools if tool in positions]
    return Example(
        candidates.features,
        np.isin(candidates.tools, gold),
        need_inputs(comparer.layout, comparisons, candidates.features),
    )


def unfitted(examples: Sequence[Example]) -> Weights:
    """Weights of zero, with the features' means and deviations over the examples."""
    with_demos = [e.features for e in examples if e.features[:, FEATURES.index("demo_any")].any()]
    features = np.concatenate(with_demos)
    return Weights(
        mean=features.mean(axis=0),
        scale=features.std(axis=0) + 1e-6,
        weight=np.zeros(features.shape[1], dtype=np.float32),
        slope=1.0,
        share=0.0,
        intercept=0.0,
    )


def silent(example: Example) -> bool:
    """Whether no demonstration had a say."""
    return not example.features[:, FEATURES.index("demo_any")].any()


def averaged(example: Example, columns: Sequence[int], weights: Weights) -> Example:
    """The example with the average in some columns, which then tell nothing."""
    features = example.features.copy()
    features[:, columns] = weights.mean[columns]
    return Example(features, example.right, example.need)


if __name__ == "__main__":
    main()
