"""Convert schemas of API documents to plain, self-contained JSON Schema (draft 2020-12).

References are inlined. OpenAPI 3.0's dialect is translated wherever it occurs, since real 3.1
documents use it too. Invalid keywords are dropped, and those of no use to a caller (``xml``,
``x-...``, ...); what a ``discriminator`` says is put into words.

The result never rejects what the original accepts: where something is dropped or cut, it accepts
more. Only property names may change, see ``keys``.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, TypeAlias

from toolret.catalogs.discriminators import with_values
from toolret.catalogs.keys import PropertyKeys, with_name
from toolret.catalogs.keywords import NESTING, plain_keyword, plain_type
from toolret.catalogs.refs import Place, References
from toolret.catalogs.schema_merge import ANNOTATIONS, merge_schemas
from toolret.catalogs.subtypes import Subtypes
from toolret.catalogs.text import plain_text
from toolret.schemas.accepted import with_items
from toolret.schemas.drafts import is_pattern
from toolret.schemas.subschemas import NESTED, NESTED_LISTS, NESTED_MAPS

__all__ = ["Schema", "Schemas"]

Schema: TypeAlias = dict[str, Any]
"""A JSON Schema that is an object."""

_MAX_DEPTH = 32
"""Most levels of nesting; a reference counts as one. Stripe's API, the deepest seen, has 6."""

_MAX_SCHEMAS = 1_000
"""Most subschemas of a schema: about 20,000 tokens, more than a planner should read for one tool.
Stripe's largest has 266."""

_REFUSING = frozenset({"allOf", "anyOf", "const", "if", "not", "oneOf"})
"""Keywords that may reject null although ``type`` allows it."""


@dataclass(frozen=True, slots=True)
class _CompleteSchema:
    """The inlined target of a reference, with nothing cut.

    Attributes:
        schema: The schema.
        size: Number of subschemas, including the schema itself.
        height: Levels of nesting.
    """

    schema: Schema
    size: int
    height: int


@dataclass(frozen=True, slots=True)
class _Position:
    """Where a schema is met while another is inlined.

    Attributes:
        place: The schema's place.
        depth: Its level.
        active: The targets of the references that lead to it.
        in_subtype: Whether a subtype builds on it, so that the other subtypes are no choices.
    """

    place: Place
    depth: int = 0
    active: frozenset[Place] = frozenset()
    in_subtype: bool = False

    def nested(self, place: Place, *, in_subtype: bool = False) -> _Position:
        """Return the position of one of the schema's own subschemas."""
        return _Position(place, self.depth + 1, self.active, in_subtype)

    def target(self, place: Place, *, in_subtype: bool) -> _Position:
        """Return the position of the schema that this one refers to."""
        return _Position(place, self.depth + 1, self.active | {place}, in_subtype)

    def beside(self) -> _Position:
        """Return the position of the keywords beside the schema's reference."""
        return replace(self, in_subtype=False)


class Schemas:
    """The inlined schemas of a document.

    Results share equal parts as the same objects, across all tools of the document: treat them as
    read-only.

    Attributes:
        refs: The document's references.
        keys: Property names that had to be changed.
        subtypes: The schemas that build on others.
    """

    def __init__(self, refs: References) -> None:
        self.refs = refs
        self.keys = PropertyKeys()
        self.subtypes = Subtypes(refs, self.keys)
        self._complete: dict[Place, _CompleteSchema] = {}
        self._inlined: dict[Place, Schema] = {}

    def inline(self, schema: Any, place: Place) -> Schema:
        """Return a schema with its references inlined.

        A circular reference is cut at the first recursion: it becomes a schema that says so and
        accepts any value of its target's ``type``. Deep parts are cut likewise if the whole would
        exceed 1,000 subschemas or 32 levels.

        Args:
            schema: The schema in its document.
            place: Its place.

        Raises:
            CatalogError: If a reference leads nowhere.
        """
        if not (isinstance(schema, dict) and schema.keys() == {"$ref"}):
            return self._inline_within_limits(schema, place)
        ref = schema["$ref"]
        if not isinstance(ref, str):
            return {}
        _, target = self.refs.lookup(ref, place)
        if target not in self._inlined:
            self._inlined[target] = self._inline_within_limits(schema, place)
        return self._inlined[target]

    def _inline_within_limits(self, schema: Any, place: Place) -> Schema:
        """Inline a schema as completely as the limits allow."""
        # Without the subtypes' own properties, those of their base may fit.
        for show_subtypes in (True, False):
            attempt = _Inliner(self, _MAX_DEPTH, show_subtypes=show_subtypes)
            result = attempt.inline(schema, _Position(place))
            if not attempt.overflowed:
                return result
        # A single level is the fallback: its size is bounded by the document itself.
        fits, fails = 1, _MAX_DEPTH
        result = _Inliner(self, fits, limited=False).inline(schema, _Position(place))
        while fails - fits > 1:
            depth = (fits + fails) // 2
            attempt = _Inliner(self, depth)
            candidate = attempt.inline(schema, _Position(place))
            if attempt.overflowed:
                fails = depth
            else:
                fits, result = depth, candidate
        return result

    def complete(self, place: Place) -> _CompleteSchema | None:
        """Return the schema at a place if it was already inlined with nothing cut."""
        return self._complete.get(place)

    def remember(self, place: Place, complete: _CompleteSchema) -> None:
        """Remember a schema that was inlined with nothing cut."""
        self._complete[place] = complete


