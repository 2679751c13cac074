"""The matrix of a decoded chain is the frame itself, and its rows are found by name."""

from __future__ import annotations

import numpy as np
import pytest

from deltastream.messages import (
    ANALYTICS_ROWS,
    CHAIN_COLUMNS,
    CHAIN_ROWS,
    ENRICHED_COLUMNS,
    ENRICHED_ROWS,
    ROW,
    SIDE_ANALYTICS,
    SIDE_COLUMNS,
    ChainHead,
    Message,
    OptionChain,
    decode,
    encode,
)

CHAINS = ["option_chain", "enriched_chain"]


def chain_from(frame: bytes) -> ChainHead:
    message = decode(frame)
    assert isinstance(message, ChainHead)
    return message


@pytest.mark.parametrize("tag", CHAINS)
def test_decoding_copies_no_column(tag: str, examples: dict[str, Message]):
    frame = encode(examples[tag])
    chain = chain_from(frame)
    assert np.shares_memory(chain.columns, np.frombuffer(frame, np.uint8))
    assert np.shares_memory(chain["put_oi"], chain.columns)
    assert chain.columns.flags.c_contiguous
    assert chain["put_oi"].flags.c_contiguous


@pytest.mark.parametrize("tag", CHAINS)
@pytest.mark.parametrize("product", ["", "A", "AB", "ABC", "ABCD", "ABCDE", "ABCDEF", "ABCDEFG"])
def test_columns_are_aligned_whatever_the_head_is_long(tag: str, product: str, examples: dict[str, Message]):
    example = examples[tag]
    fields = {name: getattr(example, name) for name in example.__struct_fields__} | {"product": product}
    columns = chain_from(encode(type(example)(**fields))).columns
    assert columns.flags.aligned
    assert columns.ctypes.data % 8 == 0


@pytest.mark.parametrize("tag", CHAINS)
def test_decoded_columns_cannot_be_written(tag: str, examples: dict[str, Message]):
    chain = chain_from(encode(examples[tag]))
    with pytest.raises(ValueError, match="read-only"):
        chain["call_bid"][0] = 1.0
    with pytest.raises(AttributeError):
        chain.columns = np.zeros((1, 1))  # type: ignore[misc]  # frozen: that is the point


def test_rows_by_name(examples: dict[str, Message]):
    market, enriched = examples["option_chain"], examples["enriched_chain"]
    assert isinstance(market, ChainHead)
    assert isinstance(enriched, ChainHead)
    for row, name in enumerate(CHAIN_COLUMNS):
        np.testing.assert_array_equal(market[name], market.columns[row])
        np.testing.assert_array_equal(enriched[name], enriched.columns[row])
    for row, name in enumerate(ENRICHED_COLUMNS):
        np.testing.assert_array_equal(enriched[name], enriched.columns[row])
    np.testing.assert_array_equal(market.strikes, market.columns[0])
    for name in ("call_delta", "nonsense"):
        with pytest.raises(KeyError, match=name):
            market[name]


def test_layout():
    assert len(set(ENRICHED_COLUMNS)) == len(ENRICHED_COLUMNS) == ENRICHED_ROWS
    assert ENRICHED_COLUMNS[:CHAIN_ROWS] == CHAIN_COLUMNS
    assert 1 + 2 * len(SIDE_COLUMNS) == CHAIN_ROWS
    assert 2 * len(SIDE_ANALYTICS) == ANALYTICS_ROWS
    assert [ROW[name] for name in ENRICHED_COLUMNS] == list(range(ENRICHED_ROWS))
    assert ROW["put_bid"] - ROW["call_bid"] == len(SIDE_COLUMNS)
    assert ROW["put_iv"] - ROW["call_iv"] == len(SIDE_ANALYTICS)


@pytest.mark.parametrize(
    "columns",
    [
        np.zeros((CHAIN_ROWS - 1, 2)),
        np.zeros((ENRICHED_ROWS, 2)),
        np.zeros(CHAIN_ROWS),
        np.zeros((CHAIN_ROWS, 2), dtype=np.float32),
        np.zeros((CHAIN_ROWS, 2), dtype=np.int64),
    ],
    ids=["rows", "kind", "dimensions", "float32", "int64"],
)
def test_wrong_matrix_is_refused(columns: np.ndarray, examples: dict[str, Message]):
    example = examples["option_chain"]
    fields = {name: getattr(example, name) for name in example.__struct_fields__} | {"columns": columns}
    with pytest.raises(ValueError, match=r"columns must be float64\[23, n\], got "):
        encode(OptionChain(**fields))


def test_matrix_need_not_be_contiguous_or_native(examples: dict[str, Message]):
    example = examples["option_chain"]
    plain = np.arange(CHAIN_ROWS * 4, dtype=np.float64).reshape(CHAIN_ROWS, 4)
    fields = {name: getattr(example, name) for name in example.__struct_fields__}
    for columns in (plain[:, ::2], np.asfortranarray(plain[:, ::2])):
        frame = encode(OptionChain(**(fields | {"columns": columns})))
        np.testing.assert_array_equal(chain_from(frame).columns, plain[:, ::2])
