//! How the actor carries out each action. Slow work runs beside the actor and reports back.

use std::sync::Arc;
use std::time::Duration;

use domain::account::Status;
use process::telemetry::metrics;
use process::telemetry::metrics::labels::PairingStep;
use store::accounts;
use store::audit::Operator;
use store::pairing::{self, Linked, LinkedAs};
use store::session::{self, StatusChange};
use store::{credentials, groups};

use super::actor::{Actor, Reported};
use super::inbound::storable;
use super::machine::action::Action;
use super::machine::event::{Event, Who};
use crate::link::{Group, LinkError};

impl Actor {
    pub(super) async fn perform(&mut self, action: Action) {
        match action {
            Action::Open { queue } => self.open(queue),
            Action::Close => self.queue.extend(self.connection.close()),
            Action::Abort => self.queue.extend(self.connection.abort()),
            Action::Logout => self.logout(),
            Action::Recheck => self.look().await,
            Action::ShowQr { code, number, lifetime } => {
                let for_s = lifetime.as_secs_f64();
                let shown = self.write("show a code", |context, fence| {
                    let code = code.clone();
                    async move { pairing::show_qr(context.store.under(fence), &code, number, for_s).await }
                });
                if shown.await {
                    self.figures.code_shown();
                }
            }
            Action::AskCode { phone } => self.ask_code(phone),
            Action::Advise(wanted) => self.advise(wanted).await,
            Action::Accept { jid } => {
                let noted = self.write("note the phone's yes", |context, fence| {
                    let jid = jid.clone();
                    async move { pairing::accepted(context.store.under(fence), &jid).await }
                });
                if noted.await {
                    self.figures.scanned();
                }
            }
            Action::AnswerPasskey => self.answer_passkey().await,
            Action::GiveUp { reason, step } => self.give_up(reason, step).await,
            Action::Link(who) => self.link_account(who).await,
            Action::Status { status, reason, banned_for } => self.status(status, reason, banned_for).await,
            Action::Scrub => {
                self.write("delete credentials", |context, fence| async move {
                    credentials::scrub(context.store.under(fence)).await
                })
                .await;
            }
            Action::Remove => self.remove().await,
            Action::Unlink { confirmed } => self.unlink(confirmed).await,
            Action::SyncGroups => self.sync_groups(),
            Action::StartSending => self.start_sending(),
            Action::StopSending => self.mail.stop(),
            Action::Drain => self.mail.ring(),
            Action::Blame { message, attempts } => self.blame(message, attempts).await,
            Action::GiveUpMessage { message, attempts, times } => self.give_up_message(message, attempts, times),
            Action::Restart { cause } => metrics::SESSION_RESTARTS.of(cause).inc(),
            Action::Unstable { restarts, reason } => {
                tracing::warn!(account = %self.fence.account, restarts, reason, "an account is restarted again and again");
                self.write("tell that it is unstable", |context, fence| {
                    let reason = reason.clone();
                    async move { session::unstable(context.store.under(fence), restarts, &reason).await }
                })
                .await;
            }
            Action::Recovered { restarts } => {
                self.write("tell that it is steady again", |context, fence| async move {
                    session::recovered(context.store.under(fence), restarts).await
                })
                .await;
            }
            Action::Unexpected(what) => tracing::error!(account = %self.fence.account, what, "unexpected"),
        }
    }

    async fn give_up(&mut self, reason: String, step: PairingStep) {
        tracing::info!(account = %self.fence.account, reason, "pairing ended without a link");
        let written = self.write("end the pairing", |context, fence| {
            let reason = reason.clone();
            async move { pairing::give_up(context.store.under(fence), &reason).await }
        });
        if written.await {
            metrics::PAIRINGS.of(step).inc();
        }
    }

