//! Pure. The queued messages of one account that its sender has read ahead, and which of them go out next.
//!
//! Order is kept within a chat: of each chat only the oldest row may go, and only while no other message of the chat is
//! unanswered. Rows that were read a while ago are read again before they go: an edit may have called them back.

use std::collections::{HashMap, HashSet, VecDeque};
use std::time::Duration;

use domain::id::MessageId;
use process::clock::BootTime;

/// Rows that were read longer ago are read again before they are sent.
pub const FRESH: Duration = Duration::from_millis(100);
/// How many texts of runs are marked together before they are handed over one by one. An edit in between treats all of
/// them as sent.
pub const MARKED: usize = 8;
/// How many rows are read ahead: at first, at least and at most.
const AHEAD: usize = 64;
const LEAST: usize = 16;
const MOST: usize = 256;

/// A queued message, as it was read.
pub trait Row {
    /// Its id.
    fn id(&self) -> MessageId;
    /// Its chat.
    fn chat(&self) -> &str;
    /// Whether it is a text of a run.
    fn is_of_run(&self) -> bool;
    /// How long after it was read it must not be sent any more; `None`: no limit.
    fn expires_in(&self) -> Option<Duration>;
}

/// The messages in flight, as they were at one moment.
#[derive(Debug, Clone, Default)]
pub struct Outlook {
    /// The chats that no further message may be sent to.
    pub busy: HashSet<String>,
    /// All messages that are being handed over, or were and are not yet written.
    pub flying: HashSet<MessageId>,
    /// Whether texts of runs are being handed over. Others wait for the end of that.
    pub of_runs: bool,
    /// How many more may be handed over.
    pub room: usize,
    /// How often a message that was in flight came back to the queue so far. It goes before the later ones of its chat,
    /// so all is read again.
    pub put_off: u64,
}

/// What the sender does next.
#[derive(Debug)]
pub enum Next<R> {
    /// It hands these over: the oldest of each free chat.
    Send(Vec<R>),
    /// It reads the rows again: at most so many.
    Look(usize),
    /// It waits for an answer, for a bell, or for the end of the look under way.
    Wait,
}

/// What a look has found.
#[derive(Debug)]
pub struct Found<R> {
    /// The account's oldest rows, in order.
    pub rows: Vec<R>,
    /// The oldest row of each of other chats.
    pub others: Vec<R>,
    /// Whether there are more rows.
    pub is_full: bool,
    /// Whether chats may have rows of which none was found.
    pub is_hidden: bool,
}

/// Rows read ahead.
#[derive(Debug)]
pub struct Backlog<R> {
    rows: VecDeque<R>,
    /// When their look began. Times in the rows count from then.
    read_at: BootTime,
    /// When their look ended. They are fresh for a while from then, so that a slow look brings something, too.
    fresh_from: BootTime,
    /// The value of [`Outlook::put_off`] when they were read.
    put_off: u64,
    /// Whether there are more than were read.
    is_full: bool,
    /// Whether chats may have messages of which none was read.
    is_hidden: bool,
    /// The chats of which only the oldest message was read, and whether that was handed over.
    thin: HashMap<String, bool>,
    /// Whether something may have changed since they were read.
    is_rung: bool,
    looking: Option<Looking>,
    /// How many rows the next look reads, besides those in flight.
    ahead: usize,
    /// How many rows of the last look were handed over.
    used: usize,
    /// Whether a message was handed over, or a chat became free, since the last look.
    has_moved: bool,
}

impl<R> Default for Backlog<R> {
    fn default() -> Self {
        Self {
            rows: VecDeque::new(),
            read_at: BootTime::at(Duration::ZERO),
            fresh_from: BootTime::at(Duration::ZERO),
            put_off: 0,
            is_full: false,
            is_hidden: false,
            thin: HashMap::new(),
            is_rung: true,
            looking: None,
            ahead: AHEAD,
            used: 0,
            has_moved: false,
        }
    }
}

/// A look under way.
#[derive(Debug)]
struct Looking {
    /// The messages that were in flight when it began, or were handed over since. It may find them still queued.
    known: HashSet<MessageId>,
    since: BootTime,
    /// The value of [`Outlook::put_off`] when it began.
    put_off: u64,
    /// Whether its rows are of no use, since one of those that it leaves out was not handed over after all.
    is_void: bool,
}

/// Whether a message has expired, by the time that was left when it was read.
#[must_use]
pub fn has_expired(row: &impl Row, read_at: BootTime, now: BootTime) -> bool {
    row.expires_in().is_some_and(|left| now.since(read_at) >= left)
}