class _Inliner:
    """Inlines one schema up to a depth.

    Args:
        schemas: The document's schemas.
        depth: The deepest level to show.
        limited: Whether to give up (``overflowed``) after ``_MAX_SCHEMAS`` subschemas.
        show_subtypes: Whether to show the schemas that build on one with a discriminator, or only
            to name them.
    """

    def __init__(
        self, schemas: Schemas, depth: int, *, limited: bool = True, show_subtypes: bool = False
    ) -> None:
        self._schemas = schemas
        self._depth = depth
        self._left = _MAX_SCHEMAS if limited else -1
        self._show_subtypes = show_subtypes
        self._cuts = 0
        self._deepest = 0

    @property
    def overflowed(self) -> bool:
        """Whether the limit of subschemas was reached, so that results are incomplete."""
        return self._left == 0

    def inline(self, raw: Any, at: _Position) -> Schema:
        """Inline a schema.

        Args:
            raw: The schema in its document.
            at: Its position.
        """
        if raw is False:
            return {"not": {}}
        if self.overflowed or not isinstance(raw, dict):
            return {}
        self._left -= 1
        self._deepest = max(self._deepest, at.depth)
        if at.depth > self._depth and not NESTING.isdisjoint(raw):
            return self._cut(raw, "nested too deeply to show")
        if isinstance(raw.get("$ref"), str):
            return self._reference(raw, at)
        if not at.in_subtype:
            raw = self._with_subtypes(raw, at.place)
        result: Schema = {}
        loosened: set[str] = set()
        for key, value in raw.items():
            before = self._cuts
            kept = self._keyword(key, value, at)
            self._cuts += _is_partly_lost(key, value, kept)
            if self._cuts > before:
                loosened |= kept.keys()
            result |= kept
        result = with_values(result, raw, self._schemas.keys)
        return _with_interactions(_loosened(result, loosened), raw)

    def _with_subtypes(self, raw: Schema, place: Place) -> Schema:
        """Return a schema with those that build on it, as choices or, cut, as names."""
        if self._show_subtypes:
            return self._schemas.subtypes.with_choices(raw, place)
        named = self._schemas.subtypes.with_names(raw, place)
        self._cuts += named is not raw
        return named

    def _keyword(self, key: str, value: Any, at: _Position) -> Schema:
        """Return a keyword, converted; empty if it is not kept."""

        def nested(part: Any, place: Place, *, in_subtype: bool = False) -> Schema:
            return self.inline(part, at.nested(place, in_subtype=in_subtype))

        there = at.place / key
        if key == "items" and isinstance(value, list):
            key = "prefixItems"
        if key in NESTED and isinstance(value, bool):
            return {key: nested(value, there) if key == "items" else value}
        if key in NESTED and isinstance(value, dict):
            return {key: nested(value, there)}
        if key in NESTED_LISTS and isinstance(value, list) and value:
            derives = key == "allOf" and self._schemas.subtypes.may_be_subtype(at.place)
            return {
                key: [nested(v, there / index, in_subtype=derives) for index, v in enumerate(value)]
            }
        if key == "patternProperties" and isinstance(value, dict):
            patterns = {name: part for name, part in value.items() if is_pattern(name)}
            return {key: {name: nested(part, there / name) for name, part in patterns.items()}}
        if key in NESTED_MAPS and isinstance(value, dict):
            parts = {name: nested(part, there / name) for name, part in value.items()}
            if key == "properties":
                parts = {name: with_name(part, name) for name, part in parts.items()}
            return {key: {self._schemas.keys.key(name): part for name, part in parts.items()}}
        return plain_keyword(key, value, self._schemas.keys)

    def _reference(self, raw: Schema, at: _Position) -> Schema:
        """Inline the target of a reference, merged with the keywords beside the reference."""
        target, there = self._schemas.refs.lookup(raw["$ref"], at.place)
        beside = {key: value for key, value in raw.items() if key != "$ref"}
        in_subtype = at.in_subtype and self._schemas.subtypes.is_base(target)
        if in_subtype and there in at.active:  # a choice of its base, whose rules stand around it
            self._cuts += 1
            return self.inline(beside, at.beside()) if beside else {}
        if there in at.active:
            described = target | beside if isinstance(target, dict) else beside
            return self._cut(described, f"circular reference to {there.name}")
        inlined = self._target(target, at.target(there, in_subtype=in_subtype))
        if not beside:
            return inlined
        both = with_items(merge_schemas([self.inline(beside, at.beside()), inlined]))
        return _nullable(both) if raw.get("nullable") is True else both

    def _target(self, target: Any, at: _Position) -> Schema:
        """Inline a reference's target, reusing an earlier result if it fits."""
        if at.in_subtype:  # the result lacks the choices that it has elsewhere
            return self.inline(target, at)
        complete = self._schemas.complete(at.place)
        if complete and at.depth + complete.height <= self._depth and complete.size < self._left:
            self._left -= complete.size
            self._deepest = max(self._deepest, at.depth + complete.height)
            return complete.schema
        cuts, left, deepest = self._cuts, self._left, self._deepest
        self._deepest = at.depth
        inlined = self.inline(target, at)
        if self._cuts == cuts and not self.overflowed:
            size, height = left - self._left, self._deepest - at.depth
            self._schemas.remember(at.place, _CompleteSchema(inlined, size, height))
        self._deepest = max(self._deepest, deepest)
        return inlined

    def _cut(self, raw: Schema, reason: str) -> Schema:
        """Return a schema that accepts any value of its type, and whose description says why."""
        self._cuts += 1
        named = plain_type(raw.get("type"))
        accepted = named if isinstance(named, str) else " or ".join(named)
        reason = f"{reason}: any {accepted or 'value'} is accepted"
        text = raw.get("description")
        described = plain_text(text) if isinstance(text, str) else ""
        cut: Schema = {"type": named} if named else {}
        cut["description"] = (
            f"{described} ({reason})" if described else reason[0].upper() + reason[1:]
        )
        cut = with_items(cut)
        return _nullable(cut) if raw.get("nullable") is True else cut


