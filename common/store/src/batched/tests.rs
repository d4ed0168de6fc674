//! Calls that are written together, without a database: the means are a list of what was written.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use tokio::sync::Semaphore;

use domain::id::AccountId;

use super::*;

/// What a test lets happen, and what was written.
#[derive(Default)]
struct Book {
    batches: Mutex<Vec<Vec<(AccountId, i64, u32)>>>,
    /// Writes wait for a permit.
    gate: Option<Semaphore>,
    /// How many writes fail as if the database were away.
    away: AtomicUsize,
    breaks: AtomicBool,
    over: AtomicBool,
    /// How many batches may be under way; 0: as many as usual.
    most: usize,
}

impl Book {
    fn batches(&self) -> Vec<Vec<(AccountId, i64, u32)>> {
        self.batches.lock().unwrap().clone()
    }
}

/// Calls that wait for a database that is away, or don't.
struct Numbers<const WAITS: bool>;

/// A call that can't be stored.
const POISON: u32 = 666;

impl<const WAITS: bool> Batch for Numbers<WAITS> {
    type Right = Fence;
    type Means = Arc<Book>;
    type Call = (Arc<Book>, u32);
    type Done = u32;

    const WHAT: &'static str = "numbers";

    fn rows(_call: &Self::Call) -> usize {
        8
    }

    fn is_closed((book, _): &Self::Call) -> bool {
        book.over.load(Ordering::SeqCst)
    }

    fn waits() -> bool {
        WAITS
    }

    fn most(book: &Arc<Book>) -> usize {
        if book.most == 0 { MOST } else { book.most }
    }

    async fn run(book: &Arc<Book>, calls: &[(Fence, Self::Call)]) -> Result<Vec<Result<u32>>> {
        if let Some(gate) = &book.gate {
            gate.acquire().await.unwrap().forget();
        }
        assert!(!book.breaks.swap(false, Ordering::SeqCst), "it breaks");
        let is_away = book.away.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |left| left.checked_sub(1)).is_ok();
        if is_away {
            return Err(Error::Unavailable("away".to_owned()));
        }
        if calls.iter().any(|(_, (_, number))| *number == POISON) {
            return Err(Error::Corrupt("poison".to_owned()));
        }
        let batch = calls.iter().map(|(fence, (_, number))| (fence.account, fence.epoch, *number)).collect();
        book.batches.lock().unwrap().push(batch);
        let answer =
            |(fence, (_, number)): &(Fence, Self::Call)| if fence.epoch < 0 { Err(Error::Fenced) } else { Ok(*number) };
        Ok(calls.iter().map(answer).collect())
    }
}

struct House<const WAITS: bool = true> {
    book: Arc<Book>,
    line: Batched<Numbers<WAITS>>,
}

impl<const WAITS: bool> House<WAITS> {
    fn new(book: Book) -> Self {
        let book = Arc::new(book);
        Self { line: Batched::new(Arc::clone(&book)), book }
    }

    fn open(&self, writes: usize) {
        self.book.gate.as_ref().unwrap().add_permits(writes);
    }

    /// Calls, and waits until the call is in the line.
    async fn call(&self, account: AccountId, epoch: i64, number: u32) -> tokio::task::JoinHandle<Result<u32>> {
        let (line, book) = (self.line.clone(), Arc::clone(&self.book));
        let call = tokio::spawn(async move { line.call(Fence { account, epoch }, (book, number)).await });
        for _ in 0..10 {
            tokio::task::yield_now().await;
        }
        call
    }
}

impl House {
    /// A book whose writes wait for a permit.
    fn gated() -> Self {
        Self::new(Book { gate: Some(Semaphore::new(0)), ..Book::default() })
    }
}

fn accounts<const N: usize>() -> [AccountId; N] {
    std::array::from_fn(|_| AccountId::new())
}

/// R110: a call goes out at once if nothing is under way, and calls that arrive meanwhile go out together.
#[tokio::test]
async fn calls_go_out_together() {
    let house = House::gated();
    let mut calls = Vec::new();
    for number in 0..40 {
        calls.push(house.call(AccountId::new(), 1, number).await);
    }
    house.open(40);
    for (number, call) in calls.into_iter().enumerate() {
        assert_eq!(call.await.unwrap().unwrap() as usize, number);
    }
    let sizes: Vec<usize> = house.book.batches().iter().map(Vec::len).collect();
    assert_eq!(sizes, [1, 1, 1, 1, 36], "{MOST} at once, and the others together");
}

/// R110: no batch has more rows than a statement should have.
#[tokio::test]
async fn a_batch_is_bounded() {
    let house = House::gated();
    let mut calls = Vec::new();
    for number in 0..MOST as u32 + 100 {
        calls.push(house.call(AccountId::new(), 1, number).await);
    }
    house.open(1_000);
    for call in calls {
        call.await.unwrap().unwrap();
    }
    let sizes: Vec<usize> = house.book.batches().iter().map(Vec::len).collect();
    assert_eq!(sizes[MOST..], [ROWS / 8, 100 - ROWS / 8]);
}

/// R110: what a session wrote first never replaces what it wrote later, also if the database was away meanwhile.
#[tokio::test]
async fn calls_of_an_account_keep_their_order() {
    let [one, other] = accounts();
    let house = House::<true>::new(Book { away: AtomicUsize::new(3), ..Book::default() });
    let mut calls = Vec::new();
    for number in 0..50 {
        calls.push(house.call(one, 1, number).await);
        calls.push(house.call(other, 1, number).await);
    }
    for call in calls {
        call.await.unwrap().unwrap();
    }
    for account in [one, other] {
        let written = house.book.batches().concat().into_iter().filter(|(of, ..)| *of == account);
        assert_eq!(written.map(|(.., number)| number).collect::<Vec<_>>(), (0..50).collect::<Vec<_>>());
    }
}

