"""Fit the prior weights of the ranking on public data and write ``toolret/ranking/prior.json``.

    python -m scripts.fit_prior ../shared/data

Each set gives requests with known tools in four ways: its labelled requests against its tools
alone; the same requests with its demonstrations; the demonstrations themselves, singly and in
pairs, each left out of those that answer it; and, where the set has that, the requests with the
needs that an LLM once wrote of them. Requests that need none of its tools are those of other sets,
and the general ones, each left out of their mean. Every set counts alike, so that a large one does
not decide. A set's tools are adapted by a matrix that saw nothing of it (``scripts.fit_adapter``):
with one that did, cosines would say more than they do of a user's tools. With ``--without NAME`` a
set and its siblings are left out, which is how the prior is tested on data it has not seen; nothing
is written then, and the fitted values are printed.
"""

from __future__ import annotations

import argparse
import json
import tempfile
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from scripts.fit_adapter import demonstrated_sets, fit_without
from toolret.catalogs import load_tools
from toolret.embedders import RoleEmbedder, SentenceTransformerEmbedder
from toolret.index import ToolIndex
from toolret.queries.combining import expand_queries
from toolret.ranking.arrays import Floats
from toolret.ranking.comparer import Comparer
from toolret.ranking.evidence import FEATURES, gather
from toolret.ranking.familiarity import Familiarity, fit_familiarity
from toolret.ranking.fitting import Example, fit_weights, need_inputs_of
from toolret.ranking.general import GENERAL_REQUESTS, general_vectors
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
"""The files of requests to learn from in the data folder, as ``folder/file``."""

MOST_DEMOS = 3_000
"""The most demonstrations of a set that are indexed, evenly spaced ones, to keep the run short."""

REQUESTS_OF_A_SET = 150
"""The most requests of a set that are asked: all sets have about as many, so all count alike."""

DEMOS_OF_A_SET = 150
"""The most demonstrations of a set that are asked, for the same reason."""

FEW_DEMOS = 30
"""The number of demonstrations with which it is seen what a few are worth."""

PAIRS_OF_A_SET = 50
"""The number of pairs of demonstrations of a set that are asked as one request."""

STRANGERS_OF_A_SET = 5
"""The number of requests of each other set that a set is asked as needing none of its tools."""

UNIVERSAL = "toolret"
"""A folder whose tools are of every kind, so that no other set's requests are strange to it."""

LEARNT = [i for i, name in enumerate(FEATURES) if name.startswith(("demo", "dense_aligned"))]
"""The positions of the features that demonstrations decide."""

FROM_VECTORS = [
    i
    for i, name in enumerate(FEATURES)
    if name == "demo_any_nearest"
    or not name.startswith(("lexical", "name", "demo_lexical", "demo_count", "demo_any"))
]
"""The positions of the features that vectors decide."""

PRIOR = Path(__file__).parent.parent / "toolret" / "ranking" / "prior.json"
"""The file of the shipped prior."""


@dataclass(frozen=True)
class SetExamples:
    """The training examples of one file of requests.

    Attributes:
        needing: Examples of requests that need tools of the set.
        idle: Examples of general requests and other sets', which need none of its tools.
        familiar: Features of the requests with few and with many demonstrations, each with whether
            these use all tools of the request.
    """

    needing: list[Example]
    idle: list[Example]
    familiar: list[tuple[Floats, bool]]


