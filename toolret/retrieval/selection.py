"""``Selection``: what was chosen for a request, why, and the prompt within the budget."""

from __future__ import annotations

import json
import math
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, get_args

from toolret.forking import cached_property
from toolret.options import one_of
from toolret.prompt import Dropped, Format, Packed, pack
from toolret.queries import Usage
from toolret.text.names import ids_by_name
from toolret.tokens import TokenCounter
from toolret.tracing import Span, add_stages, annotate
from toolret.types import DemoHit, Evidence, Hit, Query

__all__ = ["AGAINST_OTHERS", "Selection", "evidence_lines", "trace"]

AGAINST_OTHERS = "against the others"
"""Names what the other candidates add to a tool's log-odds; it is no signal of the tool's own."""

_LEFT_OUT = "  (left out: beyond the token budget)"
"""What an explanation adds to a tool or example that is chosen, but not in the prompt."""

_NEAREST = 3
"""How many tools an explanation names if none was chosen."""


@dataclass(frozen=True)
class Selection:
    """The tools and demonstrations chosen for one request; as a text, ``explain()``.

    Attributes:
        request: The raw request.
        queries: The queries that were searched for, first the request with its misspelt words
            corrected.
        tools: The chosen tools, best first; empty if no tool fits. The budget may leave some out of
            the prompt: ``names`` and ``packed`` hold those that are in it.
        demos: The chosen worked examples, best first; the budget may leave some of them out, too.
        ranked: The top of the whole ranking, including tools that were not chosen.
        need: The estimated probability that the request needs a tool at all, 0 to 1.
        need_threshold: The need from which on tools are given, as ``min_recall`` and
            ``min_precision`` set it. A tool that the request calls by its name is given all the
            same.
        note: Why something was not done as asked, such as an LLM that failed; empty if all was.
        token_budget: The most tokens that the prompt may take; None for no limit.
        counter: Counts the tokens.
        packed: The prompt in the retriever's format, to which ``tokens`` and ``dropped`` refer.
        seconds: Seconds taken, by stage.
        usage: What the LLM's queries cost: model, calls, tokens, latency.
    """

    request: str
    queries: tuple[Query, ...]
    tools: tuple[Hit, ...]
    demos: tuple[DemoHit, ...]
    ranked: tuple[Hit, ...]
    need: float
    need_threshold: float
    note: str
    token_budget: int | None
    counter: TokenCounter
    packed: Packed
    seconds: Mapping[str, float] = field(default_factory=dict)
    usage: Usage = field(default_factory=Usage)

    @property
    def tokens(self) -> int:
        """Tokens of ``packed``: what the prompt adds to the planner's request."""
        return self.packed.tokens

    @property
    def tokens_are_exact(self) -> bool:
        """Whether tokens are counted exactly; otherwise they are an estimate that errs high."""
        return self.counter.exact

    @property
    def dropped(self) -> tuple[Dropped, ...]:
        """The cuts made to fit the budget: the step, and the tokens that it saved."""
        return self.packed.dropped

    @cached_property
    def names(self) -> Mapping[str, str]:
        """Tool ids by their names in the prompt; in any format it holds these tools alone."""
        return ids_by_name(tool.id for tool in self.packed.tools)

    def to_openai(self) -> dict[str, Any]:
        """``{"tools": [...], "messages": [...]}`` for OpenAI's Chat Completions.

        The messages hold the worked examples; the conversation follows them.

        Raises:
            BudgetError: If this is not the retriever's format, and the budget holds none of the
                tools.
        """
        return self.packed_as("openai").to_openai()

    def to_anthropic(self) -> dict[str, Any]:
        """``{"tools": [...], "system": "..."}`` for Anthropic's Messages.

        Raises:
            BudgetError: If this is not the retriever's format, and the budget holds none of the
                tools.
        """
        return self.packed_as("anthropic").to_anthropic()

    def to_text(self) -> str:
        """Tools and worked examples as plain text, for any model.

        Raises:
            BudgetError: If this is not the retriever's format, and the budget holds none of the
                tools.
        """
        return self.packed_as("text").to_text()

    def __str__(self) -> str:
        return self.explain()

    def explain(self) -> str:
        """Explain, for people, why these tools and demonstrations were chosen."""
        lines = [f"request: {self.request}"]
        if self.queries and self.queries[0].text != self.request:
            lines.append(f"read as: {self.queries[0].text}")
        lines += [f"query ({query.kind}): {query.text}" for query in self.queries[1:]]
        if self.usage.model:
            lines.append(f"queries: {self.usage}")
        if self.usage.cut:
            lines.append(f"cut from the LLM's prompt: {self.usage.cut}")
        if self.note:
            lines.append(f"note: {self.note}")
        lines += self._need_lines()
        tools, demos = self._packed_ids
        for rank, hit in enumerate(self.tools, start=1):
            out = "" if hit.tool.id in tools else _LEFT_OUT
            lines.append(f"{rank}. {hit.tool.id}  p={hit.score:.3f}{out}")
            lines += evidence_lines(hit)
        for example in self.demos:
            out = "" if example.demo.id in demos else _LEFT_OUT
            about = f"cosine={example.similarity:.3f}: {example.reason}{out}"
            lines.append(f"example {example.demo.id}  {about}")
        return "\n".join([*lines, *self._cut_lines()])

    def _need_lines(self) -> list[str]:
        """Explain whether a tool is needed; if none was chosen, which came nearest."""
        needed = f"p={self.need:.3f} that a tool is needed"
        if not self.tools or self.need >= self.need_threshold:  # else one was called by its name
            needed += f", given from p={self.need_threshold:.3f} on"
        if self.tools:
            return [needed]
        nearest = [f"{hit.tool.id} (p={hit.score:.3f})" for hit in self.ranked[:_NEAREST]]
        return [
            f"no tool fits: {needed}",
            f"nearest: {', '.join(nearest) or 'there was no tool to choose from'}",
        ]

    def _cut_lines(self) -> list[str]:
        """Explain what was cut to fit the budget, one step a line."""
        lines = []
        for kind, step in dict.fromkeys((cut.kind, cut.step) for cut in self.dropped):
            cuts = [cut for cut in self.dropped if (cut.kind, cut.step) == (kind, step)]
            saved = sum(cut.tokens_saved for cut in cuts)
            of = f"{len(cuts)} {kind}{'s' * (len(cuts) > 1)}"
            lines.append(f"cut: {step}, of {of} (-{saved} tokens)")
        return lines

    def packed_as(self, form: Format) -> Packed:
        """The prompt in a format, within the budget; never more than ``packed`` holds.

        Raises:
            BudgetError: If this is not the retriever's format, and the budget holds none of the
                tools.
            InputError: If there is no such format.
        """
        one_of("form", form, get_args(Format))
        if form == self.packed.form:
            return self.packed
        tools, demos = self._packed_ids
        return pack(
            [hit for hit in self.tools if hit.tool.id in tools],
            [hit for hit in self.demos if hit.demo.id in demos],
            budget=self.token_budget,
            form=form,
            counter=self.counter,
        )

    @property
    def _packed_ids(self) -> tuple[set[str], set[str]]:
        """Ids of the tools, and of the demonstrations, in the prompt."""
        packed = self.packed
        return {tool.id for tool in packed.tools}, {demo.id for demo in packed.demos}