def _is_partly_lost(key: str, value: Any, kept: Schema) -> bool:
    """Whether a part of a keyword was dropped because it is not valid JSON Schema."""
    if key == "patternProperties" and key in kept:
        return len(kept[key]) < len(value)
    return key in ("pattern", "type") and bool(value) and not kept


def _loosened(schema: Schema, loosened: set[str]) -> Schema:
    """Return a schema without keywords that reject more since other keywords accept more."""
    if not loosened:
        return schema
    dropped = {"unevaluatedItems", "unevaluatedProperties"}
    if "not" in loosened:
        dropped |= {"not"}
    if "if" in loosened:
        dropped |= {"if", "then", "else"}
    if "contains" in loosened:
        dropped |= {"maxContains"}
    if "patternProperties" in loosened:
        dropped |= {"additionalProperties"}
    schema = {key: value for key, value in schema.items() if key not in dropped}
    if "oneOf" in loosened:
        choices = schema.pop("oneOf")
        schema.setdefault("anyOf", choices)
    return schema


def _with_interactions(schema: Schema, raw: Schema) -> Schema:
    """Apply keywords that change others: OpenAPI 3.0's bounds and ``nullable``, and ``allOf``."""
    for exclusive, bound in (("exclusiveMinimum", "minimum"), ("exclusiveMaximum", "maximum")):
        if raw.get(exclusive) is True and bound in schema:
            schema[exclusive] = schema.pop(bound)
    if "allOf" in schema:
        parts = schema.pop("allOf")
        schema = merge_schemas([schema, *parts])
    schema = with_items(schema)
    return _nullable(schema) if raw.get("nullable") is True else schema


def _nullable(schema: Schema) -> Schema:
    """Return a schema that also accepts null."""
    annotations = {key: value for key, value in schema.items() if key in ANNOTATIONS}
    asserted = {key: value for key, value in schema.items() if key not in ANNOTATIONS}
    if not asserted:
        return schema
    if not _REFUSING.isdisjoint(asserted) or ("type" not in asserted and "enum" not in asserted):
        return annotations | {"anyOf": [asserted, {"type": "null"}]}
    if "type" in asserted:
        named = asserted["type"]
        asserted["type"] = plain_type([*(named if isinstance(named, list) else [named]), "null"])
    if "enum" in asserted and None not in asserted["enum"]:
        asserted["enum"] = [*asserted["enum"], None]
    return annotations | asserted
