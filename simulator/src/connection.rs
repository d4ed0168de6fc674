//! A client's connection from the WebSocket upgrade to its end. A single task owns it.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use anyhow::{Context, ensure};
use bytes::Bytes;
use futures::{SinkExt, StreamExt};
use tokio::net::TcpStream;
use tokio::sync::{Notify, mpsc};
use tokio_websockets::{CloseCode, Limits, Message, ServerBuilder, WebSocketStream};
use wacore::framing::FrameDecoder;

use crate::audit::Origin;
use crate::handshake::{Established, HEADER, Introduction, Step};
use crate::noise::{Inbound, Outbound};
use crate::peer::Peer;
use crate::socket::{COMMANDS_MAX, Command, Ending, Socket};
use crate::stanza;
use crate::sync::lock;
use crate::world::World;
use crate::{clock, fault};

const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(20);
/// A client that sends nothing for this long counts as gone. Real ones ping every 15 to 30 seconds.
const IDLE_TIMEOUT: Duration = Duration::from_secs(180);
/// A client that blocks a write for this long counts as no longer reading.
const WRITE_TIMEOUT: Duration = Duration::from_secs(20);
const LAST_WORDS_TIMEOUT: Duration = Duration::from_secs(2);
const MESSAGE_MAX: usize = 4 * 1024 * 1024;

type WebSocket = WebSocketStream<TcpStream>;

/// Serves one connection. Its errors are handled here.
pub(crate) async fn serve(world: Arc<World>, tcp: TcpStream) {
    let opened_at_us = clock::unix_us();
    let limits = Limits::default().max_payload_len(Some(MESSAGE_MAX));
    let upgrade = ServerBuilder::new().limits(limits);
    let accept = tokio::time::timeout(HANDSHAKE_TIMEOUT, upgrade.accept(tcp));
    let Ok(Ok((request, mut ws))) = accept.await else {
        return;
    };
    let origin = Origin { opened_at_us, via: request.uri().query().map(str::to_owned) };
    let hands = tokio::time::timeout(HANDSHAKE_TIMEOUT, shake_hands(&world, &mut ws)).await;
    let (established, frames) = match hands {
        Ok(Ok(done)) => done,
        Ok(Err(error)) => {
            world.stats.handshakes_failed.fetch_add(1, Ordering::Relaxed);
            tracing::info!(%error, "handshake failed");
            return;
        }
        Err(_) => return,
    };
    let id = world.next_socket_id();
    let (commands, orders) = mpsc::channel(COMMANDS_MAX);
    let wake = Arc::new(Notify::new());
    let socket = Socket::new(id, commands, Arc::clone(&wake));
    lock(&world.sockets).insert(id, socket.clone());
    let Established { read, write, introduction } = *established;
    let peer = Peer::new(Arc::clone(&world), socket, Outbound::new(write), origin);
    let mut connection = Connection { ws, inbound: Inbound::new(read, frames), peer, orders, wake };
    let ending = connection.run(introduction).await;
    connection.end(ending).await;
    lock(&world.sockets).remove(&id);
}

/// Reads the header and performs the handshake. Also returns the decoder with any bytes that follow the handshake.
async fn shake_hands(world: &World, ws: &mut WebSocket) -> anyhow::Result<(Box<Established>, FrameDecoder)> {
    let mut frames = FrameDecoder::new();
    let first = next_binary(ws).await?;
    frames.feed(after_header(&first)?);
    let hello = next_frame(ws, &mut frames).await?;
    match world.identity.answer_hello(&hello)? {
        Step::Done { reply, established } => {
            ws.send(Message::binary(Bytes::from(reply))).await?;
            world.stats.handshakes_ik.fetch_add(1, Ordering::Relaxed);
            Ok((established, frames))
        }
        Step::AwaitFinish { reply, pending } => {
            ws.send(Message::binary(Bytes::from(reply))).await?;
            let finish = next_frame(ws, &mut frames).await?;
            world.stats.handshakes_xx.fetch_add(1, Ordering::Relaxed);
            Ok((Box::new(pending.read_finish(&finish)?), frames))
        }
    }
}

