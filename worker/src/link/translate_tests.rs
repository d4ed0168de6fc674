//! Tests of the translation, case by case.

use std::sync::Arc;
use std::time::Duration;

use wacore::chrono::{DateTime, TimeDelta};
use wacore::net::DisconnectReason;
use wacore::types::events::{
    BatchOrigin, ClientOutdated, ConnectFailure, Connected, Disconnected, MessageBatch, PairError, PairSuccess,
    PairingQrCode, PairingQrCodesExhausted, StreamReplaced, TempBanReason, TemporaryBan,
};
use wacore::types::message::{MessageInfo, MessageSource};
use waproto::buffa::MessageField;

use super::*;

fn jid(text: &str) -> Jid {
    text.parse().unwrap()
}

fn ended(event: &Event) -> CloseReason {
    match super::event(event) {
        Heard::End(reason) => reason,
        other => panic!("{other:?}"),
    }
}

fn ack(class: &str, error: Option<&str>) -> Event {
    let ack = ServerAck::builder().id("3EB0".to_owned()).class(class.to_owned()).maybe_error(error.map(str::to_owned));
    Event::ServerAck(ack.build())
}

fn seen(r#type: ReceiptType, source: MessageSource) -> Event {
    let receipt = Receipt::builder()
        .source(source)
        .message_ids(vec!["A".to_owned(), "B".to_owned()])
        .timestamp(DateTime::UNIX_EPOCH)
        .r#type(r#type)
        .offline(false);
    Event::Receipt(receipt.build())
}

fn message(text: &str) -> wa::Message {
    wa::Message { conversation: Some(text.to_owned()), ..wa::Message::default() }
}

fn received(message: wa::Message, source: MessageSource) -> Received {
    let info = MessageInfo { id: "3EB0".to_owned(), source, push_name: "Ann".to_owned(), ..MessageInfo::default() };
    Received::builder().message(Arc::new(message)).info(Arc::new(info)).build()
}

fn from(chat: &str, sender: &str) -> MessageSource {
    MessageSource {
        chat: jid(chat),
        sender: jid(sender),
        is_group: chat.ends_with("@g.us"),
        ..MessageSource::default()
    }
}

#[test]
fn acks_of_messages_alone_count() {
    let told = |error| Heard::Event(LinkEvent::Ack { whatsapp_id: "3EB0".to_owned(), error, at: None });
    assert_eq!(super::event(&ack("message", None)), told(None));
    assert_eq!(super::event(&ack("message", Some("463"))), told(Some(463)));
    assert_eq!(super::event(&ack("message", Some("later"))), told(Some(0)), "a refusal is never taken for a yes");
    assert_eq!(super::event(&ack("receipt", None)), Heard::Nothing);
}

#[test]
fn receipts_of_others() {
    let kinds = [
        (ReceiptType::Delivered, Some(ReceiptKind::Delivered)),
        (ReceiptType::Inactive, Some(ReceiptKind::Delivered)),
        (ReceiptType::Read, Some(ReceiptKind::Read)),
        (ReceiptType::Played, Some(ReceiptKind::Played)),
        (ReceiptType::ReadSelf, None),
        (ReceiptType::Sender, None),
        (ReceiptType::Retry, None),
    ];
    for (library, ours) in kinds {
        let heard = super::event(&seen(library, from("49151@s.whatsapp.net", "49151:3@s.whatsapp.net")));
        let expected = ours.map_or(Heard::Nothing, |kind| {
            Heard::Event(LinkEvent::Receipt {
                whatsapp_ids: vec!["A".to_owned(), "B".to_owned()],
                kind,
                chat: "49151@s.whatsapp.net".to_owned(),
                participant: None,
                at: DateTime::UNIX_EPOCH,
            })
        });
        assert_eq!(heard, expected);
    }
    let own = MessageSource { is_from_me: true, ..from("49151@s.whatsapp.net", "49151@s.whatsapp.net") };
    assert_eq!(super::event(&seen(ReceiptType::Delivered, own)), Heard::Nothing);
    let Heard::Event(LinkEvent::Receipt { chat, participant, .. }) =
        super::event(&seen(ReceiptType::Read, from("12036@g.us", "49151:3@s.whatsapp.net")))
    else {
        panic!("no receipt")
    };
    assert_eq!((chat.as_str(), participant.as_deref()), ("12036@g.us", Some("49151@s.whatsapp.net")));
}

