//! A worker that is frozen as a whole, as by SIGSTOP or a paused machine. It is a process of its own, because a part of
//! this process can't be frozen.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use reqwest::Method;
use serde_json::{Value, json};
use sqlx::PgPool;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

use e2e::Cluster;
use kit::{Process, Signal, until};

/// The connection between the process and WhatsApp. It counts what the process sends. It can hold back what WhatsApp
/// sends, including the end of the connection.
#[derive(Clone)]
struct Tap {
    address: SocketAddr,
    /// The number of bytes from the process.
    said: Arc<AtomicUsize>,
    /// The number of bytes to the process.
    heard: Arc<AtomicUsize>,
    /// The number of connections that the process opened.
    opened: Arc<AtomicUsize>,
    /// The number of these connections that the process ended.
    ended: Arc<AtomicUsize>,
    deaf: Arc<watch::Sender<bool>>,
}

impl Tap {
    async fn start(whatsapp: SocketAddr) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let tap = Self {
            address: listener.local_addr().unwrap(),
            said: Arc::default(),
            heard: Arc::default(),
            opened: Arc::default(),
            ended: Arc::default(),
            deaf: Arc::new(watch::Sender::new(false)),
        };
        let all = tap.clone();
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                all.opened.fetch_add(1, Ordering::SeqCst);
                tokio::spawn(all.clone().carry(client, whatsapp));
            }
        });
        tap
    }

    async fn carry(self, client: TcpStream, whatsapp: SocketAddr) {
        let (mut from_client, mut to_client) = client.into_split();
        let (mut from_server, mut to_server) = TcpStream::connect(whatsapp).await.unwrap().into_split();
        let (mut deaf, heard) = (self.deaf.subscribe(), Arc::clone(&self.heard));
        let down = tokio::spawn(async move {
            let mut bytes = vec![0; 16 * 1024];
            loop {
                let read = from_server.read(&mut bytes).await;
                // the task is ended below, so it may wait for ever here
                let _ = deaf.wait_for(|deaf| !deaf).await;
                let Ok(read @ 1..) = read else { return };
                if to_client.write_all(&bytes[..read]).await.is_err() {
                    return;
                }
                heard.fetch_add(read, Ordering::SeqCst);
            }
        });
        let mut bytes = vec![0; 16 * 1024];
        while let Ok(read @ 1..) = from_client.read(&mut bytes).await {
            self.said.fetch_add(read, Ordering::SeqCst);
            // WhatsApp may have ended the connection; bytes that go nowhere count as well
            let _ = to_server.write_all(&bytes[..read]).await;
        }
        self.ended.fetch_add(1, Ordering::SeqCst);
        down.abort();
    }

    fn said(&self) -> usize {
        self.said.load(Ordering::SeqCst)
    }

    /// The numbers of connections that the process opened and ended.
    fn connections(&self) -> (usize, usize) {
        (self.opened.load(Ordering::SeqCst), self.ended.load(Ordering::SeqCst))
    }
}

/// Sends a signal that stops or continues the process, and waits until it has.
async fn signal(process: &Process, signal: Signal) {
    process.signal(signal);
    let pid = process.pid().unwrap();
    until(signal, async || {
        let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
        let stopped = stat.rsplit(") ").next().unwrap().starts_with('T');
        (stopped == (signal == Signal::STOP)).then_some(())
    })
    .await;
}

fn through<'a>(sockets: &'a [Value], via: &str) -> Vec<&'a Value> {
    sockets.iter().filter(|socket| socket["via"] == via).collect()
}

