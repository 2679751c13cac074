"""The model and the store it judges: a true history passes, every wrong one is told."""

from __future__ import annotations

import random
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

import msgspec
import numpy as np
import pytest

from deltastream.analytics import AnalyticsSettings, enrich, surface
from deltastream.bus import Gap, Record
from deltastream.messages import (
    CHAIN_ROWS,
    ROW,
    DeadLetter,
    MarketStatus,
    OptionChain,
    Position,
    UnderlyingTick,
)
from deltastream.sim.comparison import compare_store
from deltastream.sim.model import Model
from deltastream.storage import SqliteRepository, StoreSettings

NOON = int(datetime(2026, 11, 20, 6, 30, tzinfo=UTC).timestamp()) * 10**9
SECOND = 10**9
SETTINGS = AnalyticsSettings()
TICK, STATUS = "market.tick.NIFTY", "market.status.NIFTY"
CHAIN, ENRICHED, SURFACE = "market.chain.NIFTY", "enriched.chain.NIFTY", "analytics.surface.NIFTY"
replace = msgspec.structs.replace


def tick(n, price=100.0, volume=None):
    return UnderlyingTick(
        product="NIFTY", price=price, volume=volume, ts_event=NOON + n * SECOND, ts_recv=NOON
    )


def status(n, kind="open"):
    ts = NOON + n * SECOND
    return MarketStatus(product="NIFTY", status=kind, reason="test", since=ts, ts_event=ts, ts_recv=ts)


def chain(n, expiry="2026-11-24", days=4):
    strikes = np.arange(25_800.0, 26_250.0, 50.0)
    columns = np.full((CHAIN_ROWS, strikes.size), 1000.0 + n)
    columns[0] = strikes
    for side, sign in (("call", 1.0), ("put", -1.0)):
        columns[ROW[f"{side}_bid"]] = np.maximum(sign * (26_000 - strikes), 0) + 100 + n
        columns[ROW[f"{side}_ask"]] = columns[ROW[f"{side}_bid"]] + 1
    ts = NOON + n * SECOND
    return OptionChain(
        product="NIFTY", root="NIFTY", expiry=expiry, expiry_ts=NOON + days * 86_400 * SECOND,
        ts_event=ts, ts_recv=ts, spot=26_000.0, currency="INR", multiplier=65.0, lot=1.0, tick_size=0.05,
        exercise="european", settlement="cash", oi_unit="contracts", volume_unit="contracts",
        oi_cadence="3min", columns=columns,
    )  # fmt: skip


def result(source, seq, of=None):
    return enrich(source, SETTINGS, ts_recv=NOON, source=(CHAIN, Position("e", of or seq)))


@dataclass
class Log:
    """A log in the making: records as the observer gives them, and the topics' ends."""

    records: list[Record] = field(default_factory=list)
    ends: dict[str, int] = field(default_factory=dict)

    def add(self, topic, *messages):
        for message in messages:
            self.ends[topic] = seq = self.ends.get(topic, 0) + 1
            self.records.append(Record(topic, Position("e", seq), message))
        return self


def judged(log, settings=SETTINGS, letters=()):
    """What a model makes of a log that is over, without a store."""
    codes = []
    model = Model(settings, lambda code, detail: codes.append(code))
    for record in log.records:
        model.observe(record)
    model.bury(letters, False)
    model.derivations.complete()
    model.derivations.surfaces()
    return codes, model


def letter(group, topic, seq):
    return DeadLetter(
        id="x", group=group, topic=topic, position=Position("e", seq), ts=1, attempts=5, error="", trace="",
        frame=b"",
    )  # fmt: skip


def day():
    """A small true history: every kind of message, late ones and repeated ones among them."""
    log = Log()
    log.add(TICK, tick(1), tick(3, 104.0, 5.0), tick(2, 90.0), tick(3, 101.0, 2.0), tick(70), tick(1000, 7.0))
    log.add(STATUS, status(0), status(30, "stale"), status(20))
    sources = [chain(1), chain(2, "2026-12-29", 39), chain(4), chain(3)]
    log.add(CHAIN, *sources)
    results = [result(source, seq) for seq, source in enumerate(sources, start=1)]
    log.add(ENRICHED, *results)
    log.add(
        SURFACE, surface("NIFTY", results[:2], ts_recv=NOON), surface("NIFTY", results[1:3], ts_recv=NOON)
    )
    return log


