//! The board on which sessions post status changes. Changes that arrive together are written together, in one
//! statement.

use std::collections::HashSet;

use store::session::{self, StatusChange};
use store::{Error, Result, Store, answered};
use tokio::sync::{mpsc, oneshot};

/// The most changes in one statement.
const BATCH: usize = 256;
/// How many changes may wait. Further sessions wait until there is room.
const WAITING: usize = 4_096;

struct Post {
    change: StatusChange,
    written: oneshot::Sender<Result<()>>,
}

/// Where sessions post status changes. Cheap to clone; ends when the last clone is dropped.
#[derive(Clone)]
pub struct Board(mpsc::Sender<Post>);

impl Board {
    /// Starts the writer.
    #[must_use]
    pub fn start(store: Store) -> Self {
        let (posts, waiting) = mpsc::channel(WAITING);
        tokio::spawn(write(store, waiting));
        Self(posts)
    }

    /// Posts a change and waits until it is written.
    ///
    /// # Errors
    /// `Fenced` under an old epoch; otherwise if the database fails.
    pub async fn post(&self, change: StatusChange) -> Result<()> {
        let (written, answer) = oneshot::channel();
        self.0.send(Post { change, written }).await.map_err(|_| gone())?;
        answer.await.map_err(|_| gone())?
    }
}

fn gone() -> Error {
    Error::Corrupt("the status writer has ended".to_owned())
}

async fn write(store: Store, mut waiting: mpsc::Receiver<Post>) {
    let mut posts = Vec::with_capacity(BATCH);
    while !posts.is_empty() || waiting.recv_many(&mut posts, BATCH).await > 0 {
        // one statement cannot change a row twice: a second change of the same account waits for the next round
        let mut seen = HashSet::new();
        let (batch, later): (Vec<Post>, Vec<Post>) =
            posts.drain(..).partition(|post: &Post| seen.insert(post.change.fence.account));
        posts = later;
        write_batch(&store, batch).await;
    }
}

async fn write_batch(store: &Store, batch: Vec<Post>) {
    let changes: Vec<StatusChange> = batch.iter().map(|post| post.change.clone()).collect();
    match answered(session::write_statuses(store.for_all_tenants(), &changes)).await {
        // a change that cannot be written must not block the others
        Err(error) if !error.is_transient() && batch.len() > 1 => {
            tracing::error!(%error, "a status can't be written: trying each alone");
            for post in batch {
                let result =
                    answered(session::write_statuses(store.for_all_tenants(), std::slice::from_ref(&post.change)))
                        .await;
                answer(vec![post], result);
            }
        }
        result => answer(batch, result),
    }
}

fn answer(batch: Vec<Post>, result: Result<Vec<domain::id::AccountId>>) {
    match result {
        Ok(fenced) => {
            for post in batch {
                let result = if fenced.contains(&post.change.fence.account) { Err(Error::Fenced) } else { Ok(()) };
                // the session may have ended meanwhile
                let _ = post.written.send(result);
            }
        }
        Err(error) => {
            let (transient, words) = (error.is_transient(), error.to_string());
            for post in batch {
                let error = if transient { Error::Unavailable(words.clone()) } else { Error::Corrupt(words.clone()) };
                let _ = post.written.send(Err(error));
            }
        }
    }
}