def main() -> None:
    """Fit the prior, and write it; if a set is left out, print it instead."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("data", type=Path)
    parser.add_argument("--without", default="", help="folder of a set to leave out")
    arguments = parser.parse_args()
    sets = examples_of_sets(arguments.data, arguments.without)
    written = json.dumps(fit_prior(sets), indent=1)
    if arguments.without:
        print(written)
    else:
        PRIOR.write_text(written + "\n", "utf-8")


def examples_of_sets(data: Path, without: str) -> list[SetExamples]:
    """Return the examples of each of ``SETS``, except those of the folder ``without``."""
    model = SentenceTransformerEmbedder()
    names = [
        (folder, file)
        for folder, _, file in (name.partition("/") for name in SETS)
        if folder != without
    ]
    demonstrated = demonstrated_sets(data, model)
    demonstrated.pop(without, None)
    adapters = fit_without({folder for folder, _ in names}, demonstrated)
    strangers = {
        folder: evenly_spaced(requests_of(data / folder, file), STRANGERS_OF_A_SET)
        for folder, file in names
    }
    sets: list[SetExamples] = []
    seen: set[str] = set()
    for folder, file in names:
        examples = examples_of(
            data / folder,
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
        print(
            f"{folder}/{file}: {len(examples.needing)} examples, "
            f"{len(examples.idle)} that need no tool"
        )
        sets.append(examples)
    return sets


def fit_prior(sets: Sequence[SetExamples]) -> dict[str, Any]:
    """Fit all that ``prior.json`` holds, as JSON values."""
    examples = [example for of_set in sets for example in of_set.needing]
    idle = [example for of_set in sets for example in of_set.idle]
    start = initial_weights(examples)
    alone = [
        with_averages(example, LEARNT, start) for example in examples if is_undemonstrated(example)
    ]
    text = fit_weights(alone, start)
    by_demos = fit_weights(examples, start)
    needs = [
        [need_inputs_of(example, text) for example in of_set.needing if is_undemonstrated(example)]
        for of_set in sets
    ]
    text_need = fit_need(
        [need for of_set in needs for need in of_set],
        [need_inputs_of(e, text) for e in idle if is_undemonstrated(e)],
    )
    # A target of recall shall hold in each catalog: those of a few tools are further from requests
    # than large ones, in which something is always near.
    lowest = np.min([fit_need(of_set, [], text_need).needing for of_set in needs], axis=0)
    return {
        "text": weights_to_json(text),
        "demonstrated": weights_to_json(by_demos),
        "text_by_words": weights_to_json(
            fit_weights([with_averages(e, FROM_VECTORS, start) for e in alone], start)
        ),
        "demonstrated_by_words": weights_to_json(
            fit_weights([with_averages(e, FROM_VECTORS, start) for e in examples], start)
        ),
        "text_need": asdict(replace(text_need, needing=tuple(lowest.tolist()))),
        "demonstrated_need": asdict(
            fit_need(
                [need_inputs_of(e, by_demos) for e in examples if not is_undemonstrated(e)],
                [need_inputs_of(e, by_demos) for e in idle if not is_undemonstrated(e)],
            )
        ),
        "familiarity": familiarity_to_json([pair for of_set in sets for pair in of_set.familiar]),
    }


def familiarity_to_json(requests: Sequence[tuple[Floats, bool]]) -> dict[str, float]:
    """Fit the familiarity to requests, each with whether demonstrations use all its tools."""
    kinds: dict[bool, list[Floats]] = {True: [], False: []}
    for features, is_familiar in requests:
        kinds[is_familiar].append(features)
    familiarity = fit_familiarity(
        kinds[True],
        kinds[False],
        undemonstrated=len(kinds[False]) / len(kinds[True]),  # each request counts alike
        prior=Familiarity(0.0, 0.0, 0.0),
    )
    assert familiarity is not None, "there are both kinds"
    return {name: round(value, 6) for name, value in asdict(familiarity).items()}


def requests_of(folder: Path, file: str) -> list[LabelledRequest]:
    """Return the requests of a set that need a tool."""
    return [request for request in load_requests(folder / f"{file}.jsonl") if request.tools]


def examples_of(
    folder: Path,
    file: str,
    embedder: RoleEmbedder,
    *,
    ask_demos: bool,
    strangers: Sequence[LabelledRequest],
) -> SetExamples:
    """Ask a set its requests with and without demonstrations, and such as need none of its tools.

    Args:
        folder: The folder of the set.
        file: The name of the file of requests, without its ending.
        embedder: The embedder of the set's index.
        ask_demos: Whether the demonstrations are asked, too.
        strangers: Requests of other sets.
    """
    with tempfile.TemporaryDirectory() as scratch:
        index = ToolIndex(Path(scratch) / "index", embedder=embedder)
        index.sync_tools(load_tools(folder / "tools.jsonl"))
        requests = evenly_spaced(requests_of(folder, file), REQUESTS_OF_A_SET)
        comparer = Comparer(index.snapshot, embedder)
        vectors = general_vectors(embedder)
        general = vectors.mean(axis=0)
        needing = [example_of(comparer, request, general) for request in requests]
        needs = written_needs(folder / f"{file}.jsonl")
        needing += [
            example_of(comparer, r, general, needs[r.id]) for r in requests if r.id in needs
        ]
        idle = idle_examples(comparer, strangers, vectors)
        familiar: list[tuple[Floats, bool]] = []
        if not (folder / "demos.jsonl").exists():
            return SetExamples(needing, idle, familiar)
        demos = [demo for demo in load_demos(folder / "demos.jsonl") if demo.tools]
        demonstrated: list[Example] = []
        for most in (FEW_DEMOS, MOST_DEMOS):
            index.sync_demos(evenly_spaced(demos, most))
            comparer = Comparer(index.snapshot, embedder)
            used = frozenset[str]().union(*(demo.tools for demo in index.demos))
            demonstrated = [example_of(comparer, request, general) for request in requests]
            familiar += [
                (example.features, used.issuperset(request.tools))
                for example, request in zip(demonstrated, requests, strict=True)
            ]
        needing += demonstrated  # those with the most demonstrations
        idle += idle_examples(comparer, strangers, vectors)
        if ask_demos:
            positions = evenly_spaced(range(len(index.demos)), DEMOS_OF_A_SET)
            needing += comparer.examples([[position] for position in positions], general)
            needing += comparer.examples(distant_pairs(positions, PAIRS_OF_A_SET), general)
        return SetExamples(needing, idle, familiar)


def written_needs(file: Path) -> dict[str, list[str]]:
    """Return what an LLM wrote of requests' needs, by request id, for the rows that hold it."""
    rows = map(json.loads, file.read_text("utf-8").splitlines())
    return {
        row["id"]: [need["tool_description"] for need in row["rewritten"]["tool_needs"]]
        for row in rows
        if "rewritten" in row
    }


