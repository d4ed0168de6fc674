//! The session's handle on one link to WhatsApp.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use tokio::sync::watch;
use tokio::time::timeout;
use wacore_binary::JidExt as _;
use waproto::whatsapp as wa;
use whatsapp_rust::features::{GroupMetadata, GroupParticipant};
use whatsapp_rust::pair_code::{PairCodeOptions, PairError};
use whatsapp_rust::wacore::pair_code::{PairCodeError, PairCodeRejection};
use whatsapp_rust::{Client, ErrorChainExt as _, Jid, SendOptions};

use super::super::translate;
use super::super::{
    CALL_TIMEOUT, CLOSE_TIMEOUT, CloseReason, Group, Link, LinkError, LinkSender, SEND_TIMEOUT, SendError,
};
use super::observer::Journal;
use super::passkey;
use super::supervise::Orders;

/// How long WhatsApp may take to confirm that the device is unlinked. The rest of [`CLOSE_TIMEOUT`] is for closing.
const LOGOUT_TIMEOUT: Duration = Duration::from_secs(4);

/// The handle on a supervised connection.
pub(super) struct Connection {
    client: Arc<Client>,
    sender: Arc<LinkSender>,
    journal: Arc<Journal>,
    orders: Orders,
    /// Whether a passkey is being presented.
    presenting: watch::Sender<bool>,
}

impl Connection {
    /// Creates a handle, and the orders by which it controls the supervisor of the connection.
    pub(super) fn new(
        client: Arc<Client>,
        sender: Arc<LinkSender>,
        journal: Arc<Journal>,
        presenting: watch::Sender<bool>,
    ) -> (Self, Orders) {
        let orders = Orders::default();
        (Self { client, sender, journal, orders: orders.clone(), presenting }, orders)
    }

    /// Waits for the connection to end. After `limit` it is cut off.
    async fn ended(&self, limit: Duration) {
        if timeout(limit, self.orders.ended.cancelled()).await.is_ok() {
            return;
        }
        self.orders.abort.cancel();
        if timeout(Duration::from_secs(1), self.orders.ended.cancelled()).await.is_err() {
            self.sender.close(CloseReason::Requested);
        }
    }

    /// Runs a call that waits for WhatsApp, until it answers, the link ends, or `limit` is over.
    async fn call<T>(&self, limit: Duration, call: impl Future<Output = Result<T, LinkError>>) -> Result<T, LinkError> {
        tokio::select! {
            biased;
            () = self.orders.ended.cancelled() => Err(LinkError::NotConnected),
            done = timeout(limit, call) => done.unwrap_or(Err(LinkError::Timeout)),
        }
    }

    async fn request_code(&self, phone: &str) -> Result<String, PairError> {
        let options = || PairCodeOptions { phone_number: phone.to_owned(), ..PairCodeOptions::default() };
        match self.client.pair_with_code(options()).await {
            // A code was requested before: give that one up.
            Err(PairError::PairCode(PairCodeError::CodeAlreadyOutstanding { .. })) => {
                self.client.cancel_pair_code().await;
                self.client.pair_with_code(options()).await
            }
            done => done,
        }
    }

    fn can_post(&self, group: &GroupMetadata) -> bool {
        if group.is_parent_group || group.is_suspended {
            return false;
        }
        !group.is_announcement || group.participants.iter().any(|member| member.is_admin() && self.is_self(member))
    }

    fn is_self(&self, member: &GroupParticipant) -> bool {
        let own = [self.client.pn(), self.client.lid()];
        let named = [Some(&member.jid), member.phone_number.as_ref(), member.lid.as_ref()];
        own.iter().flatten().any(|own| named.iter().flatten().any(|jid| jid.is_same_user_as(own)))
    }
}

#[async_trait]
impl Link for Connection {
    async fn send_text(&self, chat: &str, whatsapp_id: &str, text: &str) -> Result<(), SendError> {
        if self.sender.is_closed() || !self.client.is_logged_in() {
            return Err(SendError::NotConnected);
        }
        let to: Jid = chat.parse().map_err(|_| SendError::Rejected("the chat's address is malformed".to_owned()))?;
        let message = wa::Message { conversation: Some(text.to_owned()), ..wa::Message::default() };
        let options = SendOptions::default().with_message_id(whatsapp_id);
        let sending = self.client.send_message_with_options(to, message, options);
        tokio::select! {
            biased;
            () = self.orders.ended.cancelled() => Err(SendError::Unknown("the link ended".to_owned())),
            done = timeout(SEND_TIMEOUT, sending) => match done {
                Ok(Ok(_)) => Ok(()),
                Ok(Err(error)) => Err(translate::send_error(&error)),
                Err(_) => Err(SendError::Unknown("no answer from WhatsApp in time".to_owned())),
            },
        }
    }

