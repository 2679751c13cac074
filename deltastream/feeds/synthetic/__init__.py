"""Synthetic markets: eight products from one seed, for demonstration, tests and load.

The same seed and the same clock give the same bytes on every machine: randomness comes from
generators whose streams are fixed, and every number from IEEE basic operations, square roots and
the core.
"""

from deltastream.feeds.synthetic._provider import SyntheticProvider
from deltastream.feeds.synthetic.settings import SyntheticSettings

__all__ = ["SyntheticProvider", "SyntheticSettings"]