/// R02: a worker process is frozen for longer than the life of its leases. Another worker takes its account over and
/// sends what was accepted meanwhile. When the frozen one wakes, it has a message that it was about to send and that is
/// still queued, a bell, and a connection that looks open. It sends nothing, ends its connection and opens no other.
/// After that it serves again.
#[sqlx::test(migrator = "store::MIGRATOR")]
async fn a_frozen_worker_sends_nothing_when_it_wakes(pool: PgPool) {
    let (cluster, _) = Cluster::start(pool, 0).await;
    let whatsapp = cluster.simulator.ws_url();
    let tap = Tap::start(whatsapp.trim_start_matches("ws://").split('/').next().unwrap().parse().unwrap()).await;
    let frozen = [("WHATSAPP_URL", &*format!("ws://{}/ws/chat?frozen", tap.address))];
    let process = cluster.worker_process(env!("CARGO_BIN_EXE_e2e-worker"), None, &frozen);
    process.ready().await.unwrap();
    let (account, own) = cluster.connected("Ada").await;
    // receipts would be acknowledged, but only messages should be sent here
    let bob = cluster.number();
    cluster.admin(Method::POST, "/phones", Some(json!({"number": bob, "auto_receipts": "none"}))).await;
    for text in ["warm", "measured"] {
        let id = cluster.send(&account, &bob, text).await;
        cluster.message(&id, "sent").await;
    }
    let before = tap.said();
    let id = cluster.send(&account, &bob, "measured again").await;
    cluster.message(&id, "sent").await;
    let a_message = tap.said() - before;

    let next = cluster.worker_with(&[("WHATSAPP_URL", &format!("{whatsapp}?next"))]);
    until("the other worker", async || (next.health("/readyz").await.0 == 200).then_some(())).await;
    // WhatsApp puts it off: the worker sends it again after a second, and is frozen before that
    let busy = json!({"kind": "ack_error", "target": {"number": own}, "code": 503, "count": 1});
    cluster.admin(Method::POST, "/faults", Some(busy)).await;
    let heard = tap.heard.load(Ordering::SeqCst);
    let put_off = cluster.send(&account, &bob, "put off").await;
    until("a refusal", async || (tap.heard.load(Ordering::SeqCst) > heard).then_some(())).await;
    tap.deaf.send_replace(true);
    signal(&process, Signal::STOP).await;
    let (said, connections) = (tap.said(), tap.connections());
    assert!(cluster.sockets(&own).await.iter().all(|socket| socket["via"] == "frozen"));
    assert_eq!(cluster.inbox(&bob).await.len(), 3, "it was refused, and not sent again yet");
    cluster.send(&account, &bob, "accepted meanwhile").await;
    // acknowledgements for the other worker are late, so what it has sent is still queued when the frozen one wakes
    let late = json!({"kind": "delay", "scope": "acks", "ms": 4_000, "target": {"number": own}});
    cluster.admin(Method::POST, "/faults", Some(late)).await;
    cluster.shows(&bob, &["put off"]).await;
    assert_eq!((tap.said(), tap.connections()), (said, connections), "it is frozen");

    signal(&process, Signal::CONT).await;
    assert_eq!(cluster.get(&format!("/v1/messages/{put_off}")).await["state"], "queued");
    let (opened, _) = connections;
    until("the end of its connection", async || (tap.connections() == (opened, opened)).then_some(())).await;
    process.ready().await.unwrap();
    cluster.message(&put_off, "sent").await;
    cluster.admin(Method::DELETE, "/faults", None).await;
    let id = cluster.send(&account, &bob, "afterwards").await;
    cluster.message(&id, "sent").await;

    let woken = tap.said() - said;
    println!("said when it woke: {woken} bytes; a message has {a_message}");
    assert!(woken < a_message / 2, "it said {woken} bytes when it woke; a message has {a_message}");
    assert_eq!(tap.connections(), (opened, opened), "it opened nothing");
    let inbox = cluster.inbox(&bob).await;
    let seen: Vec<_> =
        inbox.iter().map(|shown| (shown["text"].as_str().unwrap(), shown["times_arrived"].as_u64())).collect();
    let texts = ["warm", "measured", "measured again", "put off", "accepted meanwhile", "afterwards"];
    assert_eq!(seen, texts.map(|text| (text, Some(1))));
    let sockets = cluster.sockets(&own).await;
    let its = through(&sockets, "frozen");
    assert!(!its.is_empty() && its.iter().all(|socket| socket["closed_at_us"].is_u64()), "{sockets:?}");
    let [others] = through(&sockets, "next")[..] else { panic!("one socket of the new owner: {sockets:?}") };
    assert!(others["closed_at_us"].is_null(), "{others}");
    let arrived = &inbox[3]; // and everything after it
    assert!(
        arrived["server_received_at_us"].as_u64() > others["login_ok_at_us"].as_u64(),
        "through the new owner's socket"
    );
    drop(process);
    cluster.stop(vec![next]).await;
}
