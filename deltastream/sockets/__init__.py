"""Sockets: live analytics as sequenced, resumable streams, the protocol `deltastream.v1`.

`session` is the state machine of one connection and `hub` that of all rooms; neither knows a
socket. `guest` serves a client of either port. `docs/websocket.md` tells client
authors what goes over the wire.
"""
