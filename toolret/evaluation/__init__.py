"""Measure retrieval quality: runs over labelled requests, metrics, reports."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from toolret.evaluation.runs import Report, evaluate

__all__ = ["Report", "evaluate"]


if not TYPE_CHECKING:  # it would tell type checkers that the module has any name

    def __getattr__(name: str) -> object:
        if name in __all__:  # the retriever is only loaded when needed
            from toolret.evaluation import runs

            return getattr(runs, name)
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
