"""Run the property tests of the loaders for a while, each test in turn with a new seed.

    nice python scripts/fuzz.py MINUTES

It prints how many examples each test has tried, and stops with hypothesis' report at the first that
fails.
"""

from __future__ import annotations

import argparse
import logging
import time
import warnings

from hypothesis import HealthCheck, Phase, seed, settings

_EXAMPLES = 2_000
"""The number of examples that a test tries before the next test has its turn."""

settings.register_profile(
    "fuzz",
    max_examples=_EXAMPLES,
    deadline=None,
    database=None,
    phases=[Phase.generate, Phase.shrink],
    suppress_health_check=list(HealthCheck),
)

_TESTS = ("test_values_in_memory", "test_functions", "test_requests")
"""The names of the tests in ``tests/catalogs/test_hostile.py``."""


def main() -> None:
    """Fuzz until the time is over."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("minutes", type=float)
    options = parser.parse_args()
    settings.load_profile("fuzz")
    # Imported now: the tests' own settings build upon the profile that is loaded at their import.
    from tests.catalogs import test_hostile

    warnings.simplefilter("error")
    logging.disable()
    end = time.monotonic() + 60 * options.minutes
    rounds = dict.fromkeys(_TESTS, 0)
    current_seed = time.time_ns()
    while time.monotonic() < end:
        for name in _TESTS:
            current_seed += 1
            seed(current_seed)(getattr(test_hostile, name))()
            rounds[name] += 1
            print(name, rounds[name] * _EXAMPLES, flush=True)


if __name__ == "__main__":
    main()
