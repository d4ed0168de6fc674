//! A linked companion device: its public keys, its queue, and its current socket.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use serde::{Deserialize, Serialize};
use wacore_binary::Node;

use super::queue::Queue;
use crate::bundle::{SignedKey, one_time_key_node, signed_key, signed_key_node};
use crate::{keys, socket::Socket, wire};

/// The highest number of one-time keys that the server stores for one device.
const ONE_TIME_MAX: usize = 4_096;

#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct OneTimeKey {
    id: u32,
    #[serde(with = "super::b64")]
    public: Vec<u8>,
}

#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Companion {
    pub(crate) device: u16,
    pub(crate) key_index: u32,
    pub(crate) platform: String,
    pub(crate) push_name: String,
    #[serde(with = "super::b64")]
    pub(crate) noise_key: [u8; 32],
    #[serde(with = "super::b64")]
    pub(crate) identity_key: [u8; 32],
    pub(crate) registration_id: u32,
    pub(crate) signed: SignedKey,
    pub(crate) one_time: VecDeque<OneTimeKey>,
    /// The identity that the phone signed and the device countersigned. It is returned with the device's keys.
    #[serde(with = "super::b64")]
    pub(crate) device_identity: Vec<u8>,
    pub(crate) linked_at_s: u64,
    /// Whether the phone has sent its app-state key to this device.
    pub(crate) key_shared: bool,
    pub(crate) queue: Queue,
    #[serde(skip)]
    pub(crate) socket: Option<Socket>,
}

/// The companions of one account.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(crate) struct Companions {
    /// The highest device number used so far. Numbers are not used twice.
    pub(crate) last_device: u16,
    pub(crate) sockets_ever: u64,
    /// The push names of all clients that were ever linked.
    #[serde(default)]
    pub(crate) push_names: BTreeSet<String>,
    pub(crate) by_device: BTreeMap<u16, Companion>,
}

impl Companion {
    /// Stores the keys of an `<iq xmlns="encrypt">` upload.
    pub(crate) fn upload(&mut self, upload: &Node) {
        if let Some(registration) = wire::child(upload, "registration") {
            self.registration_id = keys::be_u32(wire::bytes(registration));
        }
        if let Some(signed) = wire::child(upload, "skey") {
            self.signed = signed_key(signed);
        }
        let Some(list) = wire::child(upload, "list") else {
            return;
        };
        for key in wire::children(list) {
            let id = keys::be_u32(wire::child_bytes(key, "id"));
            self.one_time.retain(|known| known.id != id);
            self.one_time.push_back(OneTimeKey { id, public: wire::child_bytes(key, "value").to_vec() });
        }
        while self.one_time.len() > ONE_TIME_MAX {
            self.one_time.pop_front();
        }
    }

    /// The key bundle with which another device starts a session. It uses up a one-time key.
    pub(crate) fn bundle(&mut self) -> Vec<Node> {
        let mut nodes = vec![
            wire::leaf("registration", self.registration_id.to_be_bytes()),
            wire::leaf("type", [5]),
            wire::leaf("identity", self.identity_key),
            signed_key_node(&self.signed),
        ];
        if let Some(key) = self.one_time.pop_front() {
            nodes.push(one_time_key_node(key.id, key.public));
        }
        nodes.push(wire::leaf("device-identity", self.device_identity.clone()));
        nodes
    }

    /// The answer to `<digest/>`: which keys the server has, and a hash of them.
    pub(crate) fn digest(&self) -> Node {
        let publics: Vec<&[u8]> = self.one_time.iter().map(|k| k.public.as_slice()).collect();
        let hash = wacore::prekeys::compute_key_bundle_digest(
            &self.identity_key,
            &self.signed.public,
            &self.signed.signature,
            &publics,
        );
        let ids = self.one_time.iter().map(|key| wire::leaf("id", keys::id_bytes(key.id)));
        wire::branch(
            "digest",
            [
                wire::leaf("registration", self.registration_id.to_be_bytes()),
                wire::leaf("type", [5]),
                wire::leaf("identity", self.identity_key),
                signed_key_node(&self.signed),
                wire::branch("list", ids),
                wire::leaf("hash", hash),
            ],
        )
    }

    pub(crate) fn is_connected(&self) -> bool {
        self.socket.is_some()
    }
}
