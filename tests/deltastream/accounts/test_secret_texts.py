"""Secrets that are drawn: their forms, and how a successor is sealed."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from deltastream.accounts import secret_texts as texts
from deltastream.seams import Seams

TOKENS = st.binary(min_size=32, max_size=32).map(lambda data: "dsr_" + data.hex())


def test_each_tells_what_it_is(seams: Seams):
    prefix, key = texts.api_key_text(seams.secrets)
    assert key.startswith(f"ds_{prefix}_")
    assert texts.api_key_parts(key) == (prefix, texts.digest(key))
    refresh, link = texts.refresh_text(seams.secrets), texts.link_text(seams.secrets)
    assert (texts.is_refresh(refresh), texts.is_link(link)) == (True, True)
    assert (texts.is_refresh(link), texts.is_link(refresh)) == (False, False)
    assert len({refresh, link, key, texts.refresh_text(seams.secrets)}) == 4


def test_the_real_ones_differ_and_have_256_bits():
    secrets = Seams.system().secrets
    drawn = {texts.refresh_text(secrets) for _ in range(1000)}
    assert len(drawn) == 1000
    assert {len(text) for text in drawn} == {4 + 64}


@pytest.mark.parametrize(
    "text",
    [
        "",
        "ds_",
        "ds_0123456789ab_",
        "ds_0123456789ab_" + "0" * 63,
        "ds_0123456789ab_" + "0" * 65,
        "ds_0123456789AB_" + "0" * 64,
        "ds_0123456789ab_" + "\u0660" * 64,  # Arabic digits
        "ds_0123456789ab_" + "0" * 64 + "\n",
        "ds_" + "x" * 10_000_000,
    ],
)
def test_what_cannot_be_a_key(text: str):
    assert texts.api_key_parts(text) is None


@given(TOKENS, TOKENS)
def test_who_has_the_token_reads_its_successor(successor: str, presented: str):
    assert texts.unseal(texts.seal(successor, presented), presented) == successor


@given(TOKENS, TOKENS, TOKENS)
def test_nobody_else_does(successor: str, presented: str, other: str):
    sealed = texts.seal(successor, presented)
    assert (texts.unseal(sealed, other) == successor) == (other == presented)
    assert sealed not in (bytes.fromhex(successor[4:]), texts.digest(presented), texts.digest(successor))
