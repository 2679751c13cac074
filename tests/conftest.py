"""What all tests share: the same examples on every machine, and no log lines but those asked for."""

from __future__ import annotations

import logging

import pytest
import structlog
from hypothesis import settings

settings.register_profile("suite", derandomize=True, deadline=None, print_blob=True)
settings.load_profile("suite")


@pytest.fixture(autouse=True)
def quiet_logs():
    """Only warnings and worse reach the output; a test that reads log lines configures its own."""
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.WARNING))
    yield
    structlog.reset_defaults()
