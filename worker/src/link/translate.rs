//! Pure. Translates the events and errors of the client library into our own terms.

use std::time::Duration;

use wacore::proto_helpers::MessageExt as _;
use wacore::types::events::{ConnectFailureReason, Event, InboundMessage as Received, LoggedOut, Receipt, ServerAck};
use wacore::types::message::{MessageCategory, MessageSource};
use wacore::types::presence::ReceiptType;
use wacore_binary::{Jid, JidExt as _};
use waproto::whatsapp as wa;
use whatsapp_rust::passkey::parse_request_options;
use whatsapp_rust::{ClientError, ErrorChainExt as _, IqError, SendError as LibraryError};

use super::{CloseReason, InboundMessage, LinkEvent, MessageKind, ReceiptKind, SendError};

/// What a library event means for a link.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Heard {
    /// Emit this event to the session.
    Event(LinkEvent),
    /// The login is complete. The account's identity comes from the client.
    LoggedIn,
    /// The library has no further QR codes.
    QrExhausted {
        /// Whether the library closed the connection as well.
        over: bool,
    },
    /// Remember why the connection is about to end.
    End(CloseReason),
    /// Ignore it.
    Nothing,
}

/// Translates an event.
pub(super) fn event(event: &Event) -> Heard {
    match event {
        Event::PairingQrCode(qr) => Heard::Event(LinkEvent::QrCode { code: qr.code.clone(), lifetime: qr.timeout }),
        Event::PairingQrCodesExhausted(qr) => Heard::QrExhausted { over: qr.disconnected },
        Event::PairingCodeRefresh(_) => Heard::Event(LinkEvent::PairingCodeStale),
        Event::PairPasskeyRequest(demand) => Heard::Event(passkey_required(&demand.request_options_json)),
        Event::PairPasskeyConfirmation(shown) => Heard::Event(LinkEvent::PasskeyCode { code: shown.code.clone() }),
        Event::PairPasskeyError(failed) => Heard::Event(passkey_failed(&failed.error)),
        Event::QrScannedWithoutMultidevice(_) => Heard::Event(LinkEvent::PairFailed {
            reason: "the phone's WhatsApp is too old to link devices: update it".to_owned(),
        }),
        Event::PairSuccess(pair) => Heard::Event(LinkEvent::Paired {
            number: pair.id.user.to_string(),
            jid: pair.id.to_string(),
            lid: (!pair.lid.user.is_empty()).then(|| pair.lid.to_string()),
            platform: pair.platform.clone(),
        }),
        Event::PairError(pair) => Heard::Event(LinkEvent::PairFailed {
            reason: format!("the phone's confirmation could not be verified ({})", pair.error),
        }),
        Event::Connected(_) => Heard::LoggedIn,
        Event::ServerAck(ack) => server_ack(ack),
        Event::Receipt(seen) => receipt(seen),
        Event::Messages(batch) if !batch.hook_committed => {
            let messages: Vec<InboundMessage> = batch.messages.iter().filter_map(inbound).collect();
            if messages.is_empty() { Heard::Nothing } else { Heard::Event(LinkEvent::Messages(messages)) }
        }
        Event::GroupUpdate(_) => Heard::Event(LinkEvent::GroupsChanged),
        Event::StreamReplaced(_) => Heard::End(CloseReason::Replaced),
        Event::LoggedOut(out) => Heard::End(CloseReason::LoggedOut { reason: logged_out(out).to_owned() }),
        Event::TemporaryBan(ban) => Heard::End(CloseReason::Banned {
            code: ban.code.code(),
            expires_in: ban.expire.to_std().unwrap_or(Duration::ZERO),
        }),
        Event::ClientOutdated(_) => Heard::End(CloseReason::Outdated),
        Event::ConnectFailure(failure) => {
            Heard::End(CloseReason::Refused { code: u16::try_from(failure.reason.code()).unwrap_or(0) })
        }
        Event::Disconnected(gone) => Heard::End(CloseReason::Dropped(gone.reason.to_string())),
        _ => Heard::Nothing,
    }
}

fn passkey_required(options: &str) -> LinkEvent {
    match parse_request_options(options) {
        Ok(_) => LinkEvent::PasskeyRequired { options: options.to_owned() },
        Err(error) => passkey_failed(&error.to_string()),
    }
}

fn passkey_failed(error: &str) -> LinkEvent {
    let reason = format!(
        "WhatsApp asked this account for a passkey, and that failed ({error}): pair again, or remove the passkey in the \
         phone's WhatsApp first (Settings, Account, Passkeys)"
    );
    LinkEvent::PairFailed { reason }
}

fn server_ack(ack: &ServerAck) -> Heard {
    if ack.class.as_deref() != Some("message") {
        return Heard::Nothing;
    }
    let error = ack.error.as_deref().map(|code| code.parse().unwrap_or(0));
    Heard::Event(LinkEvent::Ack { whatsapp_id: ack.id.clone(), error, at: ack.timestamp })
}

