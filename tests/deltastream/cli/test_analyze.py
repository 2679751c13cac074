"""`deltastream analyze`: its contract with scripts and people."""

import json
import os
import shutil
from pathlib import Path

import pytest
from click.testing import CliRunner

from deltastream.cli import cli

SAMPLES = Path(__file__).parents[1] / "feeds" / "recorded" / "samples"
NSE = str(SAMPLES / "nse_legacy.json")
SPX = str(SAMPLES / "cboe_english.csv")
CONTRACT = {
    "product",
    "root",
    "expiry",
    "timestamp",
    "spot_price",
    "forward",
    "strikes",
    "total_call_oi",
    "total_put_oi",
    "pcr_oi",
    "total_call_volume",
    "total_put_volume",
    "pcr_volume",
    "max_pain_strike",
    "max_pain_interval",
    "atm_strike",
    "atm_straddle_price",
    "atm_iv",
    "oi_unit",
    "rows_read",
    "rows_dropped",
    "flags",
    "reasons",
}


@pytest.fixture(autouse=True)
def _no_environment(monkeypatch):
    monkeypatch.delenv("DELTASTREAM_CONFIG", raising=False)


@pytest.fixture
def run():
    """Runs the command; gives exit code, standard output and standard error."""

    def call(*arguments):
        result = CliRunner().invoke(cli, ["analyze", *map(str, arguments)])
        assert result.exception is None or isinstance(result.exception, SystemExit)
        return result.exit_code, result.stdout, result.stderr

    return call


@pytest.fixture
def rows(run):
    """The objects of a run that succeeds in silence."""

    def call(*arguments):
        code, out, err = run("--json", *arguments)
        assert code == 0
        assert err == ""
        return [json.loads(line) for line in out.splitlines()]

    return call


def test_one_object_per_product_root_and_expiry(rows):
    got = rows(NSE, SPX)
    assert [(row["product"], row["root"], row["expiry"]) for row in got] == [
        ("NIFTY", "NIFTY", "2025-12-09"),
        ("NIFTY", "NIFTY", "2025-12-30"),
        ("SPX", "SPXW", "2022-07-14"),
        ("SPX", "SPX", "2022-07-15"),
        ("SPX", "SPXW", "2022-07-15"),
    ]
    assert all(set(row) >= CONTRACT for row in got)


def test_the_numbers_of_a_chain_small_enough_to_check_by_hand(rows):
    row = rows(NSE)[0]
    assert row["timestamp"] == "2025-12-05T13:01:51+05:30"
    assert row["expiry_time"] == "2025-12-09T15:30:00+05:30"
    assert row["spot_price"] == 20013.4
    assert row["strikes"] == row["rows_read"] == 3
    assert (row["total_call_oi"], row["total_put_oi"]) == (13700, 13300)
    assert row["pcr_oi"] == 13300 / 13700
    assert (row["total_call_volume"], row["total_put_volume"]) == (37600, 35000)
    assert row["pcr_volume"] == 35000 / 37600
    assert (row["call_oi_change"], row["put_oi_change"]) == (350, 2280)
    # Writers pay 1,210,000 at 19900, 410,000 at 20000 and 760,000 at 20100, times the lot.
    assert row["max_pain_interval"] == [20000, 20000]
    assert row["max_pain_strike"] == 20000
    assert row["atm_strike"] == 20000
    assert row["atm_straddle_price"] == pytest.approx(95.15 + 60.45)
    assert row["oi_unit"] == "contracts"
    assert (row["rows_dropped"], row["flags"]) == ([], [])
    assert row["reasons"] == {}


def test_a_daily_open_interest_has_no_change(rows):
    row = rows(SPX)[0]
    assert row["call_oi_change"] is None
    assert row["reasons"]["call_oi_change"] == "oi_cadence_daily"


def test_what_depends_on_time_is_null_after_expiry(rows):
    row = rows(NSE, "--as-of", "2025-12-09T15:30:00+05:30")[0]
    assert "expired" in row["flags"]
    assert all(row[name] is None for name in ("forward", "atm_iv", "t"))
    assert row["reasons"]["atm_iv"] == "expired"
    assert (row["pcr_oi"], row["max_pain_strike"]) == (13300 / 13700, 20000)


def test_a_holiday_snapshot_is_stale(rows):
    row = rows(NSE, "--as-of", "2025-12-06T12:00:00+05:30")[0]
    assert "stale" in row["flags"]
    assert row["atm_iv"] is None
    assert row["total_call_oi"] == 13700


@pytest.mark.parametrize(
    "time", ["2025-12-05T13:02:00+05:30", "2025-12-05T07:32:00Z", "2025-12-05 07:32+00:00"]
)
def test_as_of_soon_after_the_data_changes_nothing(rows, time):
    assert rows(NSE, "--as-of", time) == rows(NSE)


def test_a_file_without_a_time(run):
    path = SAMPLES / "cboe_unreadable_date.csv"
    code, out, err = run("--json", path)
    row = json.loads(out.splitlines()[0])
    assert code == 0
    assert "date line" in err
    assert (row["timestamp"], row["atm_iv"]) == (None, None)
    assert row["flags"][0] == "timestamp_unknown"
    assert row["reasons"]["timestamp"] == row["reasons"]["atm_iv"] == "timestamp_unknown"
    code, out, _ = run("--json", "--as-of", "2022-07-12T11:55:00-04:00", path)
    told, known = json.loads(out.splitlines()[0]), json.loads(run("--json", SPX)[1].splitlines()[0])
    assert told["t"] == known["t"]
    assert told["forward"] == known["forward"] == pytest.approx(3855.8, abs=1)
    assert told["timestamp"] is None


