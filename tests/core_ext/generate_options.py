"""Writes golden option prices and Greeks with mpmath: ``python tests/core_ext/generate_options.py`` (10 s).

``golden/prices.csv``: a call and a put per row. ``golden/greeks.csv``: one option per row, raw derivatives.
Inputs are exact doubles, the ones a test hands to the code; values are computed with 80 digits or more and
rounded once. Each derivative is a central difference of the price over steps of 1e-36 at 200 digits, so that
it shares no formula with the code under test. Every row of Greeks must satisfy the Black-Scholes equation to
30 digits before it is written.
"""

import csv
import itertools
import math
import random
from collections.abc import Callable, Iterable, Iterator
from typing import NamedTuple

import mpmath as mp
from generate_golden import GOLDEN, normal_cdf, rounded

DIGITS = 80
DIGITS_OF_DIFFERENCES = 200
STEP = mp.mpf(10) ** -36
BLACK76, BSM = "black76", "bsm"
GREEKS = (
    *("price", "delta", "gamma", "vega", "theta", "rho", "vanna", "charm", "vomma", "veta"),
    *("speed", "zomma", "color", "ultima", "forward_delta"),
)


class Contract(NamedTuple):
    """Exact doubles: what a caller would pass. The underlying of Black-76 is a forward; its yield is 0."""

    model: str
    underlying: float
    strike: float
    t: float
    sigma: float
    rate: float
    dividend_yield: float


class Point(NamedTuple):
    """Where the price is evaluated: underlying, volatility, time and rate; the rest is the contract's."""

    s: mp.mpf
    v: mp.mpf
    t: mp.mpf
    r: mp.mpf


def out_of_the_money(contract: Contract, at: Point, is_call: bool) -> mp.mpf:
    """Price of the option whose two terms do not cancel; the caller picks the side once per contract."""
    k, q = mp.mpf(contract.strike), mp.mpf(contract.dividend_yield)
    forward = at.s if contract.model == BLACK76 else at.s * mp.exp((at.r - q) * at.t)
    sd = at.v * mp.sqrt(at.t)
    d1 = mp.log(forward / k) / sd + sd / 2
    d2 = d1 - sd
    value = (
        forward * normal_cdf(d1) - k * normal_cdf(d2)
        if is_call
        else k * normal_cdf(-d2) - forward * normal_cdf(-d1)
    )
    return mp.exp(-at.r * at.t) * value


def forward_contract(contract: Contract, at: Point) -> mp.mpf:
    """Call less put: present value of the underlying's forward less the strike's."""
    k, q = mp.mpf(contract.strike), mp.mpf(contract.dividend_yield)
    carry = at.r if contract.model == BLACK76 else q
    return at.s * mp.exp(-carry * at.t) - k * mp.exp(-at.r * at.t)


def point(contract: Contract) -> Point:
    return Point(*map(mp.mpf, (contract.underlying, contract.sigma, contract.t, contract.rate)))


def prices(contract: Contract) -> tuple[mp.mpf, mp.mpf]:
    """Call and put: the one out of the money by the formula, the other one by parity."""
    at = point(contract)
    parity = forward_contract(contract, at)
    call_is_out = parity <= 0
    value = out_of_the_money(contract, at, call_is_out)
    return (value, value - parity) if call_is_out else (value + parity, value)


class Differences:
    """Central differences of ``function`` around a point, each value computed once."""

    def __init__(self, function: Callable[[Point], mp.mpf], at: Point) -> None:
        self._function = function
        self._at = at
        self._steps = Point(at.s * STEP, at.v * STEP, at.t * STEP, STEP)
        self._values: dict[tuple[int, ...], mp.mpf] = {}

    def __call__(self, **orders: int) -> mp.mpf:
        """Mixed derivative: ``d(s=2, t=1)`` is twice by the underlying and once by time."""
        wanted = [orders.get(name, 0) for name in Point._fields]
        total = mp.mpf(0)
        for terms in itertools.product(*(STENCILS[order] for order in wanted)):
            total += math.prod((weight for _, weight in terms), start=mp.mpf(1)) * self._value(
                tuple(offset for offset, _ in terms)
            )
        return total / math.prod(step**order for step, order in zip(self._steps, wanted, strict=True))

    def _value(self, offsets: tuple[int, ...]) -> mp.mpf:
        if offsets not in self._values:
            moved = (x + n * h for x, n, h in zip(self._at, offsets, self._steps, strict=True))
            self._values[offsets] = self._function(Point(*moved))
        return self._values[offsets]


