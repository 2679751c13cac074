"""The NSE website's option chain."""

import json
import math

import pytest

from deltastream.feeds.recorded._values import fraction


@pytest.fixture
def document(text):
    return json.loads(text("nse_legacy.json"))


@pytest.fixture
def chain(sample, chain_of):
    return chain_of(sample("nse_legacy.json"), "NIFTY", "2025-12-09")


def nan_equal(left, right):
    return left == right or (math.isnan(left) and math.isnan(right))


def test_interleaved_expiries_become_chains_in_order(sample):
    recorded = sample("nse_legacy.json")
    assert [(c.product, c.root, c.expiry) for c in recorded.chains] == [
        ("NIFTY", "NIFTY", "2025-12-09"),
        ("NIFTY", "NIFTY", "2025-12-30"),
    ]
    assert recorded.format == "nse_json"
    assert recorded.refusals == ()
    assert {key[2]: (c.read, c.dropped) for key, c in recorded.counts.items()} == {
        "2025-12-09": (3, {}),
        "2025-12-30": (3, {}),
    }


def test_indian_time_becomes_utc(chain):
    assert chain.ts_event == 1_764_919_911 * 10**9  # 2025-12-05T07:31:51Z
    assert chain.expiry_ts == 1_765_274_400 * 10**9  # 2025-12-09T10:00:00Z


def test_the_price_of_the_underlying_is_a_tick(sample, chain):
    (tick,) = sample("nse_legacy.json").ticks
    assert (tick.product, tick.price, tick.ts_event) == ("NIFTY", 20013.4, chain.ts_event)
    assert chain.spot == 20013.4


def test_units_and_terms_are_declared(chain):
    assert (chain.oi_unit, chain.volume_unit, chain.oi_cadence) == ("contracts", "contracts", "3min")
    assert (chain.multiplier, chain.lot, chain.currency) == (75.0, 1.0, "INR")
    assert (chain.exercise, chain.settlement, chain.tick_size) == ("european", "cash", 0.05)
    assert chain.oi_as_of == chain.ts_event
    assert chain.flags == ()


def test_columns(chain):
    assert chain.strikes.tolist() == [19900.0, 20000.0, 20100.0]
    assert chain["call_bid"].tolist() == [165.0, 95.0, 46.0]
    assert chain["call_bid_size"].tolist() == [150.0, 150.0, 150.0]
    assert chain["put_ask"].tolist() == [31.4, 60.6, 111.9]
    assert chain["call_oi"].tolist() == [1200.0, 5200.0, 7300.0]
    assert chain["put_volume"].tolist() == [8800.0, 21000.0, 5200.0]


def test_volatility_is_a_fraction_and_zero_is_absent(chain):
    assert chain["call_vendor_iv"].tolist() == pytest.approx([0.082, 0.079, 0.077])
    assert math.isnan(chain["put_vendor_iv"][2])
    assert math.isnan(chain["put_last"][2])


@pytest.mark.parametrize(("percent", "expected"), [(3.28, 0.0328), (4.88, 0.0488), (7.92, 0.0792)])
def test_a_fraction_has_the_digits_of_its_percentage(percent, expected):
    assert percent / 100 != expected
    assert fraction(percent) == expected


def test_previous_values_come_from_the_changes(chain):
    assert chain["call_prev_close"].tolist() == [177.8, 110.0, 59.6]
    assert chain["call_prev_oi"].tolist() == [1250.0, 4500.0, 7600.0]
    assert math.isnan(chain["put_prev_close"][2]), "no last price, so no change of it"
    assert chain["put_prev_oi"][2] == 3020.0


def test_a_missing_side_is_nan_and_a_zero_volume_is_zero(sample, chain_of):
    chain = chain_of(sample("nse_legacy.json"), "NIFTY", "2025-12-30")
    assert chain.strikes.tolist() == [19000.0, 20000.0, 21000.0]
    assert all(math.isnan(chain[f"call_{name}"][0]) for name in ("bid", "oi", "volume", "last"))
    assert chain["put_oi"][0] == pytest.approx(13 / 3)
    assert chain["put_volume"][0] == 0.0
    assert chain["put_bid"][0] == 4.0
    assert math.isnan(chain["put_ask"][0])
    assert math.isnan(chain["put_ask_size"][0]), "the size of no quote"


def test_version_3_spellings_give_the_same_chain(sample, chain, chain_of):
    other = chain_of(sample("nse_v3.json"), "NIFTY", "2025-12-09")
    pairs = zip(other.columns.ravel().tolist(), chain.columns.ravel().tolist(), strict=True)
    assert all(nan_equal(left, right) for left, right in pairs)


