"""Run all checks on a catalog."""

from __future__ import annotations

from collections.abc import Sequence

from toolret.lint.fields import unread_fields
from toolret.lint.findings import CHECKS, LEVELS, Finding
from toolret.lint.likeness import alike_descriptions, alike_names
from toolret.lint.poisoning import suspicious_texts
from toolret.lint.schemas import schema_defects
from toolret.lint.secrets import secret_arguments
from toolret.lint.wording import poor_texts
from toolret.types import Tool

__all__ = ["lint"]


def lint(tools: Sequence[Tool]) -> list[Finding]:
    """Return all findings for a catalog: most severe first, then in the order of ``CHECKS``."""
    findings = [
        *suspicious_texts(tools),
        *schema_defects(tools),
        *secret_arguments(tools),
        *unread_fields(tools),
        *poor_texts(tools),
        *alike_descriptions(tools),
        *alike_names(tools),
    ]
    checks = list(CHECKS)
    return sorted(findings, key=lambda f: (LEVELS.index(f.level), checks.index(f.check)))
