"""Cboe's quote table and delayed quotes."""

import json
import math

import pytest

JULY_12 = 1_657_641_300 * 10**9  # 2022-07-12T11:55:00-04:00


@pytest.fixture
def lines(text):
    """The English table: blank line, name, date, header, five rows."""
    return text("cboe_english.csv").split("\n")


def joined(lines):
    return "\n".join(lines)


@pytest.mark.parametrize(
    ("name", "ts_event"),
    [
        ("cboe_english.csv", JULY_12),
        ("cboe_padded.csv", 1_758_848_700 * 10**9),
        ("cboe_portuguese.csv", JULY_12),
        ("cboe_portuguese_latin1.csv", JULY_12),
        ("cboe_russian_bom.csv", JULY_12),
        ("cboe_unreadable_date.csv", None),
    ],
)
def test_tables_differ_in_their_heads_alone(sample, name, ts_event):
    recorded = sample(name)
    assert recorded.format == "cboe_csv"
    assert recorded.ts_event == ts_event
    assert recorded.refusals == ()
    assert [(c.product, c.root, c.expiry, len(c.strikes)) for c in recorded.chains] == [
        ("SPX", "SPXW", "2022-07-14", 2),
        ("SPX", "SPX", "2022-07-15", 2),
        ("SPX", "SPXW", "2022-07-15", 1),
    ]
    assert all(chain.spot == 3856.28 for chain in recorded.chains)
    assert all(("timestamp_unknown" in chain.flags) == (ts_event is None) for chain in recorded.chains)
    assert len(recorded.remarks) == (ts_event is None)


def test_columns_of_the_table(sample, chain_of):
    chain = chain_of(sample("cboe_english.csv"), "SPX", "2022-07-15")
    assert chain["call_bid"].tolist() == [44.5, 3.3]
    assert chain["put_oi"].tolist() == [11200.0, 420.0]
    assert chain["call_vendor_iv"].tolist() == [0.262, 0.221]
    assert chain["call_prev_close"].tolist() == [46.95, 4.0]
    assert chain["put_volume"].tolist() == [1250.0, 0.0]
    assert all(math.isnan(chain[f"put_{name}"][1]) for name in ("last", "vendor_iv", "prev_close"))
    assert (chain.multiplier, chain.oi_cadence, chain.oi_as_of) == (100.0, "daily", None)


def test_morning_and_afternoon_settlement_are_two_contracts(sample, chain_of):
    recorded = sample("cboe_english.csv")
    morning = chain_of(recorded, "SPX", "2022-07-15").expiry_ts
    afternoon = chain_of(recorded, "SPXW", "2022-07-15").expiry_ts
    assert afternoon - morning == 6.5 * 3600 * 10**9


@pytest.mark.parametrize(
    ("column", "value", "reason"),
    [
        (4, "-1", "negative_price"),
        (4, "abc", "not_a_number"),
        (4, "1e400", "not_finite"),
        (4, "inf", "not_a_number"),
        (4, "0x10", "not_a_number"),
        (4, "1_0", "not_a_number"),
        (4, "٣", "not_a_number"),
        (5, "99999999", "absurd_price"),
        (6, "-5", "negative_volume"),
        (7, "-0.2", "negative_volatility"),
        (10, "-1", "negative_open_interest"),
        (10, "9" * 400, "not_finite"),
        (11, "3851", "strike_mismatch"),
        (11, "", "strike_mismatch"),
        (1, "SPXW220714X03850000", "bad_symbol"),
        (1, "SPXW220732C03850000", "bad_symbol"),
        (1, "SPXW220714C00000000", "bad_symbol"),
        (1, "SPXW220714P03850000", "bad_symbol"),
        (12, "SPXW220714P03855000", "symbol_mismatch"),
    ],
)
def test_a_row_that_cannot_be_true_is_dropped_with_its_line(lines, read, column, value, reason):
    fields = lines[4].split(",")
    fields[column] = value
    lines[4] = ",".join(fields)
    recorded = read(joined(lines))
    assert [(r.row, r.reason) for r in recorded.refusals] == [(5, reason)]
    assert sum(len(chain.strikes) for chain in recorded.chains) == 4