def test_a_stock_that_the_tables_do_not_know_is_an_indian_stock(document, read):
    text = json.dumps(document).replace('"NIFTY"', '"RELIANCE"')
    chain = read(text).chains[0]
    assert (chain.product, chain.currency, chain.exercise) == ("RELIANCE", "INR", "european")
    assert math.isnan(chain.multiplier)
    assert "assumed_terms" in chain.flags
    assert chain.expiry_ts == 1_765_274_400 * 10**9


@pytest.mark.parametrize(
    ("stamp", "flags"),
    [
        ("05-Dec-2025 15:30:00", ("market_closed",)),
        ("06-Dec-2025 13:00:00", ("market_closed",)),
        ("yesterday", ("timestamp_unknown",)),
        ("31-Feb-2025 13:00:00", ("timestamp_unknown",)),
        ("05-Dec-2025 25:00:00", ("timestamp_unknown",)),
        (None, ("timestamp_unknown",)),
        (5, ("timestamp_unknown",)),
    ],
)
def test_flags_of_the_time(document, read, stamp, flags):
    document["records"]["timestamp"] = stamp
    recorded = read(json.dumps(document))
    assert recorded.chains[0].flags == flags
    if flags == ("timestamp_unknown",):
        assert recorded.ts_event is None
        assert recorded.chains[0].ts_event == recorded.chains[0].ts_recv
        assert recorded.ticks == ()
        assert len(recorded.remarks) == 1


def alter(document, **changes):
    """The call at 20000 of the nearer expiry, changed."""
    row = document["records"]["data"][2]
    row["CE"].update(changes)
    return json.dumps(document)


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"bidprice": -1}, "negative_price"),
        ({"lastPrice": -0.05}, "negative_price"),
        ({"openInterest": -3}, "negative_open_interest"),
        ({"totalTradedVolume": -1}, "negative_volume"),
        ({"askQty": -75}, "negative_size"),
        ({"impliedVolatility": -4}, "negative_volatility"),
        ({"askPrice": 500_000}, "absurd_price"),
        ({"openInterest": 1e13}, "absurd_open_interest"),
        ({"totalTradedVolume": 10**30}, "absurd_volume"),
        ({"bidQty": 1e300}, "absurd_size"),
        ({"impliedVolatility": 1e9}, "absurd_volatility"),
        ({"openInterest": float("inf")}, "not_finite"),
        ({"openInterest": "many"}, "not_a_number"),
        ({"bidprice": True}, "not_a_number"),
        ({"bidprice": [1]}, "not_a_number"),
        ({"bidprice": "1_000"}, "not_a_number"),
        ({"strikePrice": 20050}, "strike_mismatch"),
        ({"expiryDate": "16-Dec-2025"}, "expiry_mismatch"),
        ({"expiryDate": "never"}, "bad_expiry"),
        ({"underlying": "BANKNIFTY"}, "other_underlying"),
    ],
)
def test_a_row_that_cannot_be_true_is_dropped_with_its_place(document, read, chain_of, changes, reason):
    recorded = read(alter(document, **changes))
    (refusal,) = recorded.refusals
    assert (refusal.source, refusal.row, refusal.reason) == ("file", 2, reason)
    assert refusal.detail
    chain = chain_of(recorded, "NIFTY", "2025-12-09")
    assert chain.strikes.tolist() == [19900.0, 20100.0]
    assert chain.flags == ("rows_dropped",)
    counts = recorded.counts["NIFTY", "NIFTY", "2025-12-09"]
    assert (counts.read, counts.dropped) == (3, {reason: 1})
    assert chain_of(recorded, "NIFTY", "2025-12-30").flags == ()


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        (None, "not_an_object"),
        ([], "not_an_object"),
        (7, "not_an_object"),
        ({}, "bad_expiry"),
        ({"strikePrice": 20000, "expiryDate": "2025-12-09", "CE": {"lastPrice": 1}}, "bad_expiry"),
        ({"strikePrice": 20000, "expiryDate": "30-Feb-2026", "CE": {"lastPrice": 1}}, "bad_expiry"),
        ({"strikePrice": 20000, "expiryDate": "09-Dec-9999", "CE": {"lastPrice": 1}}, "bad_expiry"),
        ({"strikePrice": 20000, "expiryDate": "09-Dec-2025"}, "no_side"),
        ({"strikePrice": 20000, "expiryDate": "09-Dec-2025", "CE": "x"}, "not_an_object"),
        ({"strikePrice": 0, "expiryDate": "09-Dec-2025", "CE": {"lastPrice": 1}}, "bad_strike"),
        ({"strikePrice": -5, "expiryDate": "09-Dec-2025", "CE": {"lastPrice": 1}}, "bad_strike"),
        ({"strikePrice": None, "expiryDate": "09-Dec-2025", "CE": {"lastPrice": 1}}, "bad_strike"),
        ({"strikePrice": 1e300, "expiryDate": "09-Dec-2025", "CE": {"lastPrice": 1}}, "bad_strike"),
    ],
)
def test_a_row_of_the_wrong_shape_is_dropped(document, read, row, reason):
    document["records"]["data"].append(row)
    recorded = read(json.dumps(document))
    assert [(r.row, r.reason) for r in recorded.refusals] == [(6, reason)]
    assert sum(len(chain.strikes) for chain in recorded.chains) == 6


