"""What is encoded is what is decoded, for any message of any kind."""

from __future__ import annotations

from collections.abc import Callable

import hypothesis.strategies as st
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings

from deltastream.messages import (
    ChainHead,
    EnrichedChain,
    Message,
    OptionChain,
    decode,
    decode_json,
    encode,
    encode_json,
    kind_of,
)
from deltastream.messages.codec import KINDS

Strategies = Callable[..., st.SearchStrategy[Message]]

ANY = st.floats(width=64)
FINITE = st.floats(allow_nan=False, allow_infinity=False)
FINITE_OR_NAN = FINITE | st.just(float("nan"))

every_kind = pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__)
quick = settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow])


@every_kind
def test_frames(kind: type[Message], any_message: Strategies):
    """Bit for bit, NaN and infinities included."""

    @quick
    @given(any_message(kind, ANY, ANY))
    def check(message: Message) -> None:
        frame = encode(message)
        assert len(frame) % 8 == 0
        assert kind_of(frame) == message.__struct_config__.tag
        assert encode(decode(frame)) == frame

    check()


@every_kind
def test_json(kind: type[Message], any_message: Strategies):
    """Exactly, where the numbers are ones that JSON has."""

    @quick
    @given(any_message(kind, FINITE, FINITE_OR_NAN))
    def check(message: Message) -> None:
        text = encode_json(message)
        assert b"\n" not in text
        again = decode_json(text)
        assert encode_json(again) == text
        if isinstance(message, ChainHead):
            assert isinstance(again, ChainHead)
            np.testing.assert_array_equal(again.columns, message.columns, strict=True)
        else:
            assert again == message

    check()


@pytest.mark.parametrize("tag", ["option_chain", "enriched_chain"])
@pytest.mark.parametrize("value", [float("inf"), float("-inf")])
def test_json_has_no_infinity(tag: str, value: float, examples: dict[str, Message]):
    """An infinity in a column is not there for the edge, as NaN is not."""
    chain = decode(encode(examples[tag]))
    assert isinstance(chain, ChainHead)
    columns = chain.columns.copy()
    columns[1, 0] = value
    fields = {name: getattr(chain, name) for name in chain.__struct_fields__} | {"columns": columns}
    again = decode_json(encode_json(type(chain)(**fields)))
    assert isinstance(again, ChainHead)
    assert np.isnan(again["call_bid"][0])


@pytest.mark.parametrize("kind", [OptionChain, EnrichedChain])
@pytest.mark.parametrize("strikes", [0, 1, 5_000])
def test_sizes(kind: type[ChainHead], strikes: int, examples: dict[str, Message]):
    example = examples[str(kind.__struct_config__.tag)]
    columns = np.linspace(0.0, 1.0, kind.ROWS * strikes).reshape(kind.ROWS, strikes)
    fields = {name: getattr(example, name) for name in example.__struct_fields__} | {"columns": columns}
    chain = kind(**fields)
    for again in (decode(encode(chain)), decode_json(encode_json(chain))):
        assert isinstance(again, kind)
        assert again.columns.shape == (kind.ROWS, strikes)
        np.testing.assert_array_equal(again.columns, columns)
