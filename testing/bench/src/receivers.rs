//! Receivers of webhooks that answer 200 at once, and know when each event came. They read no more of HTTP than they
//! need, so that they cost little beside what is measured. They run in threads of their own.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Notify;

const ANSWER: &[u8] = b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n";

/// What came: the time of each arrival, and how long the event had existed by then.
#[derive(Default)]
struct Book {
    count: AtomicUsize,
    came: Notify,
    lags: Mutex<Vec<(Instant, Duration)>>,
}

/// Some receivers, each with a port of its own.
pub(crate) struct Receivers {
    urls: Vec<String>,
    book: Arc<Book>,
    _runtime: Background,
}

/// A runtime that ends with this value.
struct Background(Option<tokio::runtime::Runtime>);

impl Drop for Background {
    fn drop(&mut self) {
        if let Some(runtime) = self.0.take() {
            runtime.shutdown_background();
        }
    }
}

impl Receivers {
    pub(crate) fn start(count: usize) -> Self {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        let book = Arc::<Book>::default();
        let mut urls = Vec::new();
        for _ in 0..count {
            let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
            listener.set_nonblocking(true).unwrap();
            urls.push(format!("http://{}/hook", listener.local_addr().unwrap()));
            let book = Arc::clone(&book);
            runtime.spawn(async move {
                let listener = TcpListener::from_std(listener).unwrap();
                while let Ok((socket, _)) = listener.accept().await {
                    tokio::spawn(serve(socket, Arc::clone(&book)));
                }
            });
        }
        Self { urls, book, _runtime: Background(Some(runtime)) }
    }

    pub(crate) fn urls(&self) -> &[String] {
        &self.urls
    }

    pub(crate) fn count(&self) -> usize {
        self.book.count.load(Ordering::SeqCst)
    }

    /// Forgets what has come.
    pub(crate) fn forget(&self) {
        self.book.count.store(0, Ordering::SeqCst);
        self.book.lags.lock().unwrap().clear();
    }

    /// Waits until so many have come.
    pub(crate) async fn all(&self, count: usize, patience: Duration) {
        let all = async {
            loop {
                let came = self.book.came.notified();
                if self.count() >= count {
                    return;
                }
                came.await;
            }
        };
        let all = tokio::time::timeout(patience, all).await;
        assert!(all.is_ok(), "only {} of {count} came", self.count());
    }

    /// The median and the 99th percentile of the lag, in seconds: since `begun`, or else since each event was written.
    pub(crate) fn lags(&self, begun: Instant, is_since_begun: bool) -> [f64; 2] {
        let lags = self.book.lags.lock().unwrap();
        let lag = |(came, lag): &(Instant, Duration)| if is_since_begun { *came - begun } else { *lag };
        let mut lags: Vec<Duration> = lags.iter().map(lag).collect();
        lags.sort_unstable();
        [0.5, 0.99].map(|share| lags[((lags.len() - 1) as f64 * share) as usize].as_secs_f64())
    }
}

impl Book {
    fn note(&self, body: &[u8]) {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
        let lag = now.saturating_sub(written_at(body).unwrap_or(now));
        self.lags.lock().unwrap().push((Instant::now(), lag));
        self.count.fetch_add(1, Ordering::SeqCst);
        self.came.notify_waiters();
    }
}

/// The number behind `"at_us":`, as a time.
fn written_at(body: &[u8]) -> Option<Duration> {
    let text = std::str::from_utf8(body).ok()?;
    let (_, rest) = text.split_once("\"at_us\":")?;
    let digits: String = rest.trim_start().chars().take_while(char::is_ascii_digit).collect();
    Some(Duration::from_micros(digits.parse().ok()?))
}

async fn serve(mut socket: TcpStream, book: Arc<Book>) {
    let mut read = Vec::new();
    loop {
        let Some(head) = read.windows(4).position(|end| end == b"\r\n\r\n") else {
            if socket.read_buf(&mut read).await.unwrap_or(0) == 0 {
                return;
            }
            continue;
        };
        let lines = String::from_utf8_lossy(&read[..head]).to_ascii_lowercase();
        let length = lines.lines().find_map(|line| line.strip_prefix("content-length:")).unwrap_or("0");
        let end = head + 4 + length.trim().parse::<usize>().unwrap();
        while read.len() < end {
            if socket.read_buf(&mut read).await.unwrap_or(0) == 0 {
                return;
            }
        }
        book.note(&read[head + 4..end]);
        read.drain(..end);
        if socket.write_all(ANSWER).await.is_err() || lines.contains("connection: close") {
            return;
        }
    }
}
