//! Passes on WhatsApp's frames one at a time while a passkey is being presented.
//!
//! This works around a race in the client library (whatsapp-rust 0.7.0). The library stores its passkey session only
//! after it has processed the answer to its prologue. A phone that reacts at once sends its continuation right behind
//! that answer. The library handles the continuation in another task, finds no session, and the pairing fails. The fix
//! would be for `Client::send_passkey_response` to store the session before it sends the prologue. Until then, no frame
//! follows that answer before the library has processed it.

use std::time::Duration;

use bytes::Bytes;
use tokio::sync::watch;
use tokio::time::timeout;
use wacore::net::TransportEvent;
use whatsapp_rust::async_channel::{self, Receiver};

/// How long a frame is delayed while the library is presenting the passkey.
const STEP: Duration = Duration::from_millis(50);
/// How many events may wait to be taken.
const ROOM: usize = 64;
/// The number of bytes that hold a frame's length.
const HEAD: u8 = 3;

/// Finds the boundaries of a connection's frames. A frame is its length in three bytes, the highest first, and then as
/// many bytes.
#[derive(Default)]
struct Frames {
    /// How many bytes of the length were read.
    head: u8,
    /// The length that was read so far; then how many bytes of the frame are still to come.
    left: usize,
}

impl Frames {
    /// Cuts the bytes after the end of each frame.
    fn cut(&mut self, mut bytes: Bytes) -> Vec<Bytes> {
        let (mut pieces, mut at) = (Vec::new(), 0);
        while let Some(byte) = bytes.get(at) {
            if self.head < HEAD {
                (self.head, self.left) = (self.head + 1, self.left << 8 | usize::from(*byte));
                at += 1;
            } else {
                let taken = self.left.min(bytes.len() - at);
                (at, self.left) = (at + taken, self.left - taken);
            }
            if self.head == HEAD && self.left == 0 {
                pieces.push(bytes.split_to(at));
                (self.head, at) = (0, 0);
            }
        }
        if !bytes.is_empty() {
            pieces.push(bytes);
        }
        pieces
    }
}

/// Passes on every event as it comes, or frame by frame while `presenting` is true.
pub(super) fn one_at_a_time(
    from: Receiver<TransportEvent>,
    presenting: watch::Receiver<bool>,
) -> Receiver<TransportEvent> {
    let (to, handed_on) = async_channel::bounded(ROOM);
    tokio::spawn(async move {
        let (mut frames, mut presenting) = (Frames::default(), presenting);
        while let Ok(event) = from.recv().await {
            let TransportEvent::DataReceived(bytes) = event else {
                if to.send(event).await.is_err() {
                    return;
                }
                continue;
            };
            for piece in frames.cut(bytes) {
                if to.send(TransportEvent::DataReceived(piece)).await.is_err() {
                    return;
                }
                if *presenting.borrow() {
                    let _ = timeout(STEP, presenting.wait_for(|presenting| !presenting)).await;
                }
            }
        }
    });
    handed_on
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Frames are cut at their ends, however they arrive, and nothing is lost.
    #[test]
    fn frames_are_cut_at_their_ends() {
        let whole: Vec<u8> = [&[0, 0, 3, 1, 2, 3][..], &[0, 0, 0], &[0, 1, 0], &[7; 256], &[0, 0, 1, 9]].concat();
        let ends = [6, 9, 268, 272];
        for size in 1..=whole.len() {
            let (mut frames, mut at, mut seen) = (Frames::default(), 0, Vec::new());
            for chunk in whole.chunks(size) {
                for piece in frames.cut(Bytes::copy_from_slice(chunk)) {
                    assert!(!piece.is_empty());
                    assert_eq!(piece[..], whole[at..at + piece.len()]);
                    at += piece.len();
                    seen.push(at);
                }
            }
            assert_eq!(at, whole.len());
            assert!(ends.iter().all(|end| seen.contains(end)), "{size}: {seen:?}");
        }
    }
}
