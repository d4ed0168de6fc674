//! The Noise transport of a connection after the handshake: 3-byte frame headers, one cipher per direction.

use anyhow::Context;
use bytes::{Bytes, BytesMut};
use wacore::framing::{FrameDecoder, encode_frame_into};
use wacore_binary::{Node, OwnedNodeRef, marshal};
use wacore_noise::NoiseCipher;

/// The size in bytes after which a flush is cut into another WebSocket message.
const FLUSH_BYTES: usize = 64 * 1024;
/// The largest frame of a client. It limits what one socket can make us buffer.
const MAX_BUFFERED: usize = 4 * 1024 * 1024;

/// The inbound half: turns bytes into stanzas.
pub(crate) struct Inbound {
    cipher: NoiseCipher,
    counter: u32,
    frames: FrameDecoder,
}

impl Inbound {
    pub(crate) fn new(cipher: NoiseCipher, frames: FrameDecoder) -> Self {
        Self { cipher, counter: 0, frames }
    }

    pub(crate) fn feed(&mut self, bytes: &[u8]) -> anyhow::Result<()> {
        self.frames.feed(bytes);
        anyhow::ensure!(self.frames.buffered_len() <= MAX_BUFFERED, "frame too large");
        Ok(())
    }

    /// The next whole stanza, if one has arrived.
    pub(crate) fn next(&mut self) -> anyhow::Result<Option<Node>> {
        let Some(mut frame) = self.frames.decode_frame() else {
            return Ok(None);
        };
        self.cipher.decrypt_in_place_with_counter(self.counter, &mut frame).context("frame does not decrypt")?;
        self.counter = self.counter.checked_add(1).context("counter exhausted")?;
        let bytes = wacore_binary::util::unpack_bytes(frame)?;
        Ok(Some(OwnedNodeRef::new(bytes)?.to_owned_node()))
    }
}

/// The outbound half: stanzas are gathered in one buffer, which becomes one WebSocket message.
pub(crate) struct Outbound {
    cipher: NoiseCipher,
    counter: u32,
    buffer: BytesMut,
}

impl Outbound {
    pub(crate) fn new(cipher: NoiseCipher) -> Self {
        Self { cipher, counter: 0, buffer: BytesMut::new() }
    }

    pub(crate) fn push(&mut self, node: &Node) -> anyhow::Result<()> {
        let plain = marshal(node)?;
        let sealed = self.cipher.encrypt_with_counter(self.counter, &plain)?;
        self.counter = self.counter.checked_add(1).context("counter exhausted")?;
        let mut frame = Vec::with_capacity(sealed.len() + 3);
        encode_frame_into(&sealed, None, &mut frame)?;
        self.buffer.extend_from_slice(&frame);
        Ok(())
    }

    pub(crate) fn is_full(&self) -> bool {
        self.buffer.len() >= FLUSH_BYTES
    }

    /// Takes everything that was pushed since the last call, together with the buffer's memory.
    pub(crate) fn take(&mut self) -> Option<Bytes> {
        (!self.buffer.is_empty()).then(|| std::mem::take(&mut self.buffer).freeze())
    }
}