#[test]
fn ends_of_connections() {
    assert_eq!(ended(&Event::StreamReplaced(StreamReplaced::builder().build())), CloseReason::Replaced);
    assert_eq!(ended(&Event::ClientOutdated(ClientOutdated::builder().build())), CloseReason::Outdated);
    let ban = TemporaryBan::builder().code(TempBanReason::BlockedByUsers).expire(TimeDelta::seconds(90)).build();
    let banned = CloseReason::Banned { code: 102, expires_in: Duration::from_secs(90) };
    assert_eq!(ended(&Event::TemporaryBan(ban)), banned);
    let failure = ConnectFailure::builder().reason(ConnectFailureReason::ServiceUnavailable).build();
    assert_eq!(ended(&Event::ConnectFailure(failure)), CloseReason::Refused { code: 503 });
    let gone = Disconnected::builder().reason(DisconnectReason::StreamEnded).build();
    assert_eq!(ended(&Event::Disconnected(gone)), CloseReason::Dropped("stream ended (EOF)".to_owned()));
    let out = |on_connect, reason| Event::LoggedOut(LoggedOut::builder().on_connect(on_connect).reason(reason).build());
    for (event, words) in [
        (out(true, ConnectFailureReason::LoggedOut), "no longer linked"),
        (out(false, ConnectFailureReason::LoggedOut), "unlinked on the phone"),
        (out(true, ConnectFailureReason::AccountLocked), "locked"),
        (out(true, ConnectFailureReason::UnknownLogout), "ended the session"),
    ] {
        let CloseReason::LoggedOut { reason } = ended(&event) else { panic!("not logged out") };
        assert!(reason.contains(words), "{reason}");
    }
}

#[test]
fn pairing() {
    let qr = PairingQrCode::builder().code("2@x".to_owned()).timeout(Duration::from_secs(20)).build();
    let shown = LinkEvent::QrCode { code: "2@x".to_owned(), lifetime: Duration::from_secs(20) };
    assert_eq!(super::event(&Event::PairingQrCode(qr)), Heard::Event(shown));
    let none_left = PairingQrCodesExhausted::builder().disconnected(true).build();
    assert_eq!(super::event(&Event::PairingQrCodesExhausted(none_left)), Heard::QrExhausted { over: true });
    let pair = PairSuccess::builder()
        .id(jid("49151:5@s.whatsapp.net"))
        .lid(jid("100200:5@lid"))
        .business_name(String::new())
        .platform("android".to_owned());
    let paired = LinkEvent::Paired {
        number: "49151".to_owned(),
        jid: "49151:5@s.whatsapp.net".to_owned(),
        lid: Some("100200:5@lid".to_owned()),
        platform: "android".to_owned(),
    };
    assert_eq!(super::event(&Event::PairSuccess(pair.build())), Heard::Event(paired));
    let failed = PairError::builder()
        .id(jid("49151:5@s.whatsapp.net"))
        .lid(jid("100200:5@lid"))
        .business_name(String::new())
        .platform(String::new())
        .error("hmac-mismatch".to_owned());
    let Heard::Event(LinkEvent::PairFailed { reason }) = super::event(&Event::PairError(failed.build())) else {
        panic!("not failed")
    };
    assert!(reason.contains("hmac-mismatch") && !reason.contains("49151"));
    assert_eq!(super::event(&Event::Connected(Connected::builder().build())), Heard::LoggedIn);
}

#[test]
fn messages_by_number_where_it_is_known() {
    let told = inbound(&received(message("hi"), from("49151@s.whatsapp.net", "49151:2@s.whatsapp.net"))).unwrap();
    assert_eq!((told.chat.as_str(), told.sender.as_str()), ("49151@s.whatsapp.net", "49151@s.whatsapp.net"));
    assert_eq!((told.kind, told.text.as_deref(), told.push_name.as_str()), (MessageKind::Text, Some("hi"), "Ann"));
    let number = Some(jid("49151@s.whatsapp.net"));
    let hidden = MessageSource { sender_alt: number.clone(), ..from("100200@lid", "100200:1@lid") };
    let told = inbound(&received(message("hi"), hidden)).unwrap();
    assert_eq!((told.chat.as_str(), told.sender.as_str()), ("49151@s.whatsapp.net", "49151@s.whatsapp.net"));
    let group = MessageSource { sender_alt: number.clone(), ..from("12036@g.us", "100200:1@lid") };
    let told = inbound(&received(message("hi"), group)).unwrap();
    assert_eq!((told.chat.as_str(), told.sender.as_str()), ("12036@g.us", "49151@s.whatsapp.net"));
    let own = MessageSource { is_from_me: true, recipient_alt: number, ..from("100200@lid", "300@lid") };
    assert_eq!(inbound(&received(message("hi"), own)).unwrap().chat, "49151@s.whatsapp.net");
    let unknown = inbound(&received(message("hi"), from("100200@lid", "100200@lid"))).unwrap();
    assert_eq!(unknown.chat, "100200@lid");
}