fn receipt(seen: &Receipt) -> Heard {
    let kind = match seen.r#type {
        // `inactive`: the message arrived while the recipient's WhatsApp was not in use.
        ReceiptType::Delivered | ReceiptType::Inactive => ReceiptKind::Delivered,
        ReceiptType::Read => ReceiptKind::Read,
        ReceiptType::Played => ReceiptKind::Played,
        _ => return Heard::Nothing,
    };
    let source = &seen.source;
    if source.is_from_me {
        return Heard::Nothing;
    }
    Heard::Event(LinkEvent::Receipt {
        whatsapp_ids: seen.message_ids.iter().map(ToString::to_string).collect(),
        kind,
        chat: source.chat.to_non_ad().to_string(),
        participant: source.is_group.then(|| address(&source.sender, source.sender_alt.as_ref())),
        at: seen.timestamp,
    })
}

fn logged_out(out: &LoggedOut) -> &'static str {
    match out.reason {
        ConnectFailureReason::AccountLocked => "WhatsApp has locked the account",
        ConnectFailureReason::UnknownLogout => "WhatsApp ended the session",
        _ if out.on_connect => "the device is no longer linked to the phone",
        _ => "the device was unlinked on the phone",
    }
}

/// Translates a received message. Returns `None` if it is not a person's message: protocol traffic, status, or
/// channels.
pub(super) fn inbound(received: &Received) -> Option<InboundMessage> {
    let info = &received.info;
    let source = &info.source;
    let base = received.message.get_base_message();
    let internal = info.category == MessageCategory::Peer || base.protocol_message.is_set();
    if internal || source.chat.is_status_broadcast() || source.chat.is_newsletter() {
        return None;
    }
    let (kind, text) = content(&received.message);
    let sender = address(&source.sender, source.sender_alt.as_ref());
    let chat = match (source.is_group, source.is_from_me) {
        (true, _) => source.chat.to_non_ad().to_string(),
        (false, true) => address(&source.chat, source.recipient_alt.as_ref()),
        (false, false) => address(&source.chat, source.sender_alt.as_ref()),
    };
    Some(InboundMessage {
        chat,
        sender,
        sender_number: told(source, Jid::is_pn).map(|jid| jid.user.to_string()),
        sender_lid: told(source, Jid::is_lid).map(|jid| jid.to_non_ad().to_string()),
        whatsapp_id: info.id.to_string(),
        kind,
        text,
        at: info.timestamp,
        from_me: source.is_from_me,
        push_name: info.push_name.clone(),
    })
}

/// The writer's address of one kind, whichever of the two address fields holds it.
fn told(source: &MessageSource, kind: fn(&Jid) -> bool) -> Option<&Jid> {
    [Some(&source.sender), source.sender_alt.as_ref()].into_iter().flatten().find(|jid| kind(jid))
}

/// The phone-number form of an address if WhatsApp told it, without the device.
fn address(jid: &Jid, alternative: Option<&Jid>) -> String {
    let chosen = if jid.is_lid() { alternative.filter(|alt| alt.is_pn()).unwrap_or(jid) } else { jid };
    chosen.to_non_ad().to_string()
}

fn content(message: &wa::Message) -> (MessageKind, Option<String>) {
    let base = message.get_base_message();
    if let Some(reaction) = base.reaction_message.as_option() {
        return (MessageKind::Reaction, Some(reaction.text.clone().unwrap_or_default()));
    }
    let kind = match base {
        m if m.image_message.is_set() => MessageKind::Image,
        m if m.video_message.is_set() => MessageKind::Video,
        m if m.audio_message.is_set() => MessageKind::Audio,
        m if m.document_message.is_set() => MessageKind::Document,
        m if m.sticker_message.is_set() => MessageKind::Sticker,
        m if m.contact_message.is_set() || m.contacts_array_message.is_set() => MessageKind::Contact,
        m if m.location_message.is_set() || m.live_location_message.is_set() => MessageKind::Location,
        m if m.poll_creation_message.is_set() || m.poll_creation_message_v3.is_set() => MessageKind::Poll,
        m if m.text_content().is_some() => MessageKind::Text,
        _ => MessageKind::Other,
    };
    (kind, message.text_content().or_else(|| message.get_caption()).map(str::to_owned))
}

/// Classifies a failed send: certainly not sent, refused for good, or unknown. The library's own texts may contain
/// phone numbers, so none is passed on.
pub(super) fn send_error(error: &LibraryError) -> SendError {
    match error {
        LibraryError::NotLoggedIn
        | LibraryError::Client(ClientError::NotConnected | ClientError::NotLoggedIn)
        | LibraryError::Iq(IqError::NotConnected) => SendError::NotConnected,
        LibraryError::InvalidRequest(_) => SendError::Rejected("WhatsApp takes no messages at this address".to_owned()),
        other => match other.server_rejection().map(|rejection| rejection.code) {
            Some(404 | 410) => SendError::Rejected("the group does not exist".to_owned()),
            Some(401 | 403) => SendError::Rejected("the account is not a participant of the group".to_owned()),
            Some(406) => SendError::Rejected("WhatsApp knows no such address".to_owned()),
            Some(code) => {
                SendError::Unknown(format!("WhatsApp answered with error {code} while the send was prepared"))
            }
            None if other.is_timeout() => SendError::Unknown("no answer from WhatsApp in time".to_owned()),
            None if other.is_transport_unavailable() => SendError::Unknown("the connection broke".to_owned()),
            None if other.store_failure().is_some() => {
                SendError::Unknown("session state could not be stored".to_owned())
            }
            None => SendError::Unknown("the client could not send it".to_owned()),
        },
    }
}

#[cfg(test)]
#[path = "translate_tests.rs"]
mod tests;
