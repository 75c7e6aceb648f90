"""Writers of one index wait for each other: claims on the number of the next head.

That two do not disturb each other does not rest on this, but on the head, which only one can
create. It spares them the work of embedding and storing what would then be refused.
"""

from __future__ import annotations

import logging
import secrets
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from typing import Self

from toolret.errors import StoreError, StoreLockedError
from toolret.stores.engines import Engine
from toolret.stores.ledger import Claim

__all__ = ["Beating", "claim_next"]

_log = logging.getLogger(__name__)

_POLL = 0.25
"""Seconds between two looks at another writer's claim."""


def claim_next(
    engine: Engine,
    next_number: Callable[[], int],
    *,
    lock_timeout: float,
    lease: float,
) -> Claim:
    """The claim on the next head, new or taken over from a writer that stopped.

    Args:
        engine: Where the claims are.
        next_number: What the next head is to be numbered.
        lock_timeout: Seconds to wait for another writer.
        lease: Seconds without a sign of life after which another writer is taken for dead.

    Raises:
        StoreLockedError: If another writer is at work for longer than the time-out.
    """
    author = secrets.token_hex(8)
    deadline = time.monotonic() + lock_timeout
    seen: Claim | None = None
    seen_at = 0.0
    while True:
        claim = Claim(next_number(), author)
        if engine.create(claim.document()):
            return claim
        name = Claim.name(claim.number)
        found = engine.get([name])
        if name not in found:
            continue  # it was done in this moment
        other, now = Claim.of(found[name], place=engine.place), time.monotonic()
        if other != seen:
            seen, seen_at = other, now
        if other.given_up or now - seen_at > lease:
            _log.info("%s: taking over from a writer that stopped", engine.place)
            claim = replace(claim, drafts=other.drafts)
            engine.put([claim.document()])
            return claim
        if now > deadline:
            raise StoreLockedError(
                f"{engine.place}: another process has been writing for more than "
                f"{lock_timeout:g} s; wait for it, or raise lock_timeout"
            )
        time.sleep(_POLL)


class Beating:
    """A claim that shows signs of life while a writer works, as a context manager.

    Args:
        engine: Where the claim is.
        claim: As it was made.
        every: Seconds between two signs of life.

    Attributes:
        claim: As it was told last.
    """

    def __init__(self, engine: Engine, claim: Claim, *, every: float) -> None:
        self.claim = claim
        self._engine = engine
        self._every = every
        self._changing = threading.Lock()
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._beat, daemon=True)

    def draft(self, stem: str, count: int) -> list[str]:
        """Names for so many documents to be stored; the claim tells of them before they are.

        Raises:
            StoreLockedError: If another writer took this one for dead, and took over.
        """
        with self._changing:
            first = self.claim.drafts.get(stem, 0)
            self._tell(self.claim.drafting(stem, count))
        return [f"{stem}/{index}" for index in range(first, first + count)]

    def stop(self) -> None:
        """No more signs of life."""
        self._over.set()
        self._thread.join()

    def give_up(self) -> None:
        """Leave the claim, and what was stored under it, to the next writer."""
        with self._changing, suppress(StoreError):  # it finds out by itself, but later
            self._tell(replace(self.claim, given_up=True))

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        self.stop()
        if kind is not None:
            self.give_up()

    def _beat(self) -> None:
        while not self._over.wait(self._every):
            with self._changing, suppress(StoreError):
                self._tell(self.claim)

    def _tell(self, claim: Claim) -> None:
        name = Claim.name(claim.number)
        found = self._engine.get([name]).get(name)
        place = self._engine.place
        if found is None or Claim.of(found, place=place).author != claim.author:
            raise StoreLockedError(
                f"{place}: another process took this one for dead, and nothing was "
                "changed; sync again, which embeds nothing again"
            )
        claim = claim.beating()
        self._engine.put([claim.document()])
        self.claim = claim
