"""The table of `analyze`: at every width whole numbers only, and nothing left out in silence."""

from __future__ import annotations

import io
import re
from pathlib import Path

import msgspec
import pytest
from rich.console import Console

from deltastream.analytics import AnalyticsSettings, enrich
from deltastream.cli._chain_table import Line, print_chains
from deltastream.cli._output import percent
from deltastream.feeds.recorded import read_file
from deltastream.messages import EnrichedChain

SAMPLES = Path(__file__).parents[1] / "feeds" / "recorded" / "samples"
WIDTHS = (35, 45, 60, 80, 100, 140, 200)
NARROWEST = 30


@pytest.fixture(params=["nse_legacy.json", "cboe_english.csv"])
def chains(request) -> list[EnrichedChain]:
    recorded = read_file(str(SAMPLES / request.param), ts_recv=1)
    return [enrich(chain, AnalyticsSettings(), ts_recv=1) for chain in recorded.chains]


def shown(chains: list[EnrichedChain], width: int, *, terminal: bool = True, dropped: int = 0) -> list[str]:
    out = io.StringIO()
    screen = Console(file=out, width=width, force_terminal=terminal, color_system=None, markup=False)
    print_chains(screen, "file", "2025-12-05T13:01:51+05:30", [Line(chain, dropped) for chain in chains])
    return [line.rstrip() for line in out.getvalue().splitlines()]


def flagged(chains: list[EnrichedChain]) -> list[EnrichedChain]:
    """All are closed; the first has flags of its own, and a wide interval of max pain."""
    first, *rest = [msgspec.structs.replace(chain, flags=("market_closed",)) for chain in chains]
    flags = ("market_closed", "atm_from_spot", "straddle_from_last")
    interval = (1_234_567.5, 1_234_600.0)
    return [
        msgspec.structs.replace(first, flags=flags, max_pain_interval=interval, max_pain_strike=1_234_567.5),
        *rest,
    ]


@pytest.mark.parametrize("width", WIDTHS)
def test_no_number_is_cut_at_any_width(chains, width: int):
    lines = shown(flagged(chains), width, dropped=1234)
    assert "…" not in "".join(lines)
    assert max(map(len, lines)) <= width
    rows = [line for line in lines if re.search(r"\d{4}-\d\d-\d\d  ", line)]
    assert len(rows) == len(chains)
    for row, chain in zip(rows, chains, strict=True):
        assert percent(chain.atm_iv) in row.split()


def test_a_terminal_of_no_width_still_gets_whole_numbers(chains):
    lines = shown(chains, 5)
    row = next(line for line in lines if chains[0].expiry in line)
    assert percent(chains[0].atm_iv) in row.split()


def test_columns_are_left_out_in_order_and_named(chains):
    def columns(width: int) -> list[str]:
        return re.split(" {2,}", next(line for line in shown(chains, width) if "expiry" in line))

    before = columns(200)
    assert before == [
        *(
            "root",
            "expiry",
            "forward",
            "ATM",
            "straddle",
            "ATM IV",
            "PCR OI",
            "PCR vol",
            "max pain",
            "strikes",
        ),
    ]
    order: list[str] = []
    for width in range(199, NARROWEST, -1):
        now = columns(width)
        order += [name for name in before if name not in now]
        before = now
        told = " ".join(shown(chains, width)).partition("no room for ")[2].strip()
        missing = [name for name in order if name != "root"]
        assert [name for name in told.split(", ") if name] == missing
    least_first = ["strikes", "PCR vol", "straddle", "ATM", "max pain", "PCR OI"]
    if chains[0].product == "NIFTY":
        least_first.insert(0, "root")
    assert order[: len(least_first)] == least_first


def test_what_all_chains_share_stands_in_the_heading(chains):
    heading = shown(flagged(chains), 200)[0]
    spot = f"{chains[0].product} spot {chains[0].spot:,.2f}"
    assert heading == f"file  2025-12-05T13:01:51+05:30  {spot}  market_closed"


def test_flags_are_words_where_there_is_room_and_footnotes_where_not(chains):
    wide, narrow = shown(flagged(chains), 200), shown(flagged(chains), 80)
    assert any(line.endswith("atm_from_spot straddle_from_last") for line in wide)
    assert any(line.endswith("  ab") for line in narrow)
    assert "a=atm_from_spot  b=straddle_from_last" in narrow


def test_an_interval_becomes_its_point_nearest_spot(chains):
    assert "1,234,567.5 to 1,234,600" in "\n".join(shown(flagged(chains), 200))
    narrow = "\n".join(shown(flagged(chains), 70))
    assert "1,234,567.5" in narrow
    assert " to " not in narrow
    assert "max pain intervals" in narrow


def test_a_pipe_gets_everything(chains):
    lines = shown(flagged(chains), 40, terminal=False, dropped=7)
    header = next(line for line in lines if "expiry" in line)
    assert header.split()[-2:] == ["dropped", "flags"]
    assert not any("no room" in line for line in lines)


def test_a_price_that_is_not_known(chains):
    unknown = [msgspec.structs.replace(chain, spot=None) for chain in chains]
    assert f"{chains[0].product} spot unknown" in shown(unknown, 200)[0]
