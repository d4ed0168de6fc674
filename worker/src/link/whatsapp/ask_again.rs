//! Asks the senders of missed messages to encrypt them again, as WhatsApp does for messages that can't be read.

use std::collections::HashSet;
use std::sync::{Arc, Mutex, PoisonError, Weak};

use tokio::sync::mpsc;
use wacore_binary::builder::NodeBuilder;
use wacore_binary::{Jid, JidExt as _, Node};
use whatsapp_rust::Client;
use whatsapp_rust::features::RetryRequestOptions;

use super::super::InboundMessage;
use super::super::credentials::Missed;

/// The ids of the messages for which a link has asked again. The account's own phone is asked as well, by the library,
/// and its answer has the time of asking and no names. So it is left out: the sender's answer comes.
#[derive(Debug, Clone, Default)]
pub(super) struct Asked(Arc<Mutex<HashSet<String>>>);

impl Asked {
    fn note(&self, id: &str) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).insert(id.to_owned());
    }

    /// Leaves out what the account's own phone says of these messages.
    pub(super) fn without(&self, mut messages: Vec<InboundMessage>) -> Vec<InboundMessage> {
        let asked = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        messages.retain(|message| !asked.contains(&message.whatsapp_id));
        messages
    }
}

/// Asks for each missed message, until the link has ended.
pub(super) async fn ask_again(client: Weak<Client>, asked: Asked, mut missed: mpsc::UnboundedReceiver<Missed>) {
    while let Some(message) = missed.recv().await {
        let (Some(client), Some(stanza)) = (client.upgrade(), stanza(&message)) else { continue };
        asked.note(&message.id);
        let options = RetryRequestOptions::new().with_force_include_keys(true);
        let (stanza, client) = (stanza.as_node_ref(), &client);
        if let Err(error) = Box::pin(client.request_message_retry(&stanza, options)).await {
            tracing::warn!(%error, "link.missed_message_not_asked_again");
        }
    }
}

/// The stanza as which the message came, without its content.
fn stanza(message: &Missed) -> Option<Node> {
    let (chat, sender): (Jid, Jid) = (message.chat.parse().ok()?, message.sender.parse().ok()?);
    let stanza = NodeBuilder::new("message")
        .attr("id", message.id.as_str())
        .attr("type", "text")
        .attr("t", wacore::time::now_secs());
    let stanza = if chat.is_group() || chat.is_status_broadcast() || chat.is_broadcast_list() {
        stanza.attr("from", chat).attr("participant", sender)
    } else if chat.is_same_user_as(&sender) {
        stanza.attr("from", sender)
    } else {
        // our own phone wrote to this chat
        stanza.attr("from", sender).attr("recipient", chat)
    };
    Some(stanza.build())
}
