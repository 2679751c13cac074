"""The sweep against an independent, slow and obvious model of the same definitions, on chains with holes."""

import math
import statistics
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from deltastream import _core

NAN = math.nan
BID, ASK, LAST, VOLUME, OI, PREV_CLOSE, PREV_OI = 0, 2, 4, 5, 6, 7, 8


def cdf(z: float) -> float:
    return math.erfc(-z / math.sqrt(2)) / 2


def black(forward: float, strike: float, t: float, sigma: float, rate: float, is_call: bool) -> float:
    sd = sigma * math.sqrt(t)
    d1 = math.log(forward / strike) / sd + sd / 2
    d2 = d1 - sd
    sign = 1 if is_call else -1
    return math.exp(-rate * t) * sign * (forward * cdf(sign * d1) - strike * cdf(sign * d2))


def implied(
    forward: float, strike: float, t: float, price: float, rate: float, is_call: bool
) -> tuple[float, int]:
    """Volatility by halving, on the out-of-the-money side; 0 converged, else 2 or 3."""
    undiscounted = price * math.exp(rate * t)
    value = undiscounted - max(forward - strike if is_call else strike - forward, 0.0)
    if value <= 0:
        return NAN, 2
    if value >= min(forward, strike):
        return NAN, 3
    low, high = 1e-6, 100.0
    for _ in range(90):
        middle = math.sqrt(low * high)
        if black(forward, strike, t, middle, 0.0, strike >= forward) < value:
            low = middle
        else:
            high = middle
    return math.sqrt(low * high), 0


GREEKS = (
    ("delta", "gamma", "theta", "vega", "rho"),
    ("vanna", "charm", "vomma", "veta", "speed", "zomma", "color", "ultima"),
)
Estimates = dict[str, tuple[float, float]]


def greeks(
    spot: float, forward: float, strike: float, t: float, sigma: float, rate: float, is_call: bool
) -> Estimates:
    """By differences with the carry held: of prices, and of the textbook's delta, gamma and vega.

    Each comes with the size that an error of it is to be measured by.
    """
    carry = rate - math.log(forward / spot) / t
    steps = {"s": spot * sigma * math.sqrt(t) * 1e-3, "t": t * 1e-4, "v": sigma * 1e-4, "r": 1e-4}
    point, day = 0.01, 1 / 365

    def value(s: float = spot, t: float = t, v: float = sigma, r: float = rate) -> float:
        return black(s * math.exp((r - carry) * t), strike, t, v, r, is_call)

    def d1(s: float, t: float, v: float) -> float:
        return (math.log(s / strike) + (rate - carry + v * v / 2) * t) / (v * math.sqrt(t))

    def density(s: float, t: float, v: float) -> float:
        return math.exp(-carry * t - d1(s, t, v) ** 2 / 2) / math.sqrt(2 * math.pi)

    def delta(s: float = spot, t: float = t, v: float = sigma) -> float:
        sign = 1 if is_call else -1
        return sign * math.exp(-carry * t) * cdf(sign * d1(s, t, v))

    def gamma(s: float = spot, t: float = t, v: float = sigma) -> float:
        return density(s, t, v) / (s * v * math.sqrt(t))

    def vega(s: float = spot, t: float = t, v: float = sigma) -> float:
        return s * density(s, t, v) * math.sqrt(t)

    def slope(of: Callable[..., float], name: str, unit: float) -> tuple[float, float]:
        at = {"s": spot, "t": t, "v": sigma, "r": rate}[name]
        step = steps[name]
        found = (of(**{name: at + step}) - of(**{name: at - step})) / (2 * step)
        reach = {"s": steps["s"] * 1e3, "t": t, "v": sigma, "r": 1.0}[name]
        return found * unit, abs(of() * unit) / reach

    wide = 1e-3 * sigma
    bend = (vega(v=sigma + wide) - 2 * vega() + vega(v=sigma - wide)) / wide**2
    return {
        "delta": slope(value, "s", 1.0),
        "gamma": (gamma(), gamma()),
        "theta": slope(value, "t", -day),
        "vega": slope(value, "v", point),
        "rho": slope(value, "r", point),
        "vanna": slope(delta, "v", point),
        "charm": slope(delta, "t", -day),
        "vomma": slope(vega, "v", point**2),
        "veta": slope(vega, "t", point * day),
        "speed": slope(gamma, "s", 1.0),
        "zomma": slope(gamma, "v", point),
        "color": slope(gamma, "t", day),
        "ultima": (bend * point**3, vega() * point**3 / sigma**2),
    }


