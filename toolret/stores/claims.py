"""Locking between writers of one index: claims on the number of the next head.

Correctness does not depend on claims, but on the head, which only one writer can create. Claims
save writers from embedding and storing what would then be rejected.
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

__all__ = ["Heartbeats", "claim_next"]

_log = logging.getLogger(__name__)

_POLL = 0.25
"""Seconds between two checks of another writer's claim."""


def claim_next(
    engine: Engine,
    next_number: Callable[[], int],
    *,
    lock_timeout: float,
    lease: float,
) -> Claim:
    """Claim the next head, or take over the claim of a writer that stopped.

    Args:
        engine: The engine that holds the claims.
        next_number: Returns the number of the next head.
        lock_timeout: Seconds to wait for another writer.
        lease: Seconds without a heartbeat after which another writer is presumed dead.

    Raises:
        StoreLockedError: If another writer is active for longer than the timeout.
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
        stored = engine.get([name])
        if name not in stored:
            continue  # the other writer has just finished
        other, now = Claim.of(stored[name], place=engine.place), time.monotonic()
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


class Heartbeats:
    """Context manager that sends a claim's heartbeats while its writer works.

    Args:
        engine: The engine that holds the claim.
        claim: The claim as created.
        every: Seconds between two heartbeats.

    Attributes:
        claim: The claim as last stored.
    """

    def __init__(self, engine: Engine, claim: Claim, *, every: float) -> None:
        self.claim = claim
        self._engine = engine
        self._every = every
        self._changing = threading.Lock()
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._send_beats, daemon=True)

    def draft(self, stem: str, count: int) -> list[str]:
        """Reserve names for ``count`` documents; the claim records them before they are stored.

        Raises:
            StoreLockedError: If another writer presumed this one dead and took over.
        """
        with self._changing:
            first = self.claim.drafts.get(stem, 0)
            self._store(self.claim.with_drafts(stem, count))
        return [f"{stem}/{index}" for index in range(first, first + count)]

    def stop(self) -> None:
        """Stop the heartbeats."""
        self._over.set()
        self._thread.join()

    def give_up(self) -> None:
        """Release the claim; what was stored under it is left to the next writer."""
        with self._changing, suppress(StoreError):  # on failure the lease expires instead
            if self.claim.drafts:
                self._store(replace(self.claim, given_up=True))
            else:  # several writers may take over a claim at once, but only one can create it
                self._check_own()
                self._engine.delete([Claim.name(self.claim.number)])

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        self.stop()
        if kind is not None:
            self.give_up()

    def _send_beats(self) -> None:
        while not self._over.wait(self._every):
            with self._changing, suppress(StoreError):
                self._store(self.claim)

    def _store(self, claim: Claim) -> None:
        """Store the claim with its next heartbeat, unless another writer has taken over."""
        self._check_own()
        claim = claim.with_next_beat()
        self._engine.put([claim.document()])
        self.claim = claim

    def _check_own(self) -> None:
        """Raise ``StoreLockedError`` if another writer has taken over the claim."""
        name = Claim.name(self.claim.number)
        stored = self._engine.get([name]).get(name)
        place = self._engine.place
        if stored is None or Claim.of(stored, place=place).author != self.claim.author:
            raise StoreLockedError(
                f"{place}: another process took this one for dead, and nothing was "
                "changed; sync again, which embeds nothing again"
            )
