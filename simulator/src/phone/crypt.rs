//! Signal encryption of one phone: opening `<enc>` elements, and sealing messages for one device or for a group.

use anyhow::{Context, bail};
use wacore::libsignal::protocol::{
    CiphertextMessage, PreKeySignalMessage, SenderKeyDistributionMessage, SignalMessage, UsePQRatchet,
    create_sender_key_distribution_message, group_decrypt, group_encrypt, message_decrypt, message_encrypt,
    process_prekey_bundle, process_sender_key_distribution_message,
};
use wacore::messages::{MessageUtils, decode_plaintext};
use wacore::prekeys::PreKeyUtils;
use wacore::types::jid::{JidExt, make_sender_key_name};
use wacore_binary::builder::NodeBuilder;
use wacore_binary::{Jid, Node};
use waproto::whatsapp as wa;

use super::identity::PreKeys;
use super::state::PhoneState;
use crate::world::address::Address;
use crate::{keys, wire};

/// The padding version of every `<enc>`, which is also its `v`.
const PADDING: u8 = 2;

impl PhoneState {
    /// Opens one `<enc>` from `sender`; in `group`, if given.
    pub(crate) async fn open(
        &mut self,
        prekeys: &PreKeys,
        enc: &Node,
        sender: &Address,
        group: Option<&Jid>,
    ) -> anyhow::Result<wa::Message> {
        let kind = wire::string(enc, "type");
        let bytes = wire::bytes(enc);
        let plain = match kind.as_str() {
            "pkmsg" => {
                let message = PreKeySignalMessage::try_from(bytes)?;
                self.open_pairwise(prekeys, CiphertextMessage::PreKeySignalMessage(message), sender).await?
            }
            "msg" => {
                let message = SignalMessage::try_from(bytes)?;
                self.open_pairwise(prekeys, CiphertextMessage::SignalMessage(message), sender).await?
            }
            "skmsg" => {
                let group = group.context("a group message outside a group")?;
                let name = make_sender_key_name(group, &sender.jid().to_protocol_address());
                group_decrypt(bytes, &mut self.sender_keys, &name).await?
            }
            other => bail!("unknown encryption {other}"),
        };
        let message = decode_plaintext(&plain, PADDING)?;
        if let Some(distribution) = message.sender_key_distribution_message.as_option() {
            self.take_sender_key(distribution, sender).await?;
        }
        Ok(message)
    }

    async fn open_pairwise(
        &mut self,
        prekeys: &PreKeys,
        message: CiphertextMessage,
        sender: &Address,
    ) -> anyhow::Result<Vec<u8>> {
        let mut one_time = prekeys.clone();
        let opened = message_decrypt(
            &message,
            &sender.jid().to_protocol_address(),
            &mut self.sessions,
            &mut self.identities,
            &mut one_time,
            &self.signed,
            &mut keys::rng(),
            UsePQRatchet::No,
        )
        .await?;
        if let CiphertextMessage::PreKeySignalMessage(message) = &message
            && let Some(id) = message.pre_key_id()
        {
            prekeys.remove(id.into());
        }
        Ok(opened.plaintext)
    }

    async fn take_sender_key(
        &mut self,
        distribution: &wa::message::SenderKeyDistributionMessage,
        sender: &Address,
    ) -> anyhow::Result<()> {
        let group: Jid = distribution.group_id.as_deref().context("a sender key for no group")?.parse()?;
        let bytes = distribution.axolotl_sender_key_distribution_message.as_deref().context("an empty sender key")?;
        let name = make_sender_key_name(&group, &sender.jid().to_protocol_address());
        let message = SenderKeyDistributionMessage::try_from(bytes)?;
        process_sender_key_distribution_message(&name, &message, &mut self.sender_keys).await?;
        Ok(())
    }

    pub(crate) fn has_session(&self, address: &Address) -> bool {
        let address = address.jid().to_protocol_address();
        self.sessions.0.contains_key(address.as_str())
    }

    /// Starts a session from a `<user>` element with a key bundle. Replaces any existing session.
    pub(crate) async fn start_session(&mut self, with: &Address, user: Node) -> anyhow::Result<()> {
        let answer = wire::branch("iq", [wire::branch("list", [user])]);
        let none = std::collections::HashMap::new();
        let parsed = PreKeyUtils::parse_prekeys_response(&answer.as_node_ref(), &none)?;
        let bundle = parsed.bundles.into_values().next().context("no key bundle for the device")?;
        let address = with.jid().to_protocol_address();
        self.sessions.0.remove(address.as_str());
        process_prekey_bundle(
            &address,
            &mut self.sessions,
            &mut self.identities,
            &bundle,
            &mut keys::rng(),
            UsePQRatchet::No,
        )
        .await?;
        Ok(())
    }

    /// Seals a message for one device, with which a session must exist.
    pub(crate) async fn seal(&mut self, message: &wa::Message, to: &Address) -> anyhow::Result<Node> {
        let sealed = message_encrypt(
            &MessageUtils::encode_and_pad(message),
            &to.jid().to_protocol_address(),
            &mut self.sessions,
            &mut self.identities,
        )
        .await?;
        let kind = match sealed {
            CiphertextMessage::PreKeySignalMessage(_) => "pkmsg",
            _ => "msg",
        };
        Ok(enc(kind, sealed.serialize()))
    }

    /// A message with this phone's sender key for a group, for the members. The key is created on first use.
    pub(crate) async fn sender_key(&mut self, group: &Jid, own: &Address) -> anyhow::Result<wa::Message> {
        let name = make_sender_key_name(group, &own.jid().to_protocol_address());
        let distribution =
            create_sender_key_distribution_message(&name, &mut self.sender_keys, &mut keys::rng()).await?;
        Ok(wa::Message {
            sender_key_distribution_message: buffa::MessageField::some(wa::message::SenderKeyDistributionMessage {
                group_id: Some(group.to_string()),
                axolotl_sender_key_distribution_message: Some(distribution.serialized().to_vec()),
            }),
            ..Default::default()
        })
    }

    pub(crate) async fn seal_for_group(
        &mut self,
        message: &wa::Message,
        group: &Jid,
        own: &Address,
    ) -> anyhow::Result<Node> {
        let name = make_sender_key_name(group, &own.jid().to_protocol_address());
        let sealed =
            group_encrypt(&mut self.sender_keys, &name, &MessageUtils::encode_and_pad(message), &mut keys::rng())
                .await?;
        Ok(enc("skmsg", sealed.serialized()))
    }

    /// Removes the sender key, so that the next message to the group makes a new one for the remaining members.
    pub(crate) fn forget_sender_key(&mut self, group: &Jid, own: &Address) {
        let name = make_sender_key_name(group, &own.jid().to_protocol_address());
        self.sender_keys.0.remove(&name);
        self.shared_with.remove(&group.to_string());
    }
}

fn enc(kind: &'static str, bytes: &[u8]) -> Node {
    NodeBuilder::new("enc").attr("v", PADDING).attr("type", kind).bytes(bytes.to_vec()).build()
}
