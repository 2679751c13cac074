"""permessage-deflate (RFC 7692) as we speak it: each message by itself, and none unpacked without limit."""

from __future__ import annotations

import zlib
from typing import Final

from wsproto.extensions import PerMessageDeflate
from wsproto.frame_protocol import CloseReason, FrameDecoder, FrameProtocol, Opcode, RsvBits

__all__ = ["Deflate"]

_TAIL: Final = b"\x00\x00\xff\xff"
_WINDOW_BITS: Final = 15


class Deflate(PerMessageDeflate):
    """Agrees on compression that remembers no earlier message; one that unpacks to too much ends it.

    A client that wants a smaller window than we pack with is spoken to without compression.

    Args:
        most: bytes that a message may become.
    """

    def __init__(self, most: int) -> None:
        super().__init__(client_no_context_takeover=True, server_no_context_takeover=True)
        self._most = most
        self._left = most
        self._control = False
        self._unpacker: zlib._Decompress | None = None

    def accept(self, offer: str) -> bool | str | None:
        """Our answer to an offer; None declines it.

        Raises:
            ValueError: its parameters are not numbers.
        """
        agreed = super().accept(offer)
        if self.server_max_window_bits != _WINDOW_BITS:
            self._enabled = False
            return None
        return agreed

    def frame_inbound_header(
        self, proto: FrameDecoder | FrameProtocol, opcode: Opcode, rsv: RsvBits, payload_length: int
    ) -> CloseReason | RsvBits:
        """Look at the head of a frame: the first of a message tells whether that is packed."""
        first = opcode in (Opcode.TEXT, Opcode.BINARY)
        if rsv.rsv1 and not first:
            return CloseReason.PROTOCOL_ERROR
        if first:
            self._left = self._most
            self._unpacker = zlib.decompressobj(-_WINDOW_BITS) if rsv.rsv1 else None
        self._control = opcode.iscontrol()
        return RsvBits(True, False, False)

    def frame_inbound_payload_data(
        self, proto: FrameDecoder | FrameProtocol, data: bytes
    ) -> bytes | CloseReason:
        """What a part of a frame unpacks to."""
        return data if self._control else self._unpacked(data)

    def frame_inbound_complete(
        self, proto: FrameDecoder | FrameProtocol, fin: bool
    ) -> bytes | CloseReason | None:
        """What the end of a frame adds."""
        if self._control or not fin or self._unpacker is None:
            return None
        rest = self._unpacked(_TAIL)
        self._unpacker = None
        return rest

    def _unpacked(self, data: bytes) -> bytes | CloseReason:
        if self._unpacker is None:
            return data
        try:
            plain = self._unpacker.decompress(data, self._left + 1)
        except zlib.error:
            return CloseReason.INVALID_FRAME_PAYLOAD_DATA
        self._left -= len(plain)
        return CloseReason.MESSAGE_TOO_BIG if self._left < 0 else plain
