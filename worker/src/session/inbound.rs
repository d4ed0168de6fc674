//! What a connection brings: acknowledgements, receipts and messages. They are collected and then written together.

use bells::announce;
use std::sync::Arc;
use std::time::Duration;

use domain::id::{MessageId, RunId};
use process::clock::BootTime;
use process::telemetry::metrics::labels::{FailReason, Loss};
use store::inbound::{self, Inbound};
use store::outbox::{self, Outcome, Receipt};
use store::runs;
use store::{Error, Fence, answered};

use super::answer::{Verdict, verdict};
use super::figures;
use super::in_flight::{Answer, Flying, InFlight};
use super::pause::Pause;
use crate::context::Context;
use crate::fleet::trust::{Right, while_trusted};
use crate::link::{Commit, InboundMessage, ReceiptKind};

/// Makes a text storable in Postgres: replaces U+0000, which anyone can put into an encrypted message or a group's
/// name.
#[must_use]
pub fn storable(text: String) -> String {
    if text.contains('\0') { text.replace('\0', "\u{fffd}") } else { text }
}

/// The results of a batch of events, to be written together.
#[derive(Default)]
pub struct Gathered {
    outcomes: Vec<(Outcome, Option<FailReason>)>,
    /// How often messages were handed over that will be sent again or have failed.
    attempts: Vec<(MessageId, i32)>,
    receipts: Vec<Receipt>,
    messages: Vec<Inbound>,
    commits: Vec<Commit>,
    hold: Option<Duration>,
}

impl Gathered {
    /// WhatsApp's answer to a message of ours. `hold` is how long the account sends nothing after the reach-out
    /// time-lock (463).
    pub fn ack(&mut self, in_flight: &InFlight, whatsapp_id: &str, error: Option<u16>, hold: Duration) {
        let verdict = verdict(error);
        let answer = match verdict {
            Verdict::Left | Verdict::Refused { .. } => Answer::Over,
            Verdict::Held | Verdict::Paused(_) => Answer::PutOff,
        };
        // an answer to a message that is not in flight on this connection is ignored: its row is sent again
        let Some(flying) = in_flight.answered(whatsapp_id, answer) else { return };
        if let Some(code) = error {
            flying.step.fails(&code);
        }
        match verdict {
            Verdict::Left => self.left(in_flight, &flying),
            Verdict::Held => {
                self.hold = Some(hold);
                in_flight.hold(BootTime::now() + hold);
                self.attempts.push((flying.id, flying.attempts));
            }
            Verdict::Paused(pause) => {
                in_flight.hold(BootTime::now() + pause);
                self.attempts.push((flying.id, flying.attempts));
            }
            Verdict::Refused { why, words } => self.failed(flying.id, flying.attempts, why, words),
        }
    }

    /// The connection is gone: its unanswered messages are sent again.
    pub fn unanswered(&mut self, in_flight: &InFlight) {
        self.attempts.extend(in_flight.clear());
    }

    /// The client refused a message before it went out, which does not count as a hand-over.
    pub fn refused(&mut self, in_flight: &InFlight, whatsapp_id: &str, reason: String) {
        if let Some(flying) = in_flight.answered(whatsapp_id, Answer::Over) {
            self.failed(flying.id, flying.attempts - 1, FailReason::Client, reason);
        }
    }

    /// Fails a message that ended one connection after another and was never confirmed.
    pub fn given_up(&mut self, id: MessageId, attempts: i32, blamed: i32) {
        let reason = format!("given up after {blamed} tries: WhatsApp never confirmed it, though it may have arrived");
        self.failed(id, attempts, FailReason::Unconfirmed, reason);
    }

    fn failed(&mut self, id: MessageId, attempts: i32, why: FailReason, words: String) {
        // attempts are counted even if the row has ended in another way meanwhile
        self.attempts.push((id, attempts));
        self.outcomes.push((Outcome { id, attempts, failure: Some(words) }, Some(why)));
    }

    /// WhatsApp's server accepted the message.
    fn left(&mut self, in_flight: &InFlight, flying: &Flying) {
        flying.step.within(|| figures::acknowledged(flying, in_flight.is_straight(flying.accepted)));
        flying.step.event("acknowledged");
        self.outcomes.push((Outcome { id: flying.id, attempts: flying.attempts, failure: None }, None));
    }

    /// A recipient's phone received or showed messages. If the server's acknowledgement of one is still missing, the
    /// receipt serves as that. Returns true if this acknowledged a message.
    pub fn receipt(
        &mut self,
        in_flight: &InFlight,
        whatsapp_ids: Vec<String>,
        kind: ReceiptKind,
        at: chrono::DateTime<chrono::Utc>,
    ) -> bool {
        let before = self.outcomes.len();
        for flying in whatsapp_ids.iter().filter_map(|whatsapp_id| in_flight.answered(whatsapp_id, Answer::Over)) {
            self.left(in_flight, &flying);
        }
        let read = match kind {
            ReceiptKind::Delivered => false,
            ReceiptKind::Read | ReceiptKind::Played => true,
        };
        let receipt = |whatsapp_id| Receipt { whatsapp_id: storable(whatsapp_id), read, at };
        self.receipts.extend(whatsapp_ids.into_iter().map(receipt));
        self.outcomes.len() > before
    }

