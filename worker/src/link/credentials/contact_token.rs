//! Trusted-contact tokens. Every message to a contact needs them, so they are kept in memory after the first read.

use store::credentials::Record;
use wacore::store::error::Result;
use wacore::store::traits::TcTokenEntry;

use super::{AccountBackend, Kind, decode, encode};

impl AccountBackend {
    /// The token of a contact.
    pub(super) async fn token(&self, jid: &str) -> Result<Option<TcTokenEntry>> {
        if let Some(known) = self.tokens.get(jid) {
            return Ok(known);
        }
        let _turn = self.turn.lock().await;
        self.load_token(jid).await
    }

    /// Replaces the token of a contact.
    pub(super) async fn replace_token(&self, jid: &str, entry: &TcTokenEntry) -> Result<()> {
        let _turn = self.turn.lock().await;
        self.save_token(jid, entry).await
    }

    /// Forgets the token of a contact.
    pub(super) async fn forget_token(&self, jid: &str) -> Result<()> {
        let _turn = self.turn.lock().await;
        self.remove(Kind::ContactToken, jid).await?;
        self.tokens.set(jid, None);
        Ok(())
    }

    /// Moves the time at which we last issued a token to this contact forward, never back.
    pub(super) async fn touch_sender(&self, jid: &str, at: i64) -> Result<()> {
        let _turn = self.turn.lock().await;
        let mut entry = self.load_token(jid).await?.unwrap_or(TcTokenEntry {
            token: Vec::new(),
            token_timestamp: at,
            sender_timestamp: None,
        });
        entry.sender_timestamp = Some(entry.sender_timestamp.map_or(at, |known| known.max(at)));
        self.save_token(jid, &entry).await
    }

    /// Stores a received token, unless a newer one is known. The sender's time is kept.
    pub(super) async fn receive_token(&self, jid: &str, token: &[u8], at: i64) -> Result<()> {
        let _turn = self.turn.lock().await;
        let known = self.load_token(jid).await?;
        if known.as_ref().is_some_and(|entry| !entry.token.is_empty() && at < entry.token_timestamp) {
            return Ok(());
        }
        let sender_timestamp = known.and_then(|entry| entry.sender_timestamp);
        self.save_token(jid, &TcTokenEntry { token: token.to_vec(), token_timestamp: at, sender_timestamp }).await
    }

    /// Deletes tokens of which both halves are older than their cutoffs. Returns how many.
    pub(super) async fn expire_tokens(&self, token_cutoff: i64, sender_cutoff: i64) -> Result<u32> {
        let _turn = self.turn.lock().await;
        let mut stale = Vec::new();
        for record in self.list(Kind::ContactToken).await? {
            let entry: TcTokenEntry = decode(&record.bytes)?;
            let token_lives = !entry.token.is_empty() && entry.token_timestamp >= token_cutoff;
            let sender_lives = entry.sender_timestamp.is_some_and(|at| at >= sender_cutoff);
            if !token_lives && !sender_lives {
                stale.push(record.name);
            }
        }
        if !stale.is_empty() {
            self.remove_many(Kind::ContactToken, &stale).await?;
            self.tokens.clear();
        }
        Ok(u32::try_from(stale.len()).unwrap_or(u32::MAX))
    }

    async fn load_token(&self, jid: &str) -> Result<Option<TcTokenEntry>> {
        if let Some(known) = self.tokens.get(jid) {
            return Ok(known);
        }
        let entry = self.read(Kind::ContactToken, jid).await?.map(|bytes| decode(&bytes)).transpose()?;
        self.tokens.set(jid, entry.clone());
        Ok(entry)
    }

    async fn save_token(&self, jid: &str, entry: &TcTokenEntry) -> Result<()> {
        self.write(Kind::ContactToken, Record::new(jid, encode(entry)?)).await?;
        self.tokens.set(jid, Some(entry.clone()));
        Ok(())
    }
}