def test_of_duplicate_strikes_the_first_is_kept(document, read, chain_of):
    twin = json.loads(json.dumps(document["records"]["data"][2]))
    twin["CE"]["openInterest"] = 999_999
    document["records"]["data"].append(twin)
    recorded = read(json.dumps(document))
    assert [(r.row, r.reason) for r in recorded.refusals] == [(6, "duplicate_strike")]
    assert chain_of(recorded, "NIFTY", "2025-12-09")["call_oi"].tolist() == [1200.0, 5200.0, 7300.0]


def test_two_rows_may_give_the_two_sides_of_a_strike(document, read, chain_of):
    row = document["records"]["data"][2]
    document["records"]["data"].append({**row, "CE": {}})
    del row["PE"]
    recorded = read(json.dumps(document))
    chain = chain_of(recorded, "NIFTY", "2025-12-09")
    assert recorded.refusals == ()
    assert (chain["call_oi"][1], chain["put_oi"][1]) == (5200.0, 6300.0)


def test_a_crossed_quote_is_kept_for_the_core_to_judge(document, read, chain_of):
    chain = chain_of(read(alter(document, bidprice=99)), "NIFTY", "2025-12-09")
    assert chain["call_bid"][1] > chain["call_ask"][1]


def test_nulls_and_nan_are_absent(document, read, chain_of):
    text = alter(document, bidprice=None, openInterest=float("nan"), lastPrice="-")
    chain = chain_of(read(text), "NIFTY", "2025-12-09")
    assert all(math.isnan(chain[f"call_{name}"][1]) for name in ("bid", "oi", "last", "prev_oi"))


def test_numbers_may_be_written_as_text(document, read, chain_of):
    chain = chain_of(read(alter(document, bidprice=" 95.05 ", openInterest="5200")), "NIFTY", "2025-12-09")
    assert (chain["call_bid"][1], chain["call_oi"][1]) == (95.05, 5200.0)


@pytest.mark.parametrize("spot", [None, 0, -1, "?", 1e300, 3.0, float("inf")])
def test_an_impossible_price_of_the_underlying_is_not_used(document, read, spot):
    document["records"]["underlyingValue"] = spot
    for row in document["records"]["data"]:
        for side in ("CE", "PE"):
            row.get(side, {}).pop("underlyingValue", None)
    recorded = read(json.dumps(document))
    assert all(chain.spot is None for chain in recorded.chains)
    assert recorded.ticks == ()


def test_an_expiry_before_the_data_is_still_a_chain(document, read):
    document["records"]["timestamp"] = "10-Dec-2025 09:20:00"
    chain = read(json.dumps(document)).chains[0]
    assert chain.expiry_ts < chain.ts_event


def test_a_side_of_nulls_and_zeros_is_a_missing_side(document, read, chain_of):
    blank = {"strikePrice": 0, "expiryDate": None, "underlying": None, "identifier": None, "openInterest": 0}
    document["records"]["data"][1]["CE"] = blank
    recorded = read(json.dumps(document))
    assert recorded.refusals == ()
    assert math.isnan(chain_of(recorded, "NIFTY", "2025-12-30")["call_oi"][0])


def test_a_side_may_write_its_expiry_in_digits(document, read):
    for row in document["records"]["data"]:
        for side in ("CE", "PE"):
            if side in row:
                row[side]["expiryDate"] = row[side]["expiryDate"].replace("Dec", "12")
    assert read(json.dumps(document)).refusals == ()