def test_absent_numbers_are_absent(lines, read, chain_of):
    fields = lines[4].split(",")
    fields[2] = fields[4] = fields[10] = ""
    fields[5] = "nan"
    lines[4] = ",".join(fields)
    chain = chain_of(read(joined(lines)), "SPXW", "2022-07-14")
    assert all(math.isnan(chain[f"call_{name}"][0]) for name in ("last", "bid", "ask", "oi", "prev_close"))


def test_too_few_columns(lines, read):
    lines[5] = lines[5][: lines[5].index(",3855.00")]
    recorded = read(joined(lines))
    assert [(r.row, r.reason) for r in recorded.refusals] == [(6, "wrong_column_count")]


def test_a_file_cut_off_in_a_row_loses_that_row_and_says_so(lines, read, chain_of):
    whole = joined(lines)
    recorded = read(whole[: whole.rindex(",3850.00")])
    assert [(r.row, r.reason) for r in recorded.refusals] == [(9, "cut_off")]
    assert "truncated" in chain_of(recorded, "SPX", "2022-07-15").flags, "the chain it was cut off in"
    assert chain_of(recorded, "SPXW", "2022-07-14").flags == ()


def test_a_file_without_a_last_line_break_may_be_cut_in_its_last_number(lines, read, chain_of):
    recorded = read(joined(lines).rstrip("\n"))
    assert recorded.refusals == ()
    assert "truncated" in chain_of(recorded, "SPXW", "2022-07-15").flags
    assert len(recorded.remarks) == 1


def test_duplicate_strike(lines, read, chain_of):
    lines.insert(5, lines[4].replace(",120,", ",999,"))
    recorded = read(joined(lines))
    assert [(r.row, r.reason) for r in recorded.refusals] == [(6, "duplicate_strike")]
    assert chain_of(recorded, "SPXW", "2022-07-14")["call_oi"].tolist() == [120.0, 40.0]


def test_a_stray_quotation_mark_damages_its_own_line_only(lines, read):
    lines[5] = '"' + lines[5]
    recorded = read(joined(lines))
    assert [r.row for r in recorded.refusals] == [6]
    assert sum(len(chain.strikes) for chain in recorded.chains) == 4


def test_blank_lines_between_rows_are_nothing(lines, read):
    lines[5:5] = ["", ",,,,", "   "]
    assert read(joined(lines)).refusals == ()


@pytest.mark.parametrize(
    "change",
    [
        lambda header: header.replace("Bid,Ask", "Ask,Bid"),
        lambda header: header.replace("Open Interest", "Theta"),
        lambda header: header.replace("Strike", "Moneyness"),
        lambda header: header.replace("Expiration Date,Calls", "Calls,Expiration Date"),
    ],
)
def test_another_header_is_refused(lines, refused, change):
    lines[3] = change(lines[3])
    assert refused(joined(lines)) == "wrong_header"


def test_a_header_missing_is_refused(lines, refused):
    del lines[3]
    assert refused(joined(lines)) == "unknown_format"
    assert refused(joined(lines), format="cboe") == "unknown_format"


def test_older_english_names_are_known(lines, read):
    lines[3] = lines[3].replace("Volume", "Vol").replace("Open Interest", "Int")
    recorded = read(joined(lines))
    assert recorded.remarks == ()
    assert len(recorded.chains) == 3


def test_a_translated_header_is_read_by_position_and_said(lines, read):
    side = "Última Venda,Líq.,Compra,Venda,Vol.,IV,Delta,Gama,Contratos"
    lines[3] = f"Vencimento,Opções de compra,{side},Exercício,Opções de venda,{side}"
    recorded = read(joined(lines))
    assert len(recorded.chains) == 3
    assert len(recorded.remarks) == 1


@pytest.mark.parametrize("last", ["Last: 0", "Last: -3", "Last: n/a", "Last:", "Last: 1e300", "Last: 12"])
def test_an_impossible_last_price_is_not_used(lines, read, last):
    lines[1] = lines[1].replace("Last: 3856.28", last)
    recorded = read(joined(lines))
    assert {chain.spot for chain in recorded.chains} == {None}
    assert recorded.ticks == ()


def test_a_last_price_with_separators(lines, read):
    lines[1] = lines[1].replace("Last: 3856.28", '"Last: 3,856.28"')
    assert read(joined(lines)).chains[0].spot == 3856.28


