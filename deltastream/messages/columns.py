"""The columns of a chain: which row of the matrix holds what.

A chain is one C-contiguous float64 matrix, a row per column of the market's table and a matrix
column per listed strike, so that it travels, is stored and enters the core as one block.
NaN means "not there", everywhere.
"""

from __future__ import annotations

from typing import Final

__all__ = [
    "ANALYTICS_ROWS",
    "BUILDUP",
    "CHAIN_COLUMNS",
    "CHAIN_ROWS",
    "ENRICHED_COLUMNS",
    "ENRICHED_ROWS",
    "IV_STATUS",
    "ROW",
    "SIDE_ANALYTICS",
    "SIDE_COLUMNS",
]

SIDE_COLUMNS: Final = (
    "bid",
    "bid_size",
    "ask",
    "ask_size",
    "last",
    "volume",
    "oi",
    "prev_close",
    "prev_oi",
    "last_trade_us",  # microseconds since the epoch, UTC: exact in a float64
    "vendor_iv",  # fraction
)
"""What the market says of one option, per side."""

SIDE_ANALYTICS: Final = (
    "bid_iv",
    "iv",
    "ask_iv",
    "iv_status",
    "delta",
    "gamma",
    "theta",
    "vega",
    "rho",
    "oi_change",
    "buildup",
)
"""What the core adds, per side. Units: see `docs/numbers.md`."""

CHAIN_COLUMNS: Final = (
    "strike",
    *(f"call_{name}" for name in SIDE_COLUMNS),
    *(f"put_{name}" for name in SIDE_COLUMNS),
)
CHAIN_ROWS: Final = len(CHAIN_COLUMNS)

ENRICHED_COLUMNS: Final = (
    *CHAIN_COLUMNS,
    *(f"call_{name}" for name in SIDE_ANALYTICS),
    *(f"put_{name}" for name in SIDE_ANALYTICS),
)
ENRICHED_ROWS: Final = len(ENRICHED_COLUMNS)
ANALYTICS_ROWS: Final = ENRICHED_ROWS - CHAIN_ROWS

ROW: Final = {name: row for row, name in enumerate(ENRICHED_COLUMNS)}
"""Row of each column; the market's rows come first, so it serves both kinds of chain."""

IV_STATUS: Final = (
    "converged",
    "no_two_sided_quote",
    "below_intrinsic",
    "above_maximum",
    "not_enough_precision",
    "no_time",
    "no_forward",
    "invalid_input",
)
"""Meaning of `iv_status` by number; 16 is added where the Greeks use the other side's volatility."""

BUILDUP: Final = ("neutral", "long_buildup", "short_buildup", "short_covering", "long_unwinding")
"""Meaning of `buildup` by number."""
