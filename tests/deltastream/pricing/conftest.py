"""Both models, as the tests of the public face call them."""

from __future__ import annotations

from dataclasses import dataclass
from types import ModuleType
from typing import Any

import numpy as np
import pytest

from deltastream.pricing import AllGreeks, Greeks, ImpliedVolatility, black76, bsm

FUNCTIONS = ("price", "greeks", "all_greeks", "implied_volatility")


@dataclass(frozen=True)
class Function:
    """One function of one model.

    Attributes:
        names: of its numeric arguments; ``is_call`` follows.
        usual: a value for each of them.
    """

    model: ModuleType
    name: str
    names: tuple[str, ...]
    usual: tuple[float, ...]

    def __call__(self, *values: Any, **options: Any) -> Any:
        return getattr(self.model, self.name)(*values, **options)

    def empty(self, shape: int | tuple[int, ...]) -> Any:
        """What can be handed in as ``out``."""
        kinds = {"greeks": Greeks, "all_greeks": AllGreeks, "implied_volatility": ImpliedVolatility}
        return kinds[self.name].empty(shape) if self.name in kinds else np.full(shape, np.nan)

    def __repr__(self) -> str:
        return f"{self.model.__name__.split('.')[-1]}.{self.name}"


def _function(model: ModuleType, name: str) -> Function:
    underlying, extra = ("forward", ()) if model is black76 else ("spot", ("dividend_yield",))
    values = {
        "price": 9.0,
        underlying: 100.0,
        "strike": 95.0,
        "t": 0.5,
        "sigma": 0.25,
        "rate": 0.03,
        "dividend_yield": 0.01,
    }
    names = (
        ("price", underlying, "strike", "t", "rate", *extra)
        if name == "implied_volatility"
        else (underlying, "strike", "t", "sigma", "rate", *extra)
    )
    return Function(model, name, names, tuple(values[n] for n in names))


ALL = [_function(model, name) for model in (black76, bsm) for name in FUNCTIONS]


@pytest.fixture(params=ALL, ids=repr)
def function(request: pytest.FixtureRequest) -> Function:
    """Each function of each model."""
    return request.param


@pytest.fixture(scope="session")
def functions() -> list[Function]:
    """All functions of both models."""
    return ALL


@pytest.fixture(scope="session")
def arrays_of() -> Any:
    """The arrays (or scalars) of a result, of whichever kind."""

    def arrays(result: Any) -> list[Any]:
        return list(result.as_dict().values()) if hasattr(result, "as_dict") else [result]

    return arrays