    /// Writes something and notifies the live streams. If the right to act is lost, queues an event. Returns whether it
    /// was written.
    pub(super) async fn write<F, Fut>(&mut self, what: &'static str, attempt: F) -> bool
    where
        F: Fn(Arc<crate::context::Context>, store::Fence) -> Fut,
        Fut: Future<Output = store::Result<()>>,
    {
        match self.persist(what, attempt).await {
            Ok(()) => {
                self.tell();
                true
            }
            Err(loss) => {
                self.queue.push_back(Event::Lost(loss));
                false
            }
        }
    }

    fn open(&mut self, queue: bool) {
        let Some(label) = self.row.as_ref().map(|row| row.label.clone()) else { return };
        self.mail.unanswered(); // in case the connection before never reported its end
        let opening = self.connection.open(Arc::clone(&self.context), self.fence, label, queue);
        self.pending.push(Box::pin(async move { Reported::Opened(opening.await) }));
    }

    fn logout(&mut self) {
        let Some(link) = self.connection.link() else {
            self.queue.push_back(Event::LoggedOut { confirmed: false });
            return;
        };
        let account = self.fence.account;
        self.pending.push(Box::pin(async move {
            let done = link.logout().await;
            if let Err(error) = &done {
                tracing::warn!(%account, %error, "the device could not be logged out; its phone may still list it");
            }
            Reported::Event(Event::LoggedOut { confirmed: done.is_ok() })
        }));
    }

    fn ask_code(&mut self, phone: String) {
        let Some(link) = self.connection.link() else { return };
        self.pending.push(Box::pin(async move { Reported::PairingCode(link.pairing_code(&phone).await) }));
    }

    pub(super) async fn pairing_code(&mut self, code: Result<String, LinkError>) {
        match code {
            Ok(code) => {
                let shown = self.write("show the pairing code", |context, fence| {
                    let code = code.clone();
                    async move { pairing::show_code(context.store.under(fence), &code).await }
                });
                if shown.await {
                    self.figures.code_shown();
                }
            }
            Err(error) => self.queue.push_back(Event::PairFailed(format!("WhatsApp gave no pairing code: {error}"))),
        }
    }

    async fn link_account(&mut self, who: Who) {
        let who = LinkedAs {
            number: who.number,
            jid: who.jid,
            lid: who.lid,
            push_name: Some(storable(who.push_name)).filter(|name| !name.is_empty()),
        };
        let linked = self
            .persist("link the account", |context, fence| {
                let who = who.clone();
                async move { pairing::linked(context.store.under(fence), &who).await }
            })
            .await;
        match linked {
            Ok(linked) => {
                self.figures.linked(&linked);
                self.tell();
                let other = match linked {
                    Linked::Connected => None,
                    Linked::Duplicate { of } => Some(of),
                };
                self.queue.push_back(Event::Linked(other));
            }
            Err(loss) => self.queue.push_back(Event::Lost(loss)),
        }
    }

    async fn status(&mut self, status: Status, reason: Option<String>, banned_for: Option<Duration>) {
        tracing::info!(account = %self.fence.account, status = status.as_str(), reason, "account status");
        let change = StatusChange { status, reason, banned_for_s: banned_for.map(|duration| duration.as_secs_f64()) };
        self.write("write the status", |context, fence| {
            let change = change.clone();
            async move { session::write_status(context.store.under(fence), change).await }
        })
        .await;
    }

    /// Removes the account. It is wanted `erased`, so this needs no fence: any worker would do the same.
    async fn remove(&mut self) {
        let Some(tenant) = self.row.as_ref().map(|row| row.tenant) else { return };
        let by = Operator::System("worker");
        let removing = self.persist("remove the account", |context, fence| async move {
            accounts::remove(context.store.of(tenant), fence.account, by, "removed").await
        });
        let _ = removing.await; // if the right is lost meanwhile, the next owner removes it
        self.tell();
    }

    /// Unlinks the account here after its device was logged out or the logout was given up. The account stays.
    async fn unlink(&mut self, confirmed: bool) {
        let Some(tenant) = self.row.as_ref().map(|row| row.tenant) else { return };
        self.write("unlink the account", |context, fence| async move {
            accounts::unlinked(context.store.of(tenant), fence, confirmed).await
        })
        .await;
    }

    fn sync_groups(&mut self) {
        let Some(link) = self.connection.link() else { return self.queue.push_back(Event::GroupsRead) };
        let serial = self.connection.serial();
        self.pending.push(Box::pin(async move { Reported::Groups(serial, link.groups().await) }));
    }

    /// Writes the groups. Those read over an older connection are ignored, because the current one reads them itself.
    pub(super) async fn groups(&mut self, serial: i64, groups: Result<Vec<Group>, LinkError>) {
        if serial != self.connection.serial() {
            return;
        }
        self.queue.push_back(Event::GroupsRead);
        let groups = match groups {
            Ok(groups) => groups,
            Err(error) => {
                tracing::warn!(account = %self.fence.account, %error, "the groups could not be read");
                return;
            }
        };
        let groups: Vec<groups::Facts> = groups
            .into_iter()
            .map(|group| groups::Facts {
                jid: group.jid,
                subject: storable(group.subject),
                size: i32::try_from(group.size).unwrap_or(i32::MAX),
                can_post: group.can_post,
            })
            .collect();
        self.write("write the groups", |context, fence| {
            let groups = groups.clone();
            async move { groups::replace(context.store.under(fence), &groups).await }
        })
        .await;
    }
}
