//! Public keys, as uploaded by a device and as given to others.

use serde::{Deserialize, Serialize};
use wacore_binary::Node;
use wacore_binary::builder::NodeBuilder;

use crate::{keys, wire};

/// A public signed pre-key as uploaded by a device.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub(crate) struct SignedKey {
    pub(crate) id: u32,
    #[serde(with = "crate::world::b64")]
    pub(crate) public: Vec<u8>,
    #[serde(with = "crate::world::b64")]
    pub(crate) signature: Vec<u8>,
}

pub(crate) fn signed_key(node: &Node) -> SignedKey {
    SignedKey {
        id: keys::be_u32(wire::child_bytes(node, "id")),
        public: wire::child_bytes(node, "value").to_vec(),
        signature: wire::child_bytes(node, "signature").to_vec(),
    }
}

pub(crate) fn signed_key_node(key: &SignedKey) -> Node {
    wire::branch(
        "skey",
        [
            wire::leaf("id", keys::id_bytes(key.id)),
            wire::leaf("value", key.public.clone()),
            wire::leaf("signature", key.signature.clone()),
        ],
    )
}

pub(crate) fn one_time_key_node(id: u32, public: Vec<u8>) -> Node {
    NodeBuilder::new("key").children([wire::leaf("id", keys::id_bytes(id)), wire::leaf("value", public)]).build()
}