def evidence_lines(hit: Hit) -> list[str]:
    """Return what each signal added to a hit's log-odds, one signal a line."""
    return [
        f"     {item.contribution:+7.2f}  {item.signal}{_figure(item)}"
        for item in sorted(hit.evidence, key=lambda item: item.signal == AGAINST_OTHERS)
        if round(item.contribution, 2)
    ]


def _figure(evidence: Evidence) -> str:
    """Return a signal's value for people, in brackets; empty if it has none worth telling."""
    value = evidence.value
    if evidence.signal == "demonstrations" and not value:
        return " (no demonstration uses it)"
    figures = {
        "dense": f"cosine {value:.2f}",
        "lexical": f"{math.sqrt(max(value, 0)):.0%} of the best score",
        "name": f"{value:.0%} of it said",
        "namespace": f"{value:.0%} of it said",
        "neighbours": f"cosine {value:.2f}",
        "demonstrations": f"nearest: cosine {value:.2f}",
        "reranked": f"score {value:g}",
    }
    return f" ({figures[evidence.signal]})" if evidence.signal in figures else ""


def trace(current: Span, selection: Selection, embedder: str) -> None:
    """Record on a span what was selected, with a child span for each stage.

    Args:
        current: The span of the selection, which is the current one.
        selection: What was just selected.
        embedder: The id of the queries' embedder.
    """
    packed, usage = selection.packed, selection.usage
    annotate(
        current,
        {
            "toolret.queries.count": len(selection.queries),
            "toolret.tools.offered": len(packed.tools),
            "toolret.demos.shown": len(packed.demos),
            "toolret.need": selection.need,
            "toolret.tokens": selection.tokens,
            "toolret.token_budget": selection.token_budget,
            "toolret.dropped.count": len(selection.dropped),
            "toolret.degraded": bool(selection.note),
        },
        content=lambda: {
            "gen_ai.retrieval.query.text": selection.request,
            "gen_ai.retrieval.documents": json.dumps(
                [{"id": hit.tool.id, "score": hit.score} for hit in selection.tools]
            ),
            "toolret.note": selection.note,
            "toolret.queries": [query.text for query in selection.queries],
            "toolret.demos": [hit.demo.id for hit in selection.demos],
        },
    )
    notes: dict[str, dict[str, Any]] = {
        "queries": {
            "gen_ai.request.model": usage.model or None,
            "gen_ai.usage.input_tokens": usage.input_tokens if usage.model else None,
            "gen_ai.usage.output_tokens": usage.output_tokens if usage.model else None,
            "toolret.queries.strategy": usage.strategy or None,
            "toolret.queries.calls": usage.calls,
            "toolret.queries.cached": usage.cached,
        },
        "embed": {"gen_ai.operation.name": "embeddings", "gen_ai.request.model": embedder},
    }
    add_stages(selection.seconds, notes, ended=time.time_ns())
