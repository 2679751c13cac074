"""The latest state, followed from the bus."""

from __future__ import annotations


async def test_world_stands(world, autojump_clock):
    live = world.live
    assert live.products() == ["NIFTY", "SPY"]
    for product in live.products():
        assert len(live.chains(product)) == 2
        assert live.surface(product) is not None
        assert live.status(product).message.status == "open"
        assert live.stale(product, world.clock.now_ns()) == ()


async def test_world_lets_a_user_in(world, autojump_clock):
    signed_in = await world.user()
    assert (await world.accounts.authenticate(signed_in.access)).email == "ann@example.org"
    assert (await world.accounts.authenticate(await world.key("read:market"))).scopes == {"read:market"}