def price_of(value: float) -> float:
    return value if 0 < value < math.inf else NAN


def quantity_of(value: float) -> float:
    return value if 0 <= value < math.inf else NAN


def mid_of(bid: float, ask: float) -> float:
    bid, ask = price_of(bid), price_of(ask)
    return (bid + ask) / 2 if bid <= ask else NAN


def total(values: list[float]) -> float:
    known = [value for value in values if not math.isnan(value)]
    return sum(known) if known else NAN


def forward_of(
    strikes: list[float], mids: list[list[float]], p: dict[str, float]
) -> tuple[float, float, int]:
    if not p["t"] > 0:
        return NAN, NAN, 3
    centre = next((v for v in (p["spot"], p["future"]) if not math.isnan(v)), statistics.median(strikes))
    growth = math.exp(p["rate"] * p["t"])
    votes = [
        k + growth * (c - q)
        for k, c, q in sorted(
            zip(strikes, *mids, strict=True), key=lambda row: (abs(row[0] - centre), row[0])
        )
        if not math.isnan(c + q)
    ][:7]
    if votes and statistics.median(votes) > 0:
        forward = statistics.median(votes)
        return forward, statistics.median(abs(v - forward) for v in votes), 0
    if not math.isnan(p["future"]):
        return p["future"], NAN, 1
    return (NAN, NAN, 3) if math.isnan(p["spot"]) else (p["spot"], NAN, 2)


def build_up(side: np.ndarray, i: int, p: dict[str, float]) -> tuple[float, float]:
    oi, previous = quantity_of(side[OI, i]), quantity_of(side[PREV_OI, i])
    change = oi - previous
    move = price_of(side[LAST, i]) - price_of(side[PREV_CLOSE, i])
    if math.isnan(change) or math.isnan(move):
        return change, NAN
    step = 0.0 if math.isnan(p["tick_size"]) else p["tick_size"]
    oi_step = max(0.0 if math.isnan(p["lot"]) else p["lot"], 0.005 * previous)
    if abs(move) <= step or abs(change) <= oi_step:
        return change, 0
    return change, {(True, True): 1, (False, True): 2, (True, False): 3, (False, False): 4}[
        move > 0, change > 0
    ]


def at_the_money_volatility(strikes: list[float], sigmas: list[list[float]], forward: float) -> float:
    points = []
    for k, call, put in zip(strikes, *sigmas, strict=True):
        own, other = (put, call) if k < forward else (call, put)
        sigma = other if math.isnan(own) else own
        if not math.isnan(sigma):
            points.append((math.log(k / forward), sigma))
    below = [point for point in points if point[0] < 0]
    above = [point for point in points if point[0] >= 0]
    if above and above[0][0] == 0:
        return above[0][1]
    if not below or not above:
        return NAN
    (x0, s0), (x1, s1) = below[-1], above[0]
    return math.sqrt(s0**2 + (s1**2 - s0**2) * (0 - x0) / (x1 - x0))


Contract = tuple[int, int, float, Estimates]
"""Side, position, open interest and Greeks of a contract that enters the exposures."""


def exposures(strikes: list[float], entered: list[Contract], p: dict[str, Any]) -> dict[str, Any]:
    """By definitions of each contract's quantity, signs and walls."""
    spot, m = p["spot"], p["multiplier"]
    scales = {"gex": spot**2 / 100, "dex": spot, "vex": spot, "chex": spot}
    greek_of = {"gex": "gamma", "dex": "delta", "vex": "vanna", "chex": "charm"}
    signs = {"naive": (1, -1), "inverse": (-1, 1), "short_all": (-1, -1)}[p["convention"]]
    found: dict[str, Any] = {"exposure_count": len(entered)}
    for name, greek in greek_of.items():
        parts = [
            [oi * m * g[greek][0] * scales[name] for side, _, oi, g in entered if side == wanted]
            for wanted in (0, 1)
        ]
        call, put = (sum(part) if part else NAN for part in parts)
        # The model's Greeks are differences, which the size of the terms bounds, not that of their sum.
        error = 1e-5 * sum(
            oi * m * (abs(g[greek][0]) + g[greek][1]) * scales[name] for _, _, oi, g in entered
        )
        for field, value in (
            (f"call_{name}", call),
            (f"put_{name}", put),
            (name, signs[0] * call + signs[1] * put),
        ):
            found[field] = pytest.approx(value, rel=1e-9, abs=error, nan_ok=True)
    gammas = [[0.0] * len(strikes), [0.0] * len(strikes)]
    for side, i, oi, g in entered:
        gammas[side][i] = oi * abs(g["gamma"][0])
    for field, sizes in (
        ("call_wall", gammas[0]),
        ("put_wall", gammas[1]),
        ("absolute_gamma_strike", [call + put for call, put in zip(*gammas, strict=True)]),
    ):
        found[field] = strikes[sizes.index(max(sizes))] if max(sizes) > 0 else NAN
    return found