async fn next_binary(ws: &mut WebSocket) -> anyhow::Result<Bytes> {
    loop {
        let message = ws.next().await.context("closed during the handshake")??;
        if message.is_binary() {
            return Ok(Bytes::from(message.into_payload()));
        }
        ensure!(!message.is_close(), "closed during the handshake");
    }
}

async fn next_frame(ws: &mut WebSocket, frames: &mut FrameDecoder) -> anyhow::Result<Bytes> {
    loop {
        if let Some(frame) = frames.decode_frame() {
            return Ok(frame.freeze());
        }
        ensure!(frames.buffered_len() < 64 * 1024, "handshake too large");
        frames.feed(&next_binary(ws).await?);
    }
}

/// Skips the optional routing intro and the header.
fn after_header(bytes: &[u8]) -> anyhow::Result<&[u8]> {
    let mut rest = bytes;
    if let Some(intro) = rest.strip_prefix(b"ED\x00\x01") {
        let (length, tail) = intro.split_at_checked(3).context("short routing intro")?;
        let length = length.iter().fold(0, |sum, b| (sum << 8) | usize::from(*b));
        rest = tail.get(length..).context("short routing intro")?;
    }
    rest.strip_prefix(&HEADER[..]).context("this is not a WhatsApp stream of dictionary 3")
}

struct Connection {
    ws: WebSocket,
    inbound: Inbound,
    peer: Peer,
    orders: mpsc::Receiver<Command>,
    wake: Arc<Notify>,
}

impl Connection {
    async fn run(&mut self, introduction: Introduction) -> Ending {
        if let Err(ending) = stanza::login::admit(&mut self.peer, &introduction) {
            return *ending;
        }
        drop(introduction);
        loop {
            if let Err(ending) = self.flush().await {
                return ending;
            }
            if let Some(ending) = self.peer.ending.take() {
                return ending;
            }
            let step = tokio::select! {
                // Orders first: a socket that is to end must not take more stanzas.
                biased;
                order = self.orders.recv() => self.obey(order).await,
                () = self.wake.notified() => Ok(()),
                message = tokio::time::timeout(IDLE_TIMEOUT, self.ws.next()) => match message {
                    Err(_) => Err(Ending::dropped("idle")),
                    Ok(None) => Err(Ending::dropped("client_gone")),
                    Ok(Some(Err(error))) => Err(Ending::dropped(format!("client_gone: {error}"))),
                    Ok(Some(Ok(message))) => self.receive(message).await,
                },
            };
            if let Err(ending) = step {
                return ending;
            }
        }
    }

    async fn receive(&mut self, message: Message) -> Result<(), Ending> {
        if message.is_close() {
            return Err(Ending::dropped("client_closed"));
        }
        if !message.is_binary() {
            return Ok(());
        }
        if let Some(delay) = self.peer.delay(fault::Scope::Everything) {
            tokio::time::sleep(delay).await;
        }
        let broken = |error: anyhow::Error| Ending::closed(format!("protocol: {error}"));
        self.inbound.feed(message.as_payload()).map_err(broken)?;
        while let Some(node) = self.inbound.next().map_err(broken)? {
            stanza::handle(&mut self.peer, node).map_err(broken)?;
        }
        Ok(())
    }

    async fn obey(&mut self, order: Option<Command>) -> Result<(), Ending> {
        match order {
            Some(Command::Send(node)) => self.peer.send(&node),
            Some(Command::Link(link)) => stanza::pair::offer_link(&mut self.peer, *link),
            Some(Command::Gate(gate)) => stanza::passkey::demand(&mut self.peer, *gate),
            Some(Command::End(ending)) => return Err(ending),
            Some(Command::Silence(lasting)) => return self.be_silent(lasting).await,
            None => return Err(Ending::dropped("forgotten")),
        }
        Ok(())
    }

