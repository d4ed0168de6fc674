//! Handles a stanza that reaches a phone: decrypts messages, shows them once and confirms them.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use wacore_binary::Jid;
use waproto::whatsapp as wa;

use super::inbox::{Bubble, Kind};
use super::mailbox::Letter;
use super::origin::Origin;
use super::{receipts, retry};
use crate::sync::lock;
use crate::world::World;
use crate::world::account::Account;
use crate::{clock, wire};

pub(super) async fn letter(world: &Arc<World>, account: &Arc<Account>, letter: Letter) {
    match letter.stanza.tag.as_ref() {
        "message" => message(world, account, &letter).await,
        "receipt" => {
            if wire::is(&letter.stanza, "type", "retry")
                && let Err(error) = retry::resend(world, account, &letter.stanza).await
            {
                tracing::warn!(number = account.number, %error, "phone cannot resend");
            }
        }
        _ => {}
    }
}

async fn message(world: &Arc<World>, account: &Arc<Account>, letter: &Letter) {
    let stanza = &letter.stanza;
    let Some(origin) = Origin::of(world, stanza) else {
        tracing::warn!(number = account.number, "message from nobody");
        return;
    };
    let mut shown = None;
    let mut failure = None;
    {
        let mut phone = account.phone.lock().await;
        for enc in wire::children(stanza).iter().filter(|n| n.tag == "enc") {
            match phone.open(&account.prekeys, enc, &origin.sender, origin.group.as_ref()).await {
                Ok(message) => shown = visible(message).or(shown),
                Err(error) => failure = Some(error),
            }
        }
    }
    world.dirty();
    if let Some(error) = failure {
        let stats = &world.stats;
        stats.undecryptable.fetch_add(1, Ordering::Relaxed);
        tracing::info!(number = account.number, id = %wire::string(stanza, "id"), %error, "phone cannot decrypt");
        retry::ask(world, account, stanza, &origin).await;
        return;
    }
    show(world, account, letter, &origin, shown);
}

fn show(world: &Arc<World>, account: &Arc<Account>, letter: &Letter, origin: &Origin, shown: Option<Visible>) {
    let id = wire::string(&letter.stanza, "id");
    let own = origin.sender.number == account.number;
    let is_new = match shown {
        Some(visible) => {
            let chat = match (&origin.group, visible.destination) {
                (None, Some(destination)) if own => {
                    world.resolve(&destination).map_or_else(|| destination.user.to_string(), |a| a.number)
                }
                _ => origin.chat(),
            };
            let kind = match (own, &origin.group) {
                (true, _) => Kind::Own,
                (false, Some(_)) => Kind::Group,
                (false, None) => Kind::Dm,
            };
            world.stats.phone_messages.fetch_add(1, Ordering::Relaxed);
            lock(&account.inbox).arrived(Bubble {
                id: id.clone(),
                chat,
                sender: origin.sender.number.clone(),
                sender_device: origin.sender.device,
                text: visible.text,
                kind,
                times_arrived: 1,
                server_received_at_us: letter.received_at_us,
                decrypted_at_us: clock::unix_us(),
                read: false,
            })
        }
        // protocol messages and bare sender keys show nothing, but are confirmed like others
        None => false,
    };
    if !own && !wire::is(&letter.stanza, "category", "peer") {
        receipts::automatic(world, account, origin.group.clone(), &origin.sender, id, is_new);
    }
}

/// The visible part of a message.
struct Visible {
    text: String,
    /// The chat of the message; set only on copies from other devices of the account.
    destination: Option<Jid>,
}

fn visible(message: wa::Message) -> Option<Visible> {
    if let Some(copy) = message.device_sent_message.as_option() {
        return Some(Visible {
            text: text(copy.message.as_option()?)?,
            destination: copy.destination_jid.as_deref().and_then(|j| j.parse().ok()),
        });
    }
    Some(Visible { text: text(&message)?, destination: None })
}

/// The text of a message. Media are shown as their kind in brackets with their caption.
fn text(message: &wa::Message) -> Option<String> {
    if let Some(text) = &message.conversation {
        return Some(text.clone());
    }
    if let Some(extended) = message.extended_text_message.as_option() {
        return extended.text.clone();
    }
    if let Some(image) = message.image_message.as_option() {
        return Some(captioned("image", image.caption.as_deref()));
    }
    if let Some(video) = message.video_message.as_option() {
        return Some(captioned("video", video.caption.as_deref()));
    }
    if let Some(document) = message.document_message.as_option() {
        return Some(captioned("document", document.caption.as_deref()));
    }
    message.audio_message.as_option().map(|_| captioned("audio", None))
}

fn captioned(kind: &str, caption: Option<&str>) -> String {
    match caption {
        Some(caption) => format!("[{kind}] {caption}"),
        None => format!("[{kind}]"),
    }
}
