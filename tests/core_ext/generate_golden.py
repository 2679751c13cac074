"""Writes the golden table of elementary functions: ``python tests/core_ext/generate_golden.py``.

Arguments are exact doubles; values are computed by mpmath with 80 digits and rounded once.
"""

import csv
import math
import random
from collections.abc import Callable, Iterator
from fractions import Fraction
from pathlib import Path

import mpmath as mp

GOLDEN = Path(__file__).parent / "golden"
mp.mp.dps = 80


def normal_cdf(z: mp.mpf) -> mp.mpf:
    return mp.erfc(-z / mp.sqrt(2)) / 2


def mills(z: mp.mpf) -> mp.mpf:
    return mp.sqrt(mp.pi / 2) * mp.exp(z * z / 2) * mp.erfc(z / mp.sqrt(2))


def elementary() -> Iterator[tuple[str, float, float]]:
    rng = random.Random(20261120)
    functions: dict[str, tuple[Callable[[mp.mpf], mp.mpf], list[float]]] = {
        "exp": (mp.exp, [rng.uniform(-744, 709) for _ in range(60)] + [rng.gauss(0, 1) for _ in range(60)]),
        "exp_m1": (
            mp.expm1,
            [rng.uniform(-30, 60) for _ in range(30)]
            + [rng.choice((-1, 1)) * 10 ** rng.uniform(-18, 0.5) for _ in range(60)],
        ),
        "ln": (
            mp.log,
            [10 ** rng.uniform(-320, 308) for _ in range(40)]
            + [rng.uniform(0.4, 2.5) for _ in range(60)]
            + [1 + rng.choice((-1, 1)) * 10 ** rng.uniform(-15, -1) for _ in range(30)],
        ),
        "ln_1p": (
            mp.log1p,
            [10 ** rng.uniform(-18, 300) for _ in range(50)]
            + [-(10 ** rng.uniform(-18, 0)) for _ in range(50)]
            + [rng.uniform(-0.5, 1) for _ in range(30)],
        ),
        "erfc": (mp.erfc, [rng.uniform(-6, 26) for _ in range(80)] + [rng.uniform(-1, 1) for _ in range(40)]),
        "erfcx": (
            lambda x: mp.exp(x * x) * mp.erfc(x),
            [rng.uniform(-26, 30) for _ in range(60)] + [rng.uniform(-0.6, 5) for _ in range(60)],
        ),
        "mills": (
            mills,
            [rng.uniform(-2, 12) for _ in range(60)] + [10 ** rng.uniform(1, 2) for _ in range(10)],
        ),
        "cdf": (normal_cdf, [rng.uniform(-37, 8) for _ in range(60)] + [rng.gauss(0, 1) for _ in range(40)]),
        "pdf": (mp.npdf, [rng.uniform(-37, 37) for _ in range(60)]),
        "inverse_cdf": (
            inverse_normal_cdf,
            [10 ** rng.uniform(-300, -0.4) for _ in range(40)]
            + [rng.uniform(0.01, 0.999) for _ in range(40)],
        ),
    }
    for name, (function, arguments) in functions.items():
        for x in arguments:
            yield name, x, rounded(function(mp.mpf(x)))
    yield from joints()


def joints() -> Iterator[tuple[str, float, float]]:
    """Rows where approximations change over, and where they reach their ends."""
    rng = random.Random(1969)
    wide = [0.0, 5e-324, 1e-300, 1e-20, 1e-8] + [10 ** rng.uniform(-6, 10) for _ in range(120)] + [1e10]
    near = [rng.uniform(0, 9) for _ in range(80)]
    edges = list(neighbours(0.25, 0.46875, 0.5, 1.0, 1.5, 2.0, 4.0, 5.66, 7.0, 8.0, 10.0, 26.0, 39.0, 100.0))
    halves = [(k + 0.5) * math.log(2) for k in (-1074, -1022, -54, -2, -1, 0, 1, 2, 52, 1022)]
    powers = [2.0**k for k in (-1074, -1022, -53, -2, -1, 0, 1, 2, 53, 1023)]
    roots = list(neighbours(0.5, 0.7071067811865476, 1.0, 1.4142135623730951, 2.0))
    functions: dict[str, tuple[Callable[[mp.mpf], mp.mpf], list[float]]] = {
        "exp": (mp.exp, [*neighbours(*halves), -0.0, 5e-324, -1e-17, 709.78271289338, -745.0, -708.5]),
        "exp_m1": (
            mp.expm1,
            [*neighbours(*halves[2:9], 38.0), 5e-324, -1e-300, -1e-17, 709.78271289338],
        ),
        "ln": (mp.log, powers + roots + [5e-324, 1.7976931348623157e308]),
        "ln_1p": (
            mp.log1p,
            list(neighbours(-0.5, -0.2928932188134524, -0.29, 0.41, 0.4142135623730951, 1.0, 2.0**53))
            + [x - 1 for x in roots if x != 1.0]
            + [5e-324, -1e-300, math.nextafter(-1.0, 0.0), 1.7976931348623157e308],
        ),
        "mills": (mills, wide + near + edges),
        "first_moment": (first_moment, [z for z in wide if z <= 1e8] + near + edges + [1e8]),
        "cdf": (normal_cdf, [-z for z in edges if z < 37.5] + [z for z in edges if z < 8.0]),
        "pdf": (mp.npdf, [z for z in edges if z < 37.5]),
    }
    for name, (function, arguments) in functions.items():
        for x in arguments:
            yield name, x, rounded(function(mp.mpf(x)))


def rounded(value: mp.mpf) -> float:
    """The nearest double, rounded once even where it is subnormal."""
    sign, mantissa, exponent, _ = mp.mpf(value)._mpf_
    magnitude = Fraction(int(mantissa)) * Fraction(2) ** exponent
    return -float(magnitude) if sign else float(magnitude)


def neighbours(*values: float) -> Iterator[float]:
    """Each value with the double on either side of it."""
    for x in values:
        yield from (math.nextafter(x, -math.inf), x, math.nextafter(x, math.inf))


def first_moment(z: mp.mpf) -> mp.mpf:
    """``1 - z mills(z)``, which is the integral of ``u exp(-z u - u²/2)`` over positive ``u``."""
    return 1 - z * mills(z)


def inverse_normal_cdf(p: mp.mpf) -> mp.mpf:
    tail = min(p, 1 - p)
    guess = -mp.sqrt(-2 * mp.log(2 * tail)) if tail < 0.4 else mp.mpf(0)
    z = mp.findroot(lambda z: mp.log(normal_cdf(z)) - mp.log(tail), guess)
    return z if p < mp.mpf("0.5") else -z


def main() -> None:
    GOLDEN.mkdir(exist_ok=True)
    with (GOLDEN / "elementary.csv").open("w", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(("function", "x", "value"))
        writer.writerows((name, repr(x), repr(value)) for name, x, value in elementary())


if __name__ == "__main__":
    main()
