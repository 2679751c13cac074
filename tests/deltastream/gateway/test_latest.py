"""The fold over records that keeps the latest of everything."""

from __future__ import annotations

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from deltastream.gateway._latest import Latest
from deltastream.messages import EnrichedChain, MarketStatus, Position, UnderlyingTick

T0 = 1_795_156_200_000_000_000
HOUR = 3_600 * 10**9


def tick(ts, price=100.0, product="NIFTY"):
    return UnderlyingTick(product=product, price=price, ts_event=ts, ts_recv=ts)


def taken(latest, message, seq, epoch="e1"):
    latest.take(message, f"topic.{message.product}", Position(epoch, seq))


def latest_of(chains):
    latest = Latest(1 << 30)
    for seq, chain in enumerate(chains, 1):
        taken(latest, chain, seq)
    return latest


def test_of_two_the_later_wins_by_time_then_by_number():
    latest = Latest(1 << 20)
    taken(latest, tick(T0, 1.0), 1)
    taken(latest, tick(T0, 2.0), 2)
    taken(latest, tick(T0 - 1, 3.0), 3)
    assert latest.tick("NIFTY").message.price == 2.0
    taken(latest, tick(T0, 4.0), 1)
    assert latest.tick("NIFTY").message.price == 2.0


def test_in_a_new_epoch_numbers_begin_anew():
    latest = Latest(1 << 20)
    taken(latest, tick(T0, 1.0), 900)
    taken(latest, tick(T0, 2.0), 1, epoch="e2")
    assert latest.tick("NIFTY").position == Position("e2", 1)


def test_at_one_time_the_bus_knows_better_than_the_store():
    latest = Latest(1 << 20)
    latest.take(tick(T0, 1.0), "t", None)
    taken(latest, tick(T0, 2.0), 7)
    latest.take(tick(T0, 3.0), "t", None)
    held = latest.tick("NIFTY")
    assert (held.message.price, held.position) == (2.0, Position("e1", 7))


def test_a_status_alone_is_no_data():
    latest = Latest(1 << 20)
    status = MarketStatus(product="X", status="closed", reason="r", since=T0, ts_event=T0, ts_recv=T0)
    taken(latest, status, 1)
    assert latest.products() == []
    assert latest.status("X").message is status


def test_what_has_expired_by_newer_data_is_dropped(enriched):
    near = enriched(expiry="2026-11-20", expiry_ts=T0 + HOUR)
    far = enriched(expiry="2026-11-24")
    latest = latest_of([near, far])
    assert [held.message.expiry for held in latest.chains("NIFTY")] == ["2026-11-20", "2026-11-24"]
    taken(latest, tick(T0 + HOUR), 3)
    assert [held.message.expiry for held in latest.chains("NIFTY")] == ["2026-11-24"]
    assert latest.chain("NIFTY", None, None).message is far
    assert latest.chain("NIFTY", "2026-11-20", None) is None
    taken(latest, near, 4)
    assert latest.chain("NIFTY", "2026-11-20", None) is None


def test_an_expiry_instant_that_is_moved_counts_as_moved(enriched):
    latest = latest_of([enriched(expiry_ts=T0 + HOUR), enriched(ts=T0 + 1, expiry_ts=T0 + 3 * HOUR)])
    taken(latest, tick(T0 + 2 * HOUR), 3)
    assert len(latest.chains("NIFTY")) == 1
    taken(latest, tick(T0 + 3 * HOUR), 4)
    assert latest.chains("NIFTY") == ()


def test_the_root_named_like_the_product_goes_first(enriched):
    make = {root: enriched(product="SPX", root=root) for root in ("SPXW", "SPX", "ASPX")}
    latest = latest_of(make.values())
    assert latest.chain("SPX", "2026-11-24", None).message.root == "SPX"
    assert latest.chain("SPX", "2026-11-24", "SPXW").message is make["SPXW"]
    assert latest_of([make["SPXW"], make["ASPX"]]).chain("SPX", "2026-11-24", None).message.root == "ASPX"
    assert latest.chain("SPX", "2026-11-25", None) is None
    assert latest.chain("SPX", None, "NONE") is None
    assert latest.of_contract("SPXW", "2026-11-24").message is make["SPXW"]
    assert latest.of_contract("SPXW", "2026-11-25") is None


def test_memory_is_bounded_and_the_idle_series_go_first(enriched):
    chain = enriched()
    size = chain.columns.nbytes
    latest = Latest(10 * size)
    for n in range(300):
        taken(latest, msgspec.structs.replace(chain, root=f"R{n}"), n + 1)
        taken(latest, msgspec.structs.replace(chain, ts_event=T0 + n + 1), n + 1)
    held = {one.message.root for one in latest.chains("NIFTY")}
    assert held == {"NIFTY", *(f"R{n}" for n in range(291, 300))}
    assert latest.dropped == 291


def test_one_chain_beyond_the_limit_is_still_held(enriched):
    latest = Latest(1)
    taken(latest, enriched(), 1)
    assert latest.chain("NIFTY", None, None) is not None


@given(
    st.lists(
        st.tuples(
            st.sampled_from(["A", "B"]),
            st.sampled_from(["A", "B", "AW"]),
            st.integers(1, 4),
            st.integers(0, 4),
            st.booleans(),
        ),
        max_size=30,
    )
)
def test_it_agrees_with_sorting_everything(steps):
    """A model that keeps every message and looks for the answer at the end."""
    latest = Latest(1 << 30)
    known: list[tuple[tuple[int, int], object]] = []
    for seq, (product, root, day, hours, is_tick) in enumerate(steps, 1):
        ts = T0 + hours * HOUR
        message = tick(ts, product=product) if is_tick else _chain(product, root, day, ts)
        taken(latest, message, seq)
        known.append(((ts, seq), message))
    for product in ("A", "B"):
        own = [(key, message) for key, message in known if message.product == product]
        newest = max((key[0] for key, _ in own), default=None)
        assert latest.newest(product) == newest
        series = {}
        for _, message in sorted(own, key=lambda pair: pair[0]):
            if isinstance(message, EnrichedChain):
                series[message.root, message.expiry] = message
        live = [one for one in series.values() if one.expiry_ts > newest]
        live.sort(key=lambda one: (one.expiry_ts, one.expiry, one.root))
        assert [held.message for held in latest.chains(product)] == live


def _chain(product, root, day, ts):
    """A chain that expires `day` hours after the start, so that some expire on the way."""
    import numpy as np

    from deltastream.messages import ENRICHED_ROWS

    return EnrichedChain(
        product=product,
        root=root,
        expiry=f"2026-11-{20 + day}",
        expiry_ts=T0 + day * HOUR,
        ts_event=ts,
        ts_recv=ts,
        spot=None,
        currency="INR",
        multiplier=1.0,
        exercise="european",
        settlement="cash",
        oi_unit="contracts",
        volume_unit="contracts",
        oi_cadence="live",
        columns=np.ones((ENRICHED_ROWS, 1)),
        rate=0.0,
        rate_source="configured:default",
    )