/// R02: a batch has one epoch of an account. So a session that was fenced does not write beside the one after it.
#[tokio::test]
async fn a_batch_has_one_epoch_of_an_account() {
    let [account, first] = accounts();
    let house = House::gated();
    let mut calls = vec![];
    for _ in 0..MOST {
        calls.push(house.call(AccountId::new(), 1, 0).await);
    }
    for (epoch, number) in [(1, 1), (2, 2), (1, 3), (2, 4)] {
        calls.push(house.call(account, epoch, number).await);
    }
    calls.push(house.call(first, 1, 5).await);
    house.open(100);
    for call in calls {
        call.await.unwrap().unwrap();
    }
    let mut written = Vec::new();
    for batch in house.book.batches() {
        let epochs: HashSet<i64> = batch.iter().filter(|(of, ..)| *of == account).map(|(_, epoch, _)| *epoch).collect();
        assert!(epochs.len() <= 1, "{batch:?}");
        written.extend(batch.into_iter().filter(|(of, ..)| *of == account).map(|(.., number)| number));
    }
    assert_eq!(written, [1, 2, 3, 4]);
}

/// R110: each call has its own answer: written, fenced, or not to be stored.
#[tokio::test]
async fn a_call_fails_alone() {
    let house = House::gated();
    let mut calls = Vec::new();
    for number in 0..MOST as u32 {
        calls.push(house.call(AccountId::new(), 1, number).await);
    }
    let before = house.call(AccountId::new(), 1, 1).await;
    let poison = house.call(AccountId::new(), 1, POISON).await;
    let fenced = house.call(AccountId::new(), -1, 2).await;
    let after = house.call(AccountId::new(), 1, 3).await;
    house.open(100);
    assert_eq!(before.await.unwrap().unwrap(), 1);
    assert!(matches!(poison.await.unwrap(), Err(Error::Corrupt(_))));
    assert!(matches!(fenced.await.unwrap(), Err(Error::Fenced)));
    assert_eq!(after.await.unwrap().unwrap(), 3);
}

/// R110: what nobody waits for any more does not go out, and what is over is told so.
#[tokio::test]
async fn calls_that_are_over_do_not_go_out() {
    let [account] = accounts();
    let house = House::gated();
    let first = house.call(account, 1, 1).await;
    let dropped = house.call(account, 1, 2).await;
    let last = house.call(account, 1, 3).await;
    dropped.abort();
    assert!(dropped.await.unwrap_err().is_cancelled());
    house.open(2);
    assert_eq!(first.await.unwrap().unwrap(), 1);
    assert_eq!(last.await.unwrap().unwrap(), 3);
    assert_eq!(house.book.batches().concat().len(), 2);

    house.book.away.store(1, Ordering::SeqCst);
    house.book.over.store(true, Ordering::SeqCst);
    house.open(1);
    let over = house.call(account, 1, 4).await;
    assert!(matches!(over.await.unwrap(), Err(Error::Closed)));
}

/// R110: a write that breaks answers its callers, and the next calls go out.
#[tokio::test]
async fn a_write_that_breaks_hinders_nobody() {
    let [account] = accounts();
    let house = House::<true>::new(Book { breaks: AtomicBool::new(true), ..Book::default() });
    assert!(matches!(house.call(account, 1, 1).await.await.unwrap(), Err(Error::Unavailable(_))));
    assert_eq!(house.call(account, 1, 2).await.await.unwrap().unwrap(), 2);
}

/// A process that ends in the middle of writes does not hang.
#[test]
fn a_runtime_that_ends_takes_the_line_with_it() {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).build().unwrap();
    let house = House::gated();
    runtime.block_on(async {
        for number in 0..2_000 {
            drop(house.call(AccountId::new(), 1, number).await);
        }
    });
    runtime.shutdown_timeout(Duration::from_secs(10));
    assert_eq!(house.book.batches().len(), 0);
    assert_eq!(house.line.line().under_way, 0);
}

/// R114: calls that don't wait are told at once that the database is away. They are not repeated, and the next call goes
/// out as usual.
#[tokio::test]
async fn who_does_not_wait_is_told_that_the_database_is_away() {
    let book = Book { gate: Some(Semaphore::new(0)), away: AtomicUsize::new(2), most: 1, ..Book::default() };
    let house = House::<false>::new(book);
    let mut calls = Vec::new();
    for number in 0..4 {
        calls.push(house.call(AccountId::new(), 1, number).await);
    }
    house.open(2); // one alone, and three together
    for call in calls {
        let told = call.await.unwrap().unwrap_err();
        assert_eq!((told.to_string().as_str(), told.is_transient()), ("database: away", true));
    }
    let next = house.call(AccountId::new(), 1, 5).await;
    house.open(1);
    assert_eq!(next.await.unwrap().unwrap(), 5);
    assert_eq!(house.book.batches().len(), 1);
}

/// R114: a kind of call says how many batches may be under way, such as the connections that it has.
#[tokio::test]
async fn no_more_batches_are_under_way_than_there_are_connections() {
    let book = Book { gate: Some(Semaphore::new(0)), most: 2, ..Book::default() };
    let house = House::<false>::new(book);
    let mut calls = Vec::new();
    for number in 0..40 {
        calls.push(house.call(AccountId::new(), 1, number).await);
    }
    house.open(40);
    for call in calls {
        call.await.unwrap().unwrap();
    }
    let sizes: Vec<usize> = house.book.batches().iter().map(Vec::len).collect();
    assert_eq!(sizes, [1, 1, 38]);
}