impl<R: Row> Backlog<R> {
    /// There may be new rows.
    pub fn ring(&mut self) {
        self.is_rung = true;
    }

    /// A message was answered or written, so its chat may be free.
    pub fn freed(&mut self) {
        self.has_moved = true;
    }

    /// When the look began that has read the rows.
    #[must_use]
    pub fn read_at(&self) -> BootTime {
        self.read_at
    }

    /// Decides what comes next. Rows that are returned count as handed over.
    pub fn next(&mut self, outlook: &Outlook, now: BootTime) -> Next<R> {
        if outlook.room == 0 {
            return Next::Wait;
        }
        if outlook.put_off != self.put_off {
            self.rows.clear();
            self.is_rung = true;
        }
        let is_busy = |chat: &str| outlook.busy.contains(chat);
        let read_at = self.read_at;
        let before = self.rows.len();
        self.rows.retain(|row| !has_expired(row, read_at, now));
        self.is_rung |= self.rows.len() < before; // later messages of their chats may not have been read
        if now.since(self.fresh_from) >= FRESH {
            // worth a look only if one of them could go
            self.is_rung |= self.rows.iter().any(|row| !is_busy(row.chat()));
        } else {
            let rows = self.pick(outlook);
            if !rows.is_empty() {
                return Next::Send(rows);
            }
        }
        if self.looking.is_some() || !(self.is_rung || self.is_full && self.has_moved && self.lacks(outlook)) {
            return Next::Wait;
        }
        self.look(outlook, now)
    }

    /// Whether a chat may be free whose next message was not read.
    fn lacks(&self, outlook: &Outlook) -> bool {
        let is_spent = |(chat, handed): (&String, &bool)| *handed && !outlook.busy.contains(chat);
        self.rows.is_empty() || self.is_hidden || self.thin.iter().any(is_spent)
    }

    /// Takes the oldest row of each chat that is not busy.
    fn pick(&mut self, outlook: &Outlook) -> Vec<R> {
        let (mut picked, mut left) = (Vec::new(), VecDeque::with_capacity(self.rows.len()));
        let mut passed: HashSet<String> = HashSet::new();
        let mut of_runs = if outlook.of_runs { MARKED } else { 0 };
        for row in self.rows.drain(..) {
            let is_run = row.is_of_run();
            let waits = picked.len() >= outlook.room
                || passed.contains(row.chat())
                || outlook.busy.contains(row.chat())
                || is_run && of_runs == MARKED;
            passed.insert(row.chat().to_owned());
            if waits {
                left.push_back(row);
            } else {
                of_runs += usize::from(is_run);
                picked.push(row);
            }
        }
        self.rows = left;
        self.used += picked.len();
        self.has_moved |= !picked.is_empty();
        for row in &picked {
            if let Some(handed) = self.thin.get_mut(row.chat()) {
                *handed = true;
            }
        }
        if let Some(looking) = &mut self.looking {
            looking.known.extend(picked.iter().map(|row| row.id()));
        }
        picked
    }

    fn look(&mut self, outlook: &Outlook, now: BootTime) -> Next<R> {
        // more is read ahead where it was used up, and less where it became old
        if !self.rows.is_empty() {
            self.ahead = self.ahead.min(self.used.saturating_mul(2).max(LEAST));
        } else if self.is_full {
            self.ahead = (self.ahead * 2).min(MOST);
        }
        (self.is_rung, self.has_moved) = (false, false);
        let known = outlook.flying.clone();
        self.looking = Some(Looking { known, since: now, put_off: outlook.put_off, is_void: false });
        Next::Look(self.ahead + outlook.flying.len())
    }

    /// The look under way has ended.
    pub fn looked(&mut self, found: Found<R>, now: BootTime) {
        let Some(Looking { known, since, put_off, is_void }) = self.looking.take() else { return };
        if is_void {
            self.is_rung = true;
            return;
        }
        self.thin = found.others.iter().map(|row| (row.chat().to_owned(), known.contains(&row.id()))).collect();
        let rows = found.rows.into_iter().chain(found.others);
        self.rows = rows.filter(|row| !known.contains(&row.id())).collect();
        (self.read_at, self.fresh_from, self.put_off, self.used) = (since, now, put_off, 0);
        (self.is_full, self.is_hidden) = (found.is_full, found.is_hidden);
    }

    /// The look under way has failed.
    pub fn failed(&mut self) {
        self.looking = None;
        self.is_rung = true;
    }

    /// Rows that were returned could not be handed over: all is read again, by a look that begins from now on.
    pub fn discard(&mut self) {
        self.rows.clear();
        self.is_rung = true;
        if let Some(looking) = &mut self.looking {
            looking.is_void = true;
        }
    }
}
