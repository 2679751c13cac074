"""The sweep against an independent, slow and obvious model of the same definitions, on chains with holes."""

import math
import statistics
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


def greeks(
    spot: float, forward: float, strike: float, t: float, sigma: float, rate: float, is_call: bool
) -> list[float]:
    """By differences of prices with the carry held."""
    carry = rate - math.log(forward / spot) / t

    def value(s: float = spot, t: float = t, v: float = sigma, r: float = rate) -> float:
        return black(s * math.exp((r - carry) * t), strike, t, v, r, is_call)

    def slope(name: str, at: float, step: float) -> float:
        return (value(**{name: at + step}) - value(**{name: at - step})) / (2 * step)

    ds = spot * sigma * math.sqrt(t) * 1e-3
    gamma = (value(s=spot + ds) - 2 * value() + value(s=spot - ds)) / ds**2
    return [
        slope("s", spot, ds),
        gamma,
        -slope("t", t, t * 1e-4) / 365,
        slope("v", sigma, sigma * 1e-4) / 100,
        slope("r", rate, 1e-4) / 100,
    ]


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


def model(columns: np.ndarray, p: dict[str, float]) -> tuple[np.ndarray, dict[str, Any]]:
    strikes = columns[0].tolist()
    n = len(strikes)
    sides = [columns[1:12], columns[12:23]]
    mids = [[mid_of(side[BID, i], side[ASK, i]) for i in range(n)] for side in sides]
    forward, error, source = forward_of(strikes, mids, p)
    out = np.full((22, n), NAN)
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
            if not math.isnan(sigma):
                spot = forward if math.isnan(p["spot"]) else p["spot"]
                values = greeks(spot, forward, k, p["t"], sigma, p["rate"], s == 0)
                out[11 * s + 4 : 11 * s + 9, i] = values
                if math.isnan(p["spot"]):
                    out[11 * s + 4 : 11 * s + 7, i] = NAN

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
    for name, side, rows in (("call", sides[0], out[:11]), ("put", sides[1], out[11:])):
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
    return out, summary


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
    values, summary = _core.sweep(columns, **parameters)
    expected, expected_summary = model(columns, parameters)

    for name, value in expected_summary.items():
        assert getattr(summary, name) == pytest.approx(value, rel=1e-9, nan_ok=True), name
    n = columns.shape[1]
    forward, t = summary.forward, parameters["t"]
    scales = {4: 1.0, 5: 1 / (24500 * 0.02), 6: 20.0, 7: 10.0, 8: 10.0}
    for base in (0, 11):
        codes, expected_codes = values[base + 3], expected[base + 3]
        # The model knows no limit of precision; these chains do not reach it.
        np.testing.assert_array_equal(codes, expected_codes)
        for row in (0, 1, 2):
            np.testing.assert_allclose(values[base + row], expected[base + row], rtol=1e-7)
        for row, scale in scales.items():
            np.testing.assert_allclose(values[base + row], expected[base + row], rtol=1e-5, atol=1e-5 * scale)
        np.testing.assert_array_equal(values[base + 9 : base + 11], expected[base + 9 : base + 11])
    assert summary.strikes == n
    assert math.isnan(forward) or t > 0