class TestDerivations:
    def test_a_true_history(self):
        codes, model = judged(day())
        assert codes == []
        assert model.derivations.compared == 4

    def test_a_result_seen_before_its_source(self):
        log = day()
        log.records.reverse()
        log.records.sort(key=lambda record: record.position.seq)
        assert judged(log)[0] == []

    def test_a_source_without_result(self):
        assert judged(Log().add(CHAIN, chain(1)))[0] == ["derived_missing"]
        assert judged(Log().add(CHAIN, replace(chain(1), columns=chain(1).columns[:, ::-1].copy())),
                      letters=[letter("enricher", CHAIN, 1)])[0] == []  # fmt: skip

    def test_two_results(self):
        log = Log().add(CHAIN, chain(1)).add(ENRICHED, result(chain(1), 1), result(chain(1), 1))
        assert "derived_twice" in judged(log)[0]

    def test_results_in_another_order(self):
        log = Log().add(CHAIN, chain(1), chain(2)).add(ENRICHED, result(chain(2), 2), result(chain(1), 1))
        assert "derived_out_of_order" in judged(log)[0]

    def test_a_result_of_another_chain(self):
        log = Log().add(CHAIN, chain(1)).add(ENRICHED, result(chain(2), 1))
        assert "derived_wrong_input" in judged(log)[0]
        log = Log().add(CHAIN, chain(1)).add(ENRICHED, result(chain(1), 7))
        assert "derived_wrong_source" in judged(log)[0]
        log = Log().add(CHAIN, chain(1)).add(ENRICHED, replace(result(chain(1), 1), source=None))
        assert "derived_without_source" in judged(log)[0]

    @pytest.mark.parametrize(("source", "codes"), [(2, []), (3, ["derived_wrong_input"])])
    def test_a_source_seen_under_a_later_epoch_than_accepted(self, source, codes):
        """Its process ended before anybody could see it; it was kept by the next, and so was its result."""
        told = []
        model = Model(SETTINGS, lambda code, detail: told.append(code))
        for record in Log().add(CHAIN, chain(1)).add(ENRICHED, result(chain(1), 1)).records:
            model.observe(record)
        for topic, message in ((CHAIN, chain(2)), (ENRICHED, result(chain(source), 2))):
            model.history.declare(Gap(topic, "e", 2, 1, "epoch_changed", "f"))
            model.observe(Record(topic, Position("f", 2), message))
        model.derivations.complete()
        assert [code for code in told if code != "gap_unexplained"] == codes
        assert model.derivations.compared == 2

    @pytest.mark.parametrize("wrong", [{"atm_iv": 0.5}, {"flags": ("stale",)}, {"rate": 0.1}])
    def test_another_result(self, wrong):
        log = Log().add(CHAIN, chain(1)).add(ENRICHED, replace(result(chain(1), 1), **wrong))
        assert "derived_wrong_result" in judged(log)[0]

    def test_references_of_the_session_before(self):
        """Only where the chain has none itself, and only those of the last chain of an earlier day."""
        before = replace(chain(0), ts_event=NOON - 86_400 * SECOND)
        bare = chain(1)
        columns = bare.columns.copy()
        for side in ("call", "put"):
            columns[ROW[f"{side}_prev_close"]] = columns[ROW[f"{side}_prev_oi"]] = np.nan
        bare = replace(bare, columns=columns)
        filled = columns.copy()
        for side in ("call", "put"):
            filled[ROW[f"{side}_prev_close"]] = before[f"{side}_last"]
            filled[ROW[f"{side}_prev_oi"]] = before[f"{side}_oi"]
        flagged = replace(bare, columns=filled, flags=("reference_from_store",))
        start = Log().add(CHAIN, before, bare).add(ENRICHED, result(before, 1))
        assert "derived_wrong" not in str(judged(start.add(ENRICHED, result(flagged, 2)))[0])
        filled[ROW["put_prev_oi"]] += 1.0
        wrong = Log().add(CHAIN, before, bare).add(ENRICHED, result(before, 1), result(flagged, 2))
        assert "derived_wrong_result" in judged(wrong)[0]


class TestSurfaces:
    def results(self):
        sources = [chain(1), chain(2, "2026-12-29", 39), chain(4)]
        results = [result(source, seq) for seq, source in enumerate(sources, start=1)]
        return Log().add(CHAIN, *sources).add(ENRICHED, *results), results

    def made(self, *chains):
        return surface("NIFTY", chains, ts_recv=NOON)

    def test_the_last_is_of_the_last_chains(self):
        log, (first, second, _) = self.results()
        assert judged(log)[0] == ["surface_behind"]
        assert judged(log.add(SURFACE, self.made(first, second)))[0] == ["surface_behind"]

    def test_none_is_of_chains_that_never_were_together(self):
        log, (_, second, third) = self.results()
        log.add(SURFACE, self.made(third), self.made(second, third))
        assert judged(log)[0] == ["surface_of_no_moment"]

    def test_none_goes_back(self):
        log, (first, second, third) = self.results()
        log.add(SURFACE, self.made(second, third), self.made(first, second), self.made(second, third))
        assert judged(log)[0] == ["surface_of_no_moment"]


class TestDeadLetters:
    def test_only_what_is_not_sound_earns_one(self):
        log = Log().add(TICK, tick(1), tick(2, -1.0))
        assert judged(log, letters=[letter("storage", TICK, 2)])[0] == []
        assert judged(log, letters=[letter("storage", TICK, 1)])[0] == ["dead_unearned"]

    def test_of_a_message_that_never_was(self):
        assert judged(Log(), letters=[letter("storage", TICK, 1)])[0] == ["dead_unknown"]