def idle_examples(
    comparer: Comparer, strangers: Sequence[LabelledRequest], vectors: Floats
) -> list[Example]:
    """Return requests that need no tool as the ranking sees them; none if a set has every tool.

    Args:
        comparer: The comparer of the index that is asked.
        strangers: Requests of other sets, if these need none of the tools.
        vectors: Vectors of the general requests, shape ``(requests, dimensions)``.
    """
    if not strangers:
        return []
    general = vectors.mean(axis=0)
    others = (vectors.sum(axis=0) - vectors) / (len(vectors) - 1)
    return [
        *(example_of(comparer, request, general) for request in strangers),
        *(
            example_of(comparer, LabelledRequest("general", text), of_others)
            for text, of_others in zip(GENERAL_REQUESTS, others, strict=True)
        ),
    ]


def example_of(
    comparer: Comparer, request: LabelledRequest, general: Floats, needs: Sequence[str] = ()
) -> Example:
    """Return a request as the ranking sees it; one of another set needs none of the tools.

    Args:
        comparer: The comparer of the index that is asked.
        request: The request.
        general: Mean vector of general requests, shape ``(dimensions,)``.
        needs: What an LLM wrote of its needs; without any, the request's clauses are asked.
    """
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
        need_inputs(comparer.layout, comparisons, candidates.features, general),
    )


def initial_weights(examples: Sequence[Example]) -> Weights:
    """Return weights of zero, with the features' means and deviations over the examples."""
    features = np.concatenate([e.features for e in examples if not is_undemonstrated(e)])
    return Weights(
        mean=features.mean(axis=0),
        scale=features.std(axis=0) + 1e-6,
        weight=np.zeros(features.shape[1], dtype=np.float32),
        slope=1.0,
        share=0.0,
        intercept=0.0,
    )


def is_undemonstrated(example: Example) -> bool:
    """Whether no demonstration contributed to an example's features."""
    return not example.features[:, FEATURES.index("demo_any")].any()


def with_averages(example: Example, columns: Sequence[int], weights: Weights) -> Example:
    """Return an example with the average in some columns, which then tell nothing."""
    features = example.features.copy()
    features[:, columns] = weights.mean[columns]
    return Example(features, example.right, example.need)


if __name__ == "__main__":
    main()