    async fn groups(&self) -> Result<Vec<Group>, LinkError> {
        if self.sender.is_closed() || !self.client.is_logged_in() {
            return Err(LinkError::NotConnected);
        }
        let asking = async {
            self.client.groups().get_participating().await.map_err(|error| match error.server_rejection() {
                Some(rejection) => LinkError::Refused(format!("WhatsApp answered with error {}", rejection.code)),
                None if error.is_timeout() => LinkError::Timeout,
                None if error.is_transport_unavailable() => LinkError::NotConnected,
                None => LinkError::Failed("the groups could not be read".to_owned()),
            })
        };
        let found = self.call(CALL_TIMEOUT, asking).await?;
        let mut groups: Vec<Group> = found
            .into_iter()
            .map(|(jid, group)| Group {
                jid: jid.to_string(),
                size: group.size.unwrap_or_else(|| u32::try_from(group.participants.len()).unwrap_or(u32::MAX)),
                can_post: self.can_post(&group),
                subject: group.subject,
            })
            .collect();
        groups.sort_by(|a, b| a.jid.cmp(&b.jid));
        Ok(groups)
    }

    async fn pairing_code(&self, phone: &str) -> Result<String, LinkError> {
        if self.sender.is_closed() {
            return Err(LinkError::NotConnected);
        }
        self.call(CALL_TIMEOUT, async {
            self.client.wait_for_socket(CALL_TIMEOUT).await.map_err(|_| LinkError::NotConnected)?;
            self.request_code(phone).await.map_err(|error| pairing_error(&error))
        })
        .await
    }

    async fn present_passkey(&self, credential: &str) -> Result<(), LinkError> {
        let assertion = passkey::assertion(credential)?;
        self.presenting.send_replace(true);
        let presented = self
            .call(CALL_TIMEOUT, async {
                self.client.send_passkey_response(assertion).await.map_err(|error| passkey::refused(&error))
            })
            .await;
        self.presenting.send_replace(false);
        presented
    }

    async fn confirm_passkey(&self) -> Result<(), LinkError> {
        self.call(CALL_TIMEOUT, async {
            self.client.send_passkey_confirmation().await.map_err(|error| passkey::refused(&error))
        })
        .await
    }

    async fn logout(&self) -> Result<(), LinkError> {
        let told = if self.sender.is_closed() || !self.client.is_logged_in() {
            Err(LinkError::NotConnected)
        } else {
            self.orders.leave.cancel();
            self.tell_logout().await
        };
        self.orders.close.cancel();
        self.ended(CLOSE_TIMEOUT.saturating_sub(LOGOUT_TIMEOUT)).await;
        match self.journal.end() {
            // WhatsApp closes the connection of a device that it has unlinked, which may lose its answer.
            Some(CloseReason::LoggedOut { .. }) => Ok(()),
            _ => told,
        }
    }

    async fn close(&self) {
        self.orders.close.cancel();
        self.ended(CLOSE_TIMEOUT).await;
    }

    fn abort(&self) {
        self.orders.abort.cancel();
    }
}

impl Connection {
    async fn tell_logout(&self) -> Result<(), LinkError> {
        use wacore::iq::devices::RemoveCompanionDeviceSpec;
        let jid = self.client.pn().ok_or(LinkError::NotConnected)?;
        self.call(LOGOUT_TIMEOUT, async {
            // The library's own `logout` does not report whether WhatsApp was told.
            match self.client.execute(RemoveCompanionDeviceSpec::new(&jid)).await {
                Ok(_) => Ok(()),
                Err(error) if error.is_timeout() => Err(LinkError::Timeout),
                Err(error) if error.server_rejection().is_some() => {
                    Err(LinkError::Refused("WhatsApp refused to unlink the device".to_owned()))
                }
                Err(_) => Err(LinkError::NotConnected),
            }
        })
        .await
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        self.orders.abort.cancel();
    }
}

fn pairing_error(error: &PairError) -> LinkError {
    match (error, error.rejection()) {
        (_, Some(PairCodeRejection::BadRequest | PairCodeRejection::RateOverlimit)) => LinkError::Refused(
            "WhatsApp refused to give a pairing code for this number: it asked too often, or the number is wrong; wait \
             some minutes, or pair by QR code"
                .to_owned(),
        ),
        (_, Some(PairCodeRejection::Forbidden | PairCodeRejection::FeatureNotAvailable)) => {
            LinkError::Refused("WhatsApp does not link this number by code: pair by QR code".to_owned())
        }
        (_, Some(other)) => LinkError::Refused(format!("WhatsApp answered with error {}", other.code())),
        (PairError::PairCode(problem), None) => LinkError::Refused(problem.to_string()),
        (PairError::RequestFailed(failed), None) if failed.is_timeout() => LinkError::Timeout,
        (_, None) => LinkError::NotConnected,
    }
}