#[test]
fn what_is_no_message_of_a_person_is_passed_over() {
    let chat = || from("49151@s.whatsapp.net", "49151@s.whatsapp.net");
    let protocol = wa::Message {
        protocol_message: MessageField::some(wa::message::ProtocolMessage::default()),
        ..wa::Message::default()
    };
    assert_eq!(inbound(&received(protocol, chat())), None);
    assert_eq!(inbound(&received(message("x"), from("status@broadcast", "49151@s.whatsapp.net"))), None);
    assert_eq!(inbound(&received(message("x"), from("120@newsletter", "120@newsletter"))), None);
    let batch = |committed| {
        Event::Messages(
            MessageBatch::builder()
                .messages(vec![received(message("x"), chat())].into())
                .origin(BatchOrigin::Live)
                .hook_committed(committed)
                .build(),
        )
    };
    assert_eq!(super::event(&batch(true)), Heard::Nothing, "the hook has told it");
    assert!(matches!(super::event(&batch(false)), Heard::Event(LinkEvent::Messages(_))));
}

#[test]
fn kinds_and_captions() {
    let image = wa::message::ImageMessage { caption: Some("look".to_owned()), ..wa::message::ImageMessage::default() };
    let image = wa::Message { image_message: MessageField::some(image), ..wa::Message::default() };
    assert_eq!(content(&image), (MessageKind::Image, Some("look".to_owned())));
    let reaction =
        wa::message::ReactionMessage { text: Some("+".to_owned()), ..wa::message::ReactionMessage::default() };
    let reaction = wa::Message { reaction_message: MessageField::some(reaction), ..wa::Message::default() };
    assert_eq!(content(&reaction), (MessageKind::Reaction, Some("+".to_owned())));
    assert_eq!(content(&wa::Message::default()), (MessageKind::Other, None));
}

#[test]
fn failed_sends_are_sorted_and_name_no_number() {
    let refused = |code| {
        LibraryError::Iq(IqError::ServerError { code, text: "49151".to_owned(), error_type: None, backoff: None })
    };
    assert_eq!(send_error(&LibraryError::NotLoggedIn), SendError::NotConnected);
    assert_eq!(send_error(&LibraryError::Client(ClientError::NotConnected)), SendError::NotConnected);
    assert_eq!(send_error(&LibraryError::Iq(IqError::NotConnected)), SendError::NotConnected);
    assert!(matches!(send_error(&refused(404)), SendError::Rejected(_)));
    assert!(matches!(send_error(&refused(403)), SendError::Rejected(_)));
    assert!(matches!(send_error(&refused(429)), SendError::Unknown(_)));
    assert!(matches!(send_error(&LibraryError::Iq(IqError::Timeout)), SendError::Unknown(_)));
    assert!(matches!(send_error(&LibraryError::InvalidRequest("49151".to_owned())), SendError::Rejected(_)));
    for error in [refused(404), refused(429), LibraryError::InvalidRequest("49151".to_owned())] {
        assert!(!send_error(&error).to_string().contains("49151"));
    }
}

/// A request for a passkey is passed on unchanged. One that no authenticator could answer ends the pairing.
#[test]
fn passkeys() {
    use wacore::types::events::{PairPasskeyConfirmation, PairPasskeyError, PairPasskeyRequest};
    let demand = |options: &str| {
        let request = PairPasskeyRequest::builder().request_options_json(options.to_owned()).build();
        super::event(&Event::PairPasskeyRequest(request))
    };
    let options = r#"{"challenge":"AAEC","rpId":"web.whatsapp.com"}"#;
    assert_eq!(demand(options), Heard::Event(LinkEvent::PasskeyRequired { options: options.to_owned() }));
    for unusable in ["", "{}", r#"{"challenge":""}"#] {
        assert!(matches!(demand(unusable), Heard::Event(LinkEvent::PairFailed { .. })), "{unusable}");
    }
    let shown = PairPasskeyConfirmation::builder().code("ABCD-1234".to_owned()).skip_handoff_ux(false).build();
    let code = LinkEvent::PasskeyCode { code: "ABCD-1234".to_owned() };
    assert_eq!(super::event(&Event::PairPasskeyConfirmation(shown)), Heard::Event(code));
    let failed = PairPasskeyError::builder().error("timed out".to_owned()).continuation(true).build();
    let Heard::Event(LinkEvent::PairFailed { reason }) = super::event(&Event::PairPasskeyError(failed)) else {
        panic!("not failed")
    };
    assert!(reason.contains("passkey") && reason.contains("timed out"), "{reason}");
}