def test_mixed_products_share_no_price(lines, read, chain_of):
    lines.append(lines[4].replace("SPXW", "QQQ"))
    recorded = read(joined([*lines, ""]))
    assert chain_of(recorded, "QQQ", "2022-07-14").spot is None
    assert chain_of(recorded, "SPX", "2022-07-15").spot == 3856.28
    assert "mixes" in recorded.remarks[0]


def test_adjusted_contracts_have_no_known_multiplier(lines, read, chain_of):
    lines = [line.replace("SPXW", "AMD1").replace("SPX2", "AMD2") for line in lines]
    recorded = read(joined(lines))
    chain = chain_of(recorded, "AMD1", "2022-07-14")
    assert chain.product == "AMD"
    assert math.isnan(chain.multiplier)
    assert "adjusted_contract" in chain.flags


def test_delayed_quotes(sample, chain_of):
    recorded = sample("cboe_reply.json")
    assert recorded.format == "cboe_json"
    assert recorded.ts_event == 1_784_925_794 * 10**9  # 2026-07-24T20:43:14Z
    assert [(c.expiry, c.strikes.tolist()) for c in recorded.chains] == [
        ("2026-08-21", [640.0, 645.5]),
        ("2026-08-28", [630.0]),
    ]
    chain = recorded.chains[0]
    assert (chain.product, chain.spot, chain.exercise) == ("SPY", 637.1, "american")
    assert chain["call_bid"][0] == 9.31
    assert chain["call_bid_size"][0] == 12.0
    assert math.isnan(chain["call_bid"][1])
    assert math.isnan(chain["call_bid_size"][1])
    assert chain["call_prev_close"][0] == 8.91, "the noise of single precision is gone"
    assert chain["call_last_trade_us"][0] == 1_784_923_181 * 10**6  # 15:59:41 in New York
    assert math.isnan(chain["put_last_trade_us"][0])
    assert math.isnan(chain["put_oi"][1])
    assert chain["put_volume"][0] == 0.0
    assert recorded.counts["SPY", "SPY", "2026-08-21"].read == 3


def test_delayed_quotes_with_fields_missing(sample):
    recorded = sample("cboe_inner.json")
    assert recorded.ts_event is None
    chain = recorded.chains[0]
    assert chain.flags == ("timestamp_unknown",)
    assert chain["call_oi"].tolist() == [15210.0, 310.0]
    assert all(math.isnan(x) for x in chain["call_bid"])
    assert chain.spot == 637.1


def test_the_underlyings_last_trade_stands_in_for_a_missing_timestamp(text, read):
    document = json.loads(text("cboe_reply.json"))
    recorded = read(json.dumps(document["data"]))
    assert recorded.ts_event == 1_784_923_200 * 10**9
    assert len(recorded.remarks) == 1


@pytest.mark.parametrize(
    ("option", "reason"),
    [
        (None, "not_an_object"),
        ({}, "bad_symbol"),
        ({"option": 7}, "bad_symbol"),
        ({"option": "SPY"}, "bad_symbol"),
        ({"option": "S" * 10_000}, "bad_symbol"),
        ({"option": "SPY260821C00640000", "bid": 1}, "duplicate_strike"),
        ({"option": "SPY260821C00650000", "bid": -1}, "negative_price"),
        ({"option": "SPY260821C00650000", "bid": "?"}, "not_a_number"),
        ({"option": "SPY260821C00650000", "prev_day_close": 1e400}, "not_finite"),
        ({"option": "SPY260821C00650000", "open_interest": -1}, "negative_open_interest"),
    ],
)
def test_an_option_that_cannot_be_true_is_dropped(text, read, option, reason):
    document = json.loads(text("cboe_reply.json"))
    document["data"]["options"].append(option)
    recorded = read(json.dumps(document))
    assert [(r.row, r.reason) for r in recorded.refusals] == [(4, reason)]
    assert sum(len(chain.strikes) for chain in recorded.chains) == 3


def test_an_unknown_root_belongs_to_the_symbol_of_the_reply(text, read):
    document = text("cboe_reply.json").replace("SPY2", "ZZZW2").replace('"SPY"', '"_ZZZ"')
    chain = read(document).chains[0]
    assert (chain.product, chain.root) == ("ZZZ", "ZZZW")
    assert "assumed_terms" in chain.flags