def test_an_as_of_before_the_data_is_said(run):
    code, _, err = run("--json", "--as-of", "2025-12-01T00:00:00Z", NSE)
    assert code == 0
    assert "after the instant of --as-of" in err


@pytest.mark.parametrize(
    "arguments",
    [
        (),
        ("--as-of", "2025-12-05T13:02:00", NSE),
        ("--as-of", "2025-12-05", NSE),
        ("--as-of", "yesterday", NSE),
        ("--format", "xml", NSE),
        ("--jsonn", NSE),
        ("--config", "/no/such/file.toml", NSE),
    ],
)
def test_wrong_usage(run, arguments):
    code, out, err = run(*arguments)
    assert (code, out) == (2, "")
    assert err


def test_a_naive_time_is_refused_with_what_to_write(run):
    _, _, err = run("--as-of", "2025-12-05T13:02:00", NSE)
    assert "2025-12-05T13:02:00Z" in err


def test_files_that_cannot_be_used_are_said_and_the_rest_is_analysed(run, tmp_path):
    (tmp_path / "a.json").write_text("{")
    (tmp_path / "b.json").write_text("<html>")
    shutil.copy(NSE, tmp_path / "c.json")
    code, out, err = run("--json", tmp_path, tmp_path / "missing")
    assert code == 0
    assert len(out.splitlines()) == 2
    assert f"{tmp_path / 'a.json'}: ends in the middle" in err
    assert "b.json: is a web page" in err
    assert "missing: there is no such file" in err


@pytest.mark.parametrize("as_json", [(), ("--json",)])
def test_no_chain_at_all(run, tmp_path, as_json):
    assert run(*as_json, tmp_path / "missing")[:2] == (1, "")
    code, out, err = run(*as_json, tmp_path)
    assert (code, out) == (1, "")
    assert "holds no files" in err


def test_dropped_rows_are_counted_by_reason_and_said_with_their_place(run, tmp_path):
    document = json.loads(Path(NSE).read_text())
    rows = document["records"]["data"]
    rows[0]["CE"]["bidprice"] = -5
    rows += [rows[2], rows[2], None]
    path = tmp_path / "damaged.json"
    path.write_text(json.dumps(document))
    code, out, err = run("--json", path)
    row = json.loads(out.splitlines()[0])
    assert code == 0
    assert (row["rows_read"], row["strikes"]) == (5, 2)
    assert sorted(row["rows_dropped"], key=lambda one: one["reason"]) == [
        {"reason": "duplicate_strike", "count": 2},
        {"reason": "negative_price", "count": 1},
    ]
    assert "rows_dropped" in row["flags"]
    assert f"{path}: 2 rows dropped: duplicate_strike: strike 20000 was already given (row 6, 7)" in err
    assert "1 row dropped: negative_price" in err
    assert "1 row dropped: not_an_object" in err


def test_a_demanded_format(run):
    assert run("--json", "--format", "nse", NSE)[0] == 0
    code, out, err = run("--json", "--format", "cboe", NSE)
    assert (code, out) == (1, "")
    assert "is not a Cboe quote table" in err


def test_an_adjusted_contract_has_a_null_multiplier(run, tmp_path):
    path = tmp_path / "file.csv"
    path.write_text(Path(SPX).read_text().replace("SPXW", "AMD1"))
    row = json.loads(run("--json", path)[1].splitlines()[0])
    assert (row["root"], row["multiplier"]) == ("AMD1", None)
    assert row["reasons"]["multiplier"] == "unknown_contract"


def test_the_rate_is_that_of_the_configuration(rows, tmp_path):
    path = tmp_path / "deltastream.toml"
    path.write_text("[analytics.rates]\nUSD = 0.1\n")
    row = rows("--config", path, SPX)[0]
    assert (row["rate"], row["rate_source"]) == (0.1, "configured:USD")


def test_the_table_for_people(run):
    code, out, err = run(NSE, SPX)
    assert (code, err) == (0, "")
    assert "nse_legacy.json  2025-12-05T13:01:51+05:30" in out
    assert "20,013.40" in out
    assert "SPXW" in out
    assert not any("\x1b" in line for line in out.splitlines())


def test_names_cannot_disturb_the_terminal(run, tmp_path):
    path = tmp_path / "evil\x1b[2J.json"
    shutil.copy(NSE, path)
    missing = tmp_path / "gone\x1b[2J"
    _, out, err = run(path, missing)
    assert "\x1b" not in out + err


def test_names_need_not_be_text(run, tmp_path):
    path = os.fsdecode(os.fsencode(tmp_path) + b"/\xff.json")
    shutil.copy(NSE, path)
    code, out, _ = run("--json", path)
    assert code == 0
    assert json.loads(out.splitlines()[0])["file"].endswith("\ufffd.json")
    assert run(path)[0] == 0
    assert run(path + "?")[0] == 1