@pytest.fixture
def compared(tmp_path: Path, virtual_seams):
    """What is said of a store that was given some records, judged by the model of a log."""

    async def compare(log, records=None, spoil=None, letters=(), **excused):
        codes, model = judged(log, letters=letters)
        assert codes == []
        async with SqliteRepository(tmp_path / "store.db", StoreSettings(), virtual_seams(NOON)) as store:
            kept = [r for r in (log.records if records is None else records) if r.topic != CHAIN]
            for record in kept:
                await store.apply("storage", [record])
            for statement in spoil or ():
                store._writer.connection.execute(statement)
            rng = random.Random(1)
            rows = await compare_store(model, store, lambda code, _: codes.append(code), rng, **excused)
        return sorted(set(codes)), rows

    return compare


class TestStore:
    async def test_a_true_store(self, compared, autojump_clock):
        codes, rows = await compared(day())
        assert codes == []
        assert rows == 26

    async def test_the_order_of_arrival_changes_nothing(self, compared, autojump_clock):
        records = day().records
        random.Random(3).shuffle(records)
        assert (await compared(day(), records))[0] == []

    @pytest.mark.parametrize("topic", [TICK, STATUS, ENRICHED, SURFACE])
    async def test_a_message_without_effect(self, compared, autojump_clock, topic):
        log = day()
        left_out = next(record for record in log.records if record.topic == topic)
        codes, _ = await compared(log, [record for record in log.records if record is not left_out])
        assert "store_missing" in codes

    @pytest.mark.parametrize("topic", [TICK, STATUS, ENRICHED, SURFACE])
    async def test_a_second_effect(self, compared, autojump_clock, topic):
        log = day()
        again = next(record for record in log.records if record.topic == topic)
        codes, _ = await compared(log, [*log.records, replace_position(again, 99)])
        assert "store_extra" in codes

    async def test_a_second_effect_that_is_excused(self, compared, tmp_path, autojump_clock):
        log = day()
        again = replace_position(log.records[0], 99)
        codes, _ = await compared(log, [*log.records, again], repeats_excused=True)
        assert codes == []
        (tmp_path / "store.db").unlink()
        strange = Record(TICK, Position("e", 99), tick(7, 12.5))
        codes, _ = await compared(log, [*log.records, strange], repeats_excused=True)
        assert "store_extra" in codes

    @pytest.mark.parametrize(("second", "codes"), [(5, []), (6, ["bars"])])
    async def test_ticks_of_one_instant_of_which_nobody_knows_the_order(
        self, compared, autojump_clock, second, codes
    ):
        log = Log().add(TICK, tick(5, 90.0), tick(second, 95.0))
        found, _ = await compared(
            log, spoil=["UPDATE bars SET open = 95.0, close = 90.0"], extras_excused=True
        )
        assert found == codes
        assert "bars" in (await compared(log, spoil=["UPDATE bars SET open = 95.0"]))[0]

    async def test_another_content(self, compared, autojump_clock):
        log = day()
        wrong = [Record(r.topic, r.position, replace(r.message, price=1.0)) if r is log.records[0] else r
                 for r in log.records]  # fmt: skip
        assert {"store_missing", "store_extra", "bars"} <= set((await compared(log, wrong))[0])

    @pytest.mark.parametrize(
        ("statement", "code"),
        [
            ("UPDATE bars SET open = open + 1", "bars"),
            ("UPDATE bars SET ticks = ticks + 1", "bars"),
            ("UPDATE bars SET volume = 8.0 WHERE volume = 7.0", "bars"),
            ("DELETE FROM bars WHERE interval_s = 900", "bars"),
            ("UPDATE bars SET start = start + 1 WHERE interval_s = 60", "bars"),
            ("UPDATE metrics SET pcr_oi = 9.0", "metrics"),
            ("DELETE FROM metrics", "metrics"),
            ("UPDATE series SET expiry_ts = 0", "latest"),
            ("UPDATE products SET last_ts = last_ts + 1", "latest"),
            ("UPDATE ticks SET ordinal = 4398046511103 - ordinal", "store_order"),
        ],
    )  # fmt: skip
    async def test_a_wrong_row(self, compared, autojump_clock, statement, code):
        assert code in (await compared(day(), spoil=[statement]))[0]

    async def test_a_product_of_which_nothing_was_published(self, compared, autojump_clock):
        other = Record("market.tick.SPY", Position("e", 1), replace(tick(1), product="SPY"))
        log = day()
        assert (await compared(log, [*log.records, other]))[0] == ["store_extra"]

    async def test_a_dead_letter_has_no_effect(self, compared, autojump_clock):
        log = day().add(TICK, tick(5, -1.0))
        records = [record for record in log.records if record.message != tick(5, -1.0)]
        assert (await compared(log, records, letters=[letter("storage", TICK, 7)]))[0] == []
        assert (await compared(log, []))[0] != []


def replace_position(record, seq):
    return Record(record.topic, Position("e", seq), record.message)