    /// Neither reads nor writes until the time is over or the connection is told to end.
    async fn be_silent(&mut self, lasting: Option<Duration>) -> Result<(), Ending> {
        let until = lasting.map(|lasting| tokio::time::Instant::now() + lasting);
        loop {
            let over = async {
                match until {
                    Some(until) => tokio::time::sleep_until(until).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                () = over => return Ok(()),
                order = self.orders.recv() => match order {
                    Some(Command::End(ending)) => return Err(ending),
                    Some(_) => {}
                    None => return Err(Ending::dropped("forgotten")),
                },
            }
        }
    }

    /// Writes gathered stanzas, then those waiting in the device's queue, one buffer at a time.
    async fn flush(&mut self) -> Result<(), Ending> {
        loop {
            let more = self.peer.pump().map_err(|error| {
                tracing::error!(%error, "queued stanza cannot be sent");
                Ending::closed("internal")
            })?;
            if let Some(bytes) = self.peer.out.take() {
                let sending = self.ws.send(Message::binary(bytes));
                match tokio::time::timeout(WRITE_TIMEOUT, sending).await {
                    Ok(sent) => sent.map_err(|error| Ending::dropped(format!("client_gone: {error}")))?,
                    Err(_) => return Err(Ending::dropped("client_does_not_read")),
                }
            }
            if !more {
                return Ok(());
            }
        }
    }

    async fn end(mut self, ending: Ending) {
        self.peer.leave(&ending.reason);
        if let Some(node) = &ending.last_words {
            self.peer.send(node);
        }
        let spoken = part(&mut self.ws, self.peer.out.take(), ending.close_frame).await;
        tracing::debug!(socket = self.peer.socket.id, reason = ending.reason, ?spoken, "closed");
    }
}

/// Sends the last words, and waits for the client's answer to the close frame. If the socket were dropped while the
/// client writes, the client would report a write error and not read the last words (RFC 6455, 7.1.1).
async fn part(ws: &mut WebSocket, last_words: Option<Bytes>, close_frame: bool) -> anyhow::Result<()> {
    let speak = async {
        if let Some(bytes) = last_words {
            ws.send(Message::binary(bytes)).await?;
        }
        if close_frame {
            ws.send(Message::close(Some(CloseCode::NORMAL_CLOSURE), "")).await?;
            while let Some(Ok(_)) = ws.next().await {}
        }
        anyhow::Ok(())
    };
    tokio::time::timeout(LAST_WORDS_TIMEOUT, speak).await?
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::AtomicBool;

    use tokio::net::TcpListener;
    use tokio_websockets::ClientBuilder;

    use super::*;

    #[tokio::test]
    async fn a_client_that_writes_hears_the_last_words() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let tcp = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        let (server, _) = listener.accept().await.unwrap();
        let client = ClientBuilder::new().uri("ws://localhost/").unwrap();
        let upgrade = ServerBuilder::new();
        let (ours, theirs) = tokio::join!(upgrade.accept(server), client.connect_on(tcp));
        let (mut ours, (mut theirs, _)) = (ours.unwrap().1, theirs.unwrap());
        let heard = AtomicBool::new(false);
        let listen = async {
            tokio::time::sleep(Duration::from_millis(50)).await;
            for _ in 0..3 {
                theirs.send(Message::binary("still writing")).await.unwrap();
            }
            let words = theirs.next().await.unwrap().unwrap();
            heard.store(true, Ordering::Relaxed);
            while theirs.next().await.is_some() {}
            words.into_payload()
        };
        let speak = async {
            part(&mut ours, Some(Bytes::from_static(b"replaced")), true).await.unwrap();
            assert!(heard.load(Ordering::Relaxed), "the socket stays open until the client has answered");
        };
        let ((), words) = tokio::join!(speak, listen);
        assert_eq!(&words[..], b"replaced");
    }
}