    /// Messages were received. The commit tells WhatsApp that they are stored.
    pub fn messages(&mut self, messages: Vec<InboundMessage>, commit: Option<Commit>) {
        self.messages.extend(messages.into_iter().map(|m| Inbound {
            chat: storable(m.chat),
            sender: storable(m.sender),
            sender_name: Some(storable(m.push_name)).filter(|name| !name.is_empty()),
            sender_number: m.sender_number,
            sender_lid: m.sender_lid,
            whatsapp_id: storable(m.whatsapp_id).chars().take(inbound::ID_MAX).collect(),
            text: m.text.map(storable),
            kind: m.kind.as_str().to_owned(),
            at: m.at,
            from_me: m.from_me,
        }));
        self.commits.extend(commit);
    }

    /// Whether there is nothing to write.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.outcomes.is_empty()
            && self.attempts.is_empty()
            && self.receipts.is_empty()
            && self.messages.is_empty()
            && self.commits.is_empty()
            && self.hold.is_none()
    }

    /// How many results there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.outcomes.len() + self.attempts.len() + self.receipts.len() + self.messages.len()
    }

    /// Writes everything. A transient failure is retried as long as the session may act.
    ///
    /// # Errors
    /// Why the session may not go on.
    pub async fn write_all(
        mut self,
        context: &Arc<Context>,
        fence: Fence,
        right: &Right,
        in_flight: &InFlight,
    ) -> Result<(), Loss> {
        let mut pause = Pause::new();
        loop {
            match while_trusted(&context.trust, right, self.write(context, fence, in_flight)).await? {
                Ok(()) => return Ok(()),
                Err(error) if error.is_transient() => {
                    tracing::warn!(account = %fence.account, %error, "results could not be written: trying again");
                    while_trusted(&context.trust, right, tokio::time::sleep(pause.next())).await?;
                }
                Err(Error::Fenced) => return Err(Loss::Fenced),
                Err(error) => {
                    tracing::error!(account = %fence.account, %error, "results can't be written: giving the account back");
                    return Err(Loss::Unwritable);
                }
            }
        }
    }

    /// Stores received messages. A message that cannot be stored is left out: it would fail each time, and nothing else
    /// of this account could be written.
    async fn store_messages(&self, context: &Context, fence: Fence) -> store::Result<()> {
        match inbound::received(context.store.under(fence), &self.messages).await {
            Err(error) if error.is_unstorable() => {}
            written => return written,
        }
        for message in &self.messages {
            match inbound::received(context.store.under(fence), std::slice::from_ref(message)).await {
                Err(error) if error.is_unstorable() => {
                    tracing::error!(account = %fence.account, %error, "a received message can't be stored: left out");
                }
                written => written?,
            }
        }
        Ok(())
    }

    /// Writes everything, each kind in one statement, in the order in which it must become visible. What was written is
    /// removed here, so that a second call after an error writes the rest.
    ///
    /// # Errors
    /// `Fenced` under an old epoch; otherwise if the database fails.
    pub async fn write(&mut self, context: &Arc<Context>, fence: Fence, in_flight: &InFlight) -> store::Result<()> {
        if !self.messages.is_empty() {
            self.store_messages(context, fence).await?;
            self.messages.clear();
        }
        for commit in self.commits.drain(..) {
            commit.confirm();
        }
        if !self.outcomes.is_empty() {
            let outcomes: Vec<Outcome> = self.outcomes.iter().map(|(outcome, _)| outcome.clone()).collect();
            let runs = outbox::finish(context.store.under(fence), outcomes).await?;
            for (outcome, why) in self.outcomes.drain(..) {
                in_flight.forget(outcome.id);
                figures::left(why);
            }
            if !runs.is_empty() {
                settle(context, &runs).await;
            }
        }
        if !self.attempts.is_empty() {
            answered(outbox::count_attempts(context.store.under(fence), &self.attempts)).await?;
            // only now may the sender read the rows again
            self.attempts.drain(..).for_each(|(id, _)| in_flight.forget(id));
        }
        if !self.receipts.is_empty() {
            let runs = outbox::receipts(context.store.under(fence), self.receipts.clone()).await?;
            self.receipts.clear();
            if !runs.is_empty() {
                settle(context, &runs).await;
            }
        }
        if let Some(hold) = self.hold {
            answered(store::session::hold(context.store.under(fence), hold.as_secs_f64())).await?;
            self.hold = None;
        }
        Ok(())
    }
}

/// Settles runs whose messages have left, and rings for the runs that waited for them.
async fn settle(context: &Context, runs: &[RunId]) {
    let settled = match answered(runs::settle_runs(context.store.for_all_tenants(), runs)).await {
        Ok(settled) => settled,
        Err(error) => {
            tracing::warn!(%error, "runs could not be settled; the scheduler will");
            return;
        }
    };
    let (_, after) = settled.parts();
    announce::signal(&context.bus, &after);
    let doorbell = context.doorbell.clone();
    tokio::spawn(async move { announce::ring(&doorbell, after).await });
}
