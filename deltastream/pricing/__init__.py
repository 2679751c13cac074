"""Option mathematics: prices, Greeks, implied volatilities, chains, max pain and bars.

`black76` and `bsm` are the two models, each with ``price``, ``greeks``, ``all_greeks`` and
``implied_volatility``. Their arguments broadcast: Python numbers, lists, NumPy arrays of any shape and real
dtype, columns of pandas and polars, in any mix. Arrays that are C-contiguous float64 are read where they are,
not copied: no other thread may write to them during a call. The GIL is released from 16 elements on.

The numbers come from the Rust core and are the same bits on every machine.
"""

from deltastream._core import Summary
from deltastream.pricing import black76, bsm
from deltastream.pricing._bars import Bars, ohlc
from deltastream.pricing._chain import ChainSide, ChainSweep, Convention, chain_columns, sweep
from deltastream.pricing._max_pain import MaxPain, max_pain
from deltastream.pricing._results import STATUSES, AllGreeks, Greeks, ImpliedVolatility

__all__ = [
    "STATUSES",
    "AllGreeks",
    "Bars",
    "ChainSide",
    "ChainSweep",
    "Convention",
    "Greeks",
    "ImpliedVolatility",
    "MaxPain",
    "Summary",
    "black76",
    "bsm",
    "chain_columns",
    "max_pain",
    "ohlc",
    "sweep",
]