def model(columns: np.ndarray, p: dict[str, Any]) -> tuple[np.ndarray, np.ndarray, dict[str, Any]]:
    strikes = columns[0].tolist()
    n = len(strikes)
    sides = [columns[1:12], columns[12:23]]
    mids = [[mid_of(side[BID, i], side[ASK, i]) for i in range(n)] for side in sides]
    forward, error, source = forward_of(strikes, mids, p)
    out, sizes = np.full((38, n), NAN), np.zeros((38, n))
    entered: list[Contract] = []
    for s, side in enumerate(sides):
        for i, k in enumerate(strikes):
            out[11 * s + 9, i], out[11 * s + 10, i] = build_up(side, i, p)
            if math.isnan(forward):
                out[11 * s + 3, i] = 5 if not p["t"] > 0 else 6
                continue
            for row, price in ((0, price_of(side[BID, i])), (1, mids[s][i]), (2, price_of(side[ASK, i]))):
                sigma, status = (
                    (NAN, 1) if math.isnan(price) else implied(forward, k, p["t"], price, p["rate"], s == 0)
                )
                out[11 * s + row, i] = sigma
                if row == 1:
                    out[11 * s + 3, i] = status
    sigmas = [out[1].tolist(), out[12].tolist()]
    for s in (0, 1):
        for i, k in enumerate(strikes):
            sigma = sigmas[s][i]
            if math.isnan(sigma) and not math.isnan(sigmas[1 - s][i]):
                sigma = sigmas[1 - s][i]
                out[11 * s + 3, i] += 16
            if math.isnan(sigma):
                continue
            spot = forward if math.isnan(p["spot"]) else p["spot"]
            found = greeks(spot, forward, k, p["t"], sigma, p["rate"], s == 0)
            for base, names in zip((11 * s + 4, 22 + 8 * s), GREEKS, strict=True):
                for row, name in enumerate(names, start=base):
                    out[row, i], sizes[row, i] = found[name]
                    if math.isnan(p["spot"]) and name not in {"vega", "rho", "vomma", "ultima"}:
                        out[row, i] = NAN
            oi = quantity_of(sides[s][OI, i])
            if not math.isnan(oi + p["spot"]):
                entered.append((s, i, oi, found))

    centre = p["spot"] if math.isnan(forward) else forward
    summary: dict[str, Any] = {"forward": forward, "forward_error": error, "forward_source": source}
    summary["atm_source"] = 2 if math.isnan(centre) else 1 if math.isnan(forward) else 0
    summary["atm_strike"] = NAN if math.isnan(centre) else min(strikes, key=lambda k: (abs(k - centre), k))
    summary["straddle"], summary["straddle_source"] = NAN, 2
    if not math.isnan(centre):
        i = strikes.index(summary["atm_strike"])
        used = [
            mid[i] if not math.isnan(mid[i]) else price_of(side[LAST, i])
            for mid, side in zip(mids, sides, strict=True)
        ]
        if not math.isnan(sum(used)):
            summary["straddle"] = sum(used)
            summary["straddle_source"] = int(any(math.isnan(mid[i]) for mid in mids))
    summary["atm_iv"] = at_the_money_volatility(strikes, sigmas, forward) if not math.isnan(forward) else NAN
    outside = [put if k < forward else call for k, call, put in zip(strikes, *sigmas, strict=True)]
    outside = [sigma for sigma in outside if not math.isnan(sigma)]
    summary["avg_iv"] = statistics.fmean(outside) if outside else NAN
    for name, side, rows in (("call", sides[0], out[:11]), ("put", sides[1], out[11:22])):
        summary[f"{name}_oi"] = total([quantity_of(v) for v in side[OI]])
        summary[f"{name}_volume"] = total([quantity_of(v) for v in side[VOLUME]])
        summary[f"{name}_oi_change"] = total(rows[9].tolist())
    for name in ("oi", "volume"):
        put, call = summary[f"put_{name}"], summary[f"call_{name}"]
        summary[f"pcr_{name}"] = put / call if call > 0 else NAN
    interest = [[0.0 if math.isnan(quantity_of(v)) else v for v in side[OI]] for side in sides]
    if sum(map(sum, interest)) > 0:
        pains = {
            x: sum(c * max(x - k, 0) + q * max(k - x, 0) for k, c, q in zip(strikes, *interest, strict=True))
            for x in strikes
        }
        least = [x for x in strikes if pains[x] == min(pains.values())]
        nearest = p["spot"] if not math.isnan(p["spot"]) else forward if not math.isnan(forward) else least[0]
        summary["max_pain_lo"], summary["max_pain_hi"] = least[0], least[-1]
        summary["max_pain_strike"] = min(max(nearest, least[0]), least[-1])
        summary["max_pain_value"] = pains[least[0]]
    else:
        summary |= dict.fromkeys(("max_pain_lo", "max_pain_hi", "max_pain_strike", "max_pain_value"), NAN)
    summary["strikes"] = n
    summary["two_sided"] = sum(not math.isnan(c + q) for c, q in zip(*mids, strict=True))
    summary["converged"] = sum(not math.isnan(v) for side in sigmas for v in side)
    summary |= exposures(strikes, entered, p)
    stated = total([quantity_of(v) for side in sides for v in side[OI]])
    summary["exposure_coverage"] = sum(oi for _, _, oi, _ in entered) / stated if stated > 0 else NAN
    return out, sizes, summary