HALF = mp.mpf(1) / 2
STENCILS = (
    ((0, 1),),
    ((-1, -HALF), (1, HALF)),
    ((-1, 1), (0, -2), (1, 1)),
    ((-2, -HALF), (-1, 1), (1, -1), (2, HALF)),
)


def derivatives(d: Differences) -> dict[str, mp.mpf]:
    """All but the forward delta, from anything that gives mixed derivatives."""
    return {
        "price": d(),
        "delta": d(s=1),
        "gamma": d(s=2),
        "vega": d(v=1),
        "theta": -d(t=1),
        "rho": d(r=1),
        "vanna": d(s=1, v=1),
        "charm": -d(s=1, t=1),
        "vomma": d(v=2),
        "veta": d(v=1, t=1),
        "speed": d(s=3),
        "zomma": d(s=2, v=1),
        "color": d(s=2, t=1),
        "ultima": d(v=3),
    }


def greeks(contract: Contract) -> tuple[dict[str, mp.mpf], dict[str, mp.mpf]]:
    """Call and put. The one in the money adds the forward contract, whose derivatives are elementary."""
    at = point(contract)
    call_is_out = forward_contract(contract, at) <= 0
    out = derivatives(Differences(lambda p: out_of_the_money(contract, p, call_is_out), at))
    check_equation(contract, at, out)
    undiscounted = contract._replace(model=BLACK76)
    q = mp.mpf(contract.dividend_yield)
    forward = at.s if contract.model == BLACK76 else at.s * mp.exp((at.r - q) * at.t)
    there = Point(forward, at.v, at.t, mp.mpf(0))
    out["forward_delta"] = Differences(lambda p: out_of_the_money(undiscounted, p, call_is_out), there)(s=1)

    carry, strike = (at.r if contract.model == BLACK76 else q), mp.mpf(contract.strike)
    held, paid = mp.exp(-carry * at.t), strike * mp.exp(-at.r * at.t)
    by_rate = at.s * held if contract.model == BLACK76 else mp.mpf(0)
    parity = {
        "price": at.s * held - paid,
        "delta": held,
        "theta": carry * at.s * held - at.r * paid,
        "rho": at.t * (paid - by_rate),
        "charm": carry * held,
        "forward_delta": mp.mpf(1),
    }
    sign = -1 if call_is_out else 1
    back = {name: value + sign * parity.get(name, 0) for name, value in out.items()}
    return (out, back) if call_is_out else (back, out)


def check_equation(contract: Contract, at: Point, d: dict[str, mp.mpf]) -> None:
    """The price must solve the Black-Scholes equation, here and differentiated once by the underlying."""
    carry = mp.mpf(0) if contract.model == BLACK76 else at.r - mp.mpf(contract.dividend_yield)
    s, half = at.s, at.v**2 / 2
    terms = (d["theta"], half * s**2 * d["gamma"], carry * s * d["delta"], -at.r * d["price"])
    slopes = (
        *(d["charm"], half * s**2 * d["speed"], 2 * half * s * d["gamma"]),
        *(carry * s * d["gamma"], carry * d["delta"], -at.r * d["delta"]),
    )
    for sums in (terms, slopes):
        if not abs(mp.fsum(sums)) <= mp.mpf("1e-30") * max(map(abs, sums)):
            raise ArithmeticError(f"{contract}: the derivatives are not those of an option price")


def contract(
    rng: random.Random, model: str, x: float, sd: float, level: float | None = None, t: float | None = None
) -> Contract:
    """A contract of nearly the log-moneyness and the deviation asked for, else random."""
    t = 10 ** rng.uniform(-4, 1.3) if t is None else t
    rate = rng.choice((0.0, 0.05, 0.065, -0.01, 0.2, -0.05))
    yield_ = 0.0 if model == BLACK76 else rng.choice((0.0, 0.013, 0.05, 0.12, -0.02, rate))
    underlying = 10 ** rng.uniform(-2, 5.5) if level is None else level
    strike = underlying * math.exp(((rate - yield_) * t if model == BSM else 0.0) - x)
    return Contract(model, underlying, strike, t, sd / math.sqrt(t), rate, yield_)


