"""Bugs planted in the supervisors."""

from __future__ import annotations

import pytest
import trio

pytestmark = pytest.mark.slow


def test_wakeup_of_a_supervisor_lost(planted):
    def bug(original):
        def _post(self, message):
            self._inbox.append(message)

        return _post

    planted(
        {"supervisors._supervisor:Supervisor._post": bug}, seeds=10, caught="not_recovered not_settled hung"
    )


def test_restarts_in_reverse(planted):
    def bug(original):
        def _due(self):
            now = trio.current_time()
            due = [each for each in self._children if each.restart_at is not None and each.restart_at <= now]
            return due[-1] if due else None

        return _due

    planted({"supervisors._supervisor:Supervisor._due": bug}, seeds=20, caught="start_order")


def test_later_siblings_not_stopped(planted):
    def bug(original):
        def _sharing_the_fate_of(self, child):
            return [child]

        return _sharing_the_fate_of

    planted({"supervisors._supervisor:Supervisor._sharing_the_fate_of": bug}, seeds=20, caught="start_order")


def test_stopped_in_order_of_start(planted):
    def bug(original):
        async def _stop_all(self, keeper):
            self._children.reverse()
            await original(self, keeper)
            self._children.reverse()

        return _stop_all

    planted({"supervisors._supervisor:Supervisor._stop_all": bug}, seeds=2, caught="stop_order")


def test_one_restart_too_many(planted):
    def bug(original):
        def add(self, now):
            self._stamps.append(now)
            return self.count(now) > self._intensity.max_restarts + 1

        return add

    planted(
        {"supervisors._intensity:RestartWindow.add": bug},
        seeds=10,
        caught="intensity_exceeded",
        faults="crash_loop",
    )


def test_one_restart_too_few(planted):
    def bug(original):
        def add(self, now):
            self._stamps.append(now)
            return self.count(now) >= self._intensity.max_restarts

        return add

    planted(
        {"supervisors._intensity:RestartWindow.add": bug},
        seeds=10,
        caught="gave_up_early",
        faults="crash_loop",
    )


def test_restart_without_delay(planted):
    def bug(original):
        def delay(self, failures, rng):
            return 0.0

        return delay

    planted({"supervisors._backoff:Backoff.delay": bug}, seeds=10, caught="backoff_missing")


def test_restart_without_jitter(planted):
    def bug(original):
        def delay(self, failures, rng):
            return min(self.initial * self.factor ** (failures - 1), self.maximum)

        return delay

    planted(
        {"supervisors._backoff:Backoff.delay": bug}, seeds=10, caught="backoff_regular", faults="crash_loop"
    )


def test_cancellation_dropped(planted):
    def bug(original):
        def ask_to_stop(self):
            if self.supervisor is not None:
                self.supervisor.request_stop()
            return self.incarnation

        return ask_to_stop

    planted({"supervisors._child:Child.ask_to_stop": bug}, seeds=2, caught="stop_late not_recovered hung")
