//! The app-state key that a phone sends to a new companion, which would otherwise wait for it.

use std::sync::Arc;

use wacore_binary::builder::NodeBuilder;
use waproto::whatsapp::{self as wa, message::protocol_message};

use super::send::ensure_session;
use crate::world::World;
use crate::world::account::Account;
use crate::world::address::Address;
use crate::{clock, keys};

/// Sends the key in a peer message, the kind that devices of one account exchange.
pub(crate) async fn send(world: Arc<World>, account: Arc<Account>, device: u16) -> anyhow::Result<()> {
    let to = Address::new(&account.number, device);
    let mut phone = account.phone.lock().await;
    ensure_session(&world, &mut phone, &to).await?;
    let enc = phone.seal(&message(&account), &to).await?;
    let stanza = NodeBuilder::new("message")
        .attr("from", account.jid())
        .attr("id", keys::message_id())
        .attr("type", "text")
        .attr("category", "peer")
        .attr("t", clock::unix_s())
        .children([enc])
        .build();
    world.deliver(&to, stanza);
    world.dirty();
    Ok(())
}

fn message(account: &Account) -> wa::Message {
    let mut key_id = vec![0, 0];
    key_id.extend(keys::random_bytes::<4>());
    let fingerprint = wa::message::AppStateSyncKeyFingerprint {
        raw_id: Some(account.identity.adv_raw_id),
        current_index: Some(0),
        device_indexes: vec![0],
    };
    let key = wa::message::AppStateSyncKey {
        key_id: buffa::MessageField::some(wa::message::AppStateSyncKeyId { key_id: Some(key_id) }),
        key_data: buffa::MessageField::some(wa::message::AppStateSyncKeyData {
            key_data: Some(keys::random_bytes::<32>().to_vec()),
            fingerprint: buffa::MessageField::some(fingerprint),
            timestamp: i64::try_from(clock::unix_s()).ok(),
        }),
    };
    wa::Message {
        protocol_message: buffa::MessageField::some(wa::message::ProtocolMessage {
            r#type: Some(protocol_message::Type::APP_STATE_SYNC_KEY_SHARE),
            app_state_sync_key_share: buffa::MessageField::some(wa::message::AppStateSyncKeyShare { keys: vec![key] }),
            ..Default::default()
        }),
        ..Default::default()
    }
}