def sample(seed: int, model: str, dense: bool) -> Iterator[Contract]:
    """The hard places first, then the whole region; ``dense`` for prices, sparse for Greeks."""
    rng = random.Random(seed)
    deviations = (1e-4, 1e-3, 0.01, 0.1, 0.3, 0.5, 1.0, 2.0, 4.0, 6.0)
    signs = (-1, 1)

    for sd in deviations:  # along the money, to the unit in the last place
        at = contract(rng, model, 0.0, sd)
        yield at
        for strike in (math.nextafter(at.strike, 0.0), math.nextafter(at.strike, math.inf)):
            if dense or sd < 0.1:
                yield at._replace(strike=strike)
        yield contract(rng, model, rng.choice(signs) * 1e-12, sd)
    for _ in range(8 if model == BSM else 1):  # where rounding the forward changes its side of the strike
        yield contract(rng, model, 0.0, 1e-4, t=10 ** rng.uniform(-3, -1))

    for depth in (12, 50, 110, 180, 199) + ((230, 290, 305, 330) if dense else ()):  # tails, by decades
        d = math.sqrt(2 * math.log(10) * depth)
        for sd in deviations[: 6 if dense else 4]:
            x = sd * (d - sd / 2)
            if x <= 10.0:
                yield contract(rng, model, rng.choice(signs) * x, sd)

    for d in (0.0, 0.5, 1.0, 2.0, 4.0, 5.66, 7.0):  # where approximations change over
        for sd, sign in itertools.product(deviations[:-2] if dense else (0.01, 0.7), signs):
            nudge = 1 + rng.choice((-1e-12, 0.0, 1e-12))
            yield contract(rng, model, sign * sd * (d * nudge - sd / 2), sd)
    for half, x in itertools.product((0.25, 0.5), (0.01, 0.7, 4.0)):
        yield contract(rng, model, rng.choice(signs) * x, 2 * half * (1 + rng.choice((-1e-12, 0.0, 1e-12))))
    for x, sd in itertools.product((3.9, 4.0, 4.1, 10.0), (0.5, 1.5, 6.0)):
        yield contract(rng, model, rng.choice(signs) * x, sd)

    for exponent in (200, 100, 30) if dense else (60,):  # levels
        for level, x in itertools.product((10.0**-exponent, 10.0**exponent), (-0.3, 0.0, 2.0)):
            yield contract(rng, model, x, 0.4, level=level)
    for t in (1e-12, 3.2e-8, 1e-6, 30.0, 100.0):  # a microsecond and a second to a century
        for sd in (1e-4, 0.05, 1.0, 5.0) if dense else (0.02, 1.5):
            yield contract(rng, model, sd * rng.uniform(-4, 4), sd, t=t)

    while True:  # anywhere
        sd = 10 ** rng.uniform(-4, math.log10(6))
        d = rng.choice((1.0, 3.0, 8.0, 28.0)) * rng.random()
        yield contract(rng, model, rng.choice(signs) * min(10.0, d * sd), sd)


def price_rows(contracts: Iterable[Contract]) -> Iterator[tuple[str | float, ...]]:
    with mp.workdps(DIGITS):
        for at in contracts:
            yield (*at, *map(rounded, prices(at)))


def greek_rows(contracts: Iterable[Contract]) -> Iterator[tuple[str | float, ...]]:
    with mp.workdps(DIGITS_OF_DIFFERENCES):
        for at in contracts:
            for is_call, values in zip((1, 0), greeks(at), strict=True):
                yield (*at, is_call, *(rounded(values[name]) for name in GREEKS))


def write(name: str, columns: tuple[str, ...], rows: Iterable[tuple[str | float, ...]]) -> None:
    with (GOLDEN / name).open("w", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow((*Contract._fields, *columns))
        writer.writerows(rows)


def contracts(count: int, dense: bool) -> list[Contract]:
    return [
        at
        for seed, model in ((76, BLACK76), (73, BSM))
        for at in itertools.islice(sample(seed, model, dense), count)
    ]


def main() -> None:
    write("prices.csv", ("call", "put"), price_rows(contracts(600, dense=True)))
    write("greeks.csv", ("is_call", *GREEKS), greek_rows(contracts(160, dense=False)))


if __name__ == "__main__":
    main()