def spoil(columns: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Punches holes, crosses and zeroes quotes, moves prices through intrinsic value."""
    n = columns.shape[1]
    columns[1:][rng.random((22, n)) < rng.choice([0.0, 0.05, 0.4])] = np.nan
    for offset in (1, 12):
        columns[offset + BID, rng.random(n) < 0.05] = 0.0
        crossed = rng.random(n) < 0.05
        columns[offset + BID, crossed] = columns[offset + ASK, crossed] + 0.05
        moved = rng.random(n) < 0.1
        columns[np.ix_([offset + BID, offset + ASK], np.flatnonzero(moved))] *= rng.choice([0.5, 1.5, 1000.0])
        columns[offset + OI, rng.random(n) < 0.1] = 0.0
    return columns


@pytest.mark.parametrize("seed", range(40))
def test_equals_the_model(chain, parameters, seed: int) -> None:
    rng = np.random.default_rng(seed)
    columns = spoil(chain(int(rng.integers(1, 22)), seed), rng)
    for name, odds in {"spot": 0.2, "tick_size": 0.2, "lot": 0.2, "t": 0.1}.items():
        if rng.random() < odds:
            parameters[name] = NAN
    if rng.random() < 0.3:
        parameters["future"] = 24530.0
    parameters["convention"] = ["naive", "inverse", "short_all"][seed % 3]
    parameters["multiplier"] = float(rng.choice([1.0, 75.0, NAN], p=[0.4, 0.4, 0.2]))
    values, summary = _core.sweep(columns, **parameters)
    expected, sizes, expected_summary = model(columns, parameters)

    for name, value in expected_summary.items():
        wanted = pytest.approx(value, rel=1e-9, nan_ok=True) if isinstance(value, int | float) else value
        assert getattr(summary, name) == wanted, name
    n = columns.shape[1]
    for base in (0, 11):
        # The model knows no limit of precision; these chains do not reach it.
        np.testing.assert_array_equal(values[base + 3], expected[base + 3])
        np.testing.assert_allclose(values[base : base + 3], expected[base : base + 3], rtol=1e-7)
        np.testing.assert_array_equal(values[base + 9 : base + 11], expected[base + 9 : base + 11])
    for row in (*range(4, 9), *range(15, 20), *range(22, 38)):
        np.testing.assert_array_equal(np.isnan(values[row]), np.isnan(expected[row]))
        limit = 2e-5 * (sizes[row] + np.abs(expected[row]))
        there = ~np.isnan(expected[row])
        assert (np.abs(values[row] - expected[row]) <= limit)[there].all(), row
    assert summary.strikes == n
    assert math.isnan(summary.forward) or parameters["t"] > 0
