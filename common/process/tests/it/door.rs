//! The doors themselves: places, phases, and the stop.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::Router;
use axum::body::Bytes;
use axum::routing::{get, post};
use process::door::{self, Limits};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

struct House {
    address: SocketAddr,
    /// Lets those be answered who wait at `/wait`.
    gate: Arc<Semaphore>,
    stop: CancellationToken,
    serving: JoinHandle<()>,
}

async fn house(connections: usize, per_address: usize) -> House {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let (address, gate, stop) = (listener.local_addr().unwrap(), Arc::new(Semaphore::new(0)), CancellationToken::new());
    let waiting = gate.clone();
    let wait = move || {
        let waiting = waiting.clone();
        async move {
            waiting.acquire().await.unwrap().forget();
            "waited"
        }
    };
    let app = Router::new()
        .route("/", get(async || "here"))
        .route("/wait", get(wait))
        .route("/body", post(async |body: Bytes| body));
    let serving = tokio::spawn(door::serve(listener, app, Limits { connections, per_address }, stop.clone()));
    House { address, gate, stop, serving }
}

async fn say(socket: &mut TcpStream, words: &str) {
    socket.write_all(words.as_bytes()).await.unwrap();
}

/// What is heard until `end`, or until the other side closes.
async fn hear(socket: &mut TcpStream, end: &str) -> String {
    let mut heard = Vec::new();
    let mut part = [0; 1024];
    while !String::from_utf8_lossy(&heard).contains(end) {
        match tokio::time::timeout(Duration::from_secs(20), socket.read(&mut part)).await.expect("an end") {
            Ok(0) | Err(_) => break,
            Ok(read) => heard.extend_from_slice(&part[..read]),
        }
    }
    String::from_utf8_lossy(&heard).into_owned()
}

const GET: &str = "GET / HTTP/1.1\r\nhost: test\r\n\r\n";
const WAIT: &str = "GET /wait HTTP/1.1\r\nhost: test\r\n\r\n";

/// R82: where there is no room, the one that has been silent longest makes it; who is being answered is left alone.
#[tokio::test]
async fn who_is_silent_makes_room() {
    for (connections, per_address) in [(2, 100), (100, 2)] {
        let house = house(connections, per_address).await;
        let mut busy = TcpStream::connect(house.address).await.unwrap();
        say(&mut busy, WAIT).await;
        let mut silent = TcpStream::connect(house.address).await.unwrap();
        say(&mut silent, "GET").await;
        tokio::time::sleep(Duration::from_millis(50)).await; // both are seen
        let mut third = TcpStream::connect(house.address).await.unwrap();
        say(&mut third, WAIT).await;
        assert_eq!(hear(&mut silent, "never").await, "", "it makes room");
        // now both places are taken by those who are being answered
        let mut fourth = TcpStream::connect(house.address).await.unwrap();
        let _ = fourth.write_all(GET.as_bytes()).await;
        assert_eq!(hear(&mut fourth, "here").await, "", "there is nobody who could make room");
        house.gate.add_permits(2);
        for socket in [&mut busy, &mut third] {
            assert!(hear(socket, "waited").await.starts_with("HTTP/1.1 200 OK"));
        }
        let mut fifth = TcpStream::connect(house.address).await.unwrap();
        say(&mut fifth, GET).await;
        assert!(hear(&mut fifth, "here").await.ends_with("here"), "those who rest make room, too");
    }
}

/// R82: half a head, or none, ends after ten seconds; a connection that rests between two requests does not.
#[tokio::test]
async fn half_a_head_ends() {
    let house = house(100, 100).await;
    let mut sockets = Vec::new();
    for words in ["", "GET / HTTP/1.1\r\nhost: te"] {
        let mut socket = TcpStream::connect(house.address).await.unwrap();
        say(&mut socket, words).await;
        sockets.push(socket);
    }
    let mut rests = TcpStream::connect(house.address).await.unwrap();
    say(&mut rests, GET).await;
    assert!(hear(&mut rests, "here").await.ends_with("here"));
    let began = Instant::now();
    for socket in &mut sockets {
        assert_eq!(hear(socket, "never").await, "");
    }
    let took = began.elapsed();
    assert!(
        took > door::HEAD.saturating_sub(Duration::from_secs(1)) && took < door::HEAD + Duration::from_secs(3),
        "{took:?}"
    );
    say(&mut rests, GET).await;
    assert!(hear(&mut rests, "here").await.ends_with("here"), "it rested");
}

/// R82: a stop waits for what is being answered, and for nobody who has sent half a request.
#[tokio::test]
async fn half_a_request_does_not_stretch_a_stop() {
    let house = house(100, 100).await;
    let mut sockets = Vec::new();
    for words in ["", "GET / HTTP/1.1\r\nhost", "POST /body HTTP/1.1\r\nhost: test\r\ncontent-length: 10\r\n\r\nhalf"] {
        let mut socket = TcpStream::connect(house.address).await.unwrap();
        say(&mut socket, words).await;
        sockets.push(socket);
    }
    let mut answered = TcpStream::connect(house.address).await.unwrap();
    say(&mut answered, WAIT).await;
    tokio::time::sleep(Duration::from_millis(100)).await; // all are seen
    let stopped = Instant::now();
    house.stop.cancel();
    for socket in &mut sockets {
        assert_eq!(hear(socket, "never").await, "");
    }
    assert!(stopped.elapsed() < Duration::from_secs(3), "{:?}", stopped.elapsed());
    assert!(!house.serving.is_finished(), "somebody is being answered");
    assert!(TcpStream::connect(house.address).await.is_err(), "nobody new is heard");
    house.gate.add_permits(1);
    assert!(hear(&mut answered, "waited").await.ends_with("waited"));
    tokio::time::timeout(Duration::from_secs(2), house.serving).await.expect("it ends").unwrap();
}

/// R82: a body arrives in parts, requests follow each other on one connection, and an answer of many megabytes is whole.
#[tokio::test]
async fn what_is_in_order_goes_on() {
    let house = house(100, 100).await;
    let mut socket = TcpStream::connect(house.address).await.unwrap();
    for _ in 0..3 {
        say(&mut socket, "POST /body HTTP/1.1\r\nhost: test\r\ncontent-length: 10\r\n\r\nfirst").await;
        tokio::time::sleep(Duration::from_millis(20)).await;
        say(&mut socket, "-last").await;
        assert!(hear(&mut socket, "first-last").await.ends_with("first-last"));
    }
}
