//! A phone's keys, and what it signs with them: the identities of its companions and the list of valid ones.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex};

use buffa::Message;
use serde::{Deserialize, Serialize};
use wacore::libsignal::crypto::CryptographicMac;
use wacore::libsignal::protocol::{
    GenericSignedPreKey, IdentityKey, IdentityKeyPair, KeyPair, PreKeyRecord, SignedPreKeyRecord, Timestamp,
};
use wacore_binary::Node;
use waproto::whatsapp as wa;

use crate::bundle::{SignedKey, one_time_key_node, signed_key_node};
use crate::sync::lock;
use crate::{clock, keys, wire};

const SIGNED_PREKEY_ID: u32 = 1;
/// Prefixes that distinguish the two ADV signatures.
const ACCOUNT_SIGNATURE: [u8; 2] = [6, 0];
const DEVICE_SIGNATURE: [u8; 2] = [6, 1];
/// How many one-time keys a phone keeps for sessions that may still begin.
const ONE_TIME_MAX: usize = 20_000;

/// The long-lived keys. A phone clones them only once, so the cost does not matter.
#[derive(Clone)]
pub(crate) struct Identity {
    pub(crate) pair: KeyPair,
    pub(crate) registration_id: u32,
    pub(crate) adv_raw_id: u32,
    pub(crate) signed_record: SignedPreKeyRecord,
    pub(crate) signed: SignedKey,
}

/// The identity in the form of the world file.
#[derive(Serialize, Deserialize)]
pub(crate) struct SavedIdentity {
    #[serde(with = "crate::world::b64")]
    private: Vec<u8>,
    registration_id: u32,
    adv_raw_id: u32,
    #[serde(with = "crate::world::b64")]
    signed_record: Vec<u8>,
}

impl Identity {
    pub(crate) fn generate() -> anyhow::Result<Self> {
        let pair = keys::generate();
        let signed = keys::generate();
        let signature = pair.calculate_signature(&signed.public_key.serialize(), &mut rand::rng())?.to_vec();
        let record = SignedPreKeyRecord::new(
            SIGNED_PREKEY_ID.into(),
            Timestamp::from_epoch_millis(clock::unix_s() * 1_000),
            &signed,
            &signature,
        );
        // registration ids have 14 bits, and 0 is not valid
        let registration_id = (keys::be_u32(&keys::random_bytes::<2>()) & 0x3FFF).max(1);
        let adv_raw_id = keys::be_u32(&keys::random_bytes::<4>());
        Self::assemble(pair, registration_id, adv_raw_id, record)
    }

    fn assemble(
        pair: KeyPair,
        registration_id: u32,
        adv_raw_id: u32,
        signed_record: SignedPreKeyRecord,
    ) -> anyhow::Result<Self> {
        let signed = SignedKey {
            id: SIGNED_PREKEY_ID,
            public: keys::public_bytes(&signed_record.key_pair()?.public_key).to_vec(),
            signature: signed_record.signature()?,
        };
        Ok(Self { pair, registration_id, adv_raw_id, signed_record, signed })
    }

    pub(crate) fn save(&self) -> anyhow::Result<SavedIdentity> {
        Ok(SavedIdentity {
            private: self.pair.private_key.serialize().to_vec(),
            registration_id: self.registration_id,
            adv_raw_id: self.adv_raw_id,
            signed_record: self.signed_record.serialize()?,
        })
    }

    pub(crate) fn load(saved: &SavedIdentity) -> anyhow::Result<Self> {
        Self::assemble(
            keys::from_private(&saved.private)?,
            saved.registration_id,
            saved.adv_raw_id,
            SignedPreKeyRecord::deserialize(&saved.signed_record)?,
        )
    }

    pub(crate) fn public(&self) -> [u8; 32] {
        keys::public_bytes(&self.pair.public_key)
    }

    pub(crate) fn signal_pair(&self) -> IdentityKeyPair {
        IdentityKeyPair::new(IdentityKey::new(self.pair.public_key), self.pair.private_key.clone())
    }

    /// Signs a companion's identity key, which confirms that the device belongs to the phone.
    pub(crate) fn sign_companion(
        &self,
        companion: &[u8; 32],
        key_index: u32,
    ) -> anyhow::Result<wa::ADVSignedDeviceIdentity> {
        let details = wa::ADVDeviceIdentity {
            raw_id: Some(self.adv_raw_id),
            timestamp: Some(clock::unix_s()),
            key_index: Some(key_index),
            ..Default::default()
        }
        .encode_to_vec();
        let signature =
            self.pair.calculate_signature(&[&ACCOUNT_SIGNATURE[..], &details, companion].concat(), &mut rand::rng())?;
        Ok(wa::ADVSignedDeviceIdentity {
            details: Some(details),
            account_signature_key: Some(self.public().to_vec()),
            account_signature: Some(signature.to_vec()),
            ..Default::default()
        })
    }

    /// Authenticates a signed identity for the companion, with the secret that both have from the QR code or the
    /// pairing code.
    pub(crate) fn seal(signed: &wa::ADVSignedDeviceIdentity, adv_secret: &[u8]) -> anyhow::Result<Vec<u8>> {
        let details = signed.encode_to_vec();
        let mut mac = CryptographicMac::new("HmacSha256", adv_secret)?;
        mac.update(&details);
        Ok(wa::ADVSignedDeviceIdentityHMAC { hmac: Some(mac.finalize()), details: Some(details), ..Default::default() }
            .encode_to_vec())
    }

    /// Whether the companion countersigned `details` with its own identity key.
    pub(crate) fn is_countersigned(&self, details: &[u8], companion: &[u8; 32], signature: &[u8]) -> bool {
        let Ok(key) = wacore::libsignal::protocol::PublicKey::from_djb_public_key_bytes(companion) else {
            return false;
        };
        let account = self.public();
        key.verify_signature(&[&DEVICE_SIGNATURE[..], details, companion, &account].concat(), signature)
    }

    /// The signed list of valid companions, which accompanies every device list.
    pub(crate) fn key_index_list(&self, valid: &[u32], at_s: u64) -> anyhow::Result<Vec<u8>> {
        let details = wa::ADVKeyIndexList {
            raw_id: Some(self.adv_raw_id),
            timestamp: Some(at_s),
            current_index: Some(valid.iter().copied().max().unwrap_or(0)),
            valid_indexes: valid.to_vec(),
            ..Default::default()
        }
        .encode_to_vec();
        let signature = self.pair.calculate_signature(&[&[6, 2][..], &details].concat(), &mut rand::rng())?;
        Ok(wa::ADVSignedKeyIndexList {
            details: Some(details),
            account_signature: Some(signature.to_vec()),
            account_signature_key: Some(self.public().to_vec()),
        }
        .encode_to_vec())
    }

    /// The phone's key bundle, with a new one-time key from `prekeys`.
    pub(crate) fn bundle(&self, prekeys: &PreKeys) -> anyhow::Result<Vec<Node>> {
        let (id, public) = prekeys.mint()?;
        Ok(vec![
            wire::leaf("registration", self.registration_id.to_be_bytes()),
            wire::leaf("type", [5]),
            wire::leaf("identity", self.public()),
            signed_key_node(&self.signed),
            one_time_key_node(id, public),
        ])
    }
}

/// The one-time keys that a phone has given out and not yet seen used. The server's side shares them, and creates one
/// whenever a client asks for a bundle.
#[derive(Clone, Default)]
pub(crate) struct PreKeys(Arc<Mutex<Pool>>);

#[derive(Default)]
struct Pool {
    last_id: u32,
    open: BTreeMap<u32, PreKeyRecord>,
    order: VecDeque<u32>,
}

#[derive(Default, Serialize, Deserialize)]
pub(crate) struct SavedPreKeys {
    last_id: u32,
    open: Vec<String>,
}

impl PreKeys {
    pub(crate) fn mint(&self) -> anyhow::Result<(u32, Vec<u8>)> {
        let pair = keys::generate();
        let mut pool = lock(&self.0);
        // ids have three bytes on the wire
        pool.last_id = pool.last_id % 0x00FF_FFFE + 1;
        let id = pool.last_id;
        pool.open.insert(id, PreKeyRecord::new(id.into(), &pair));
        pool.order.push_back(id);
        if pool.order.len() > ONE_TIME_MAX
            && let Some(oldest) = pool.order.pop_front()
        {
            pool.open.remove(&oldest);
        }
        Ok((id, keys::public_bytes(&pair.public_key).to_vec()))
    }

    pub(crate) fn get(&self, id: u32) -> Option<PreKeyRecord> {
        lock(&self.0).open.get(&id).cloned()
    }

    pub(crate) fn put(&self, id: u32, record: PreKeyRecord) {
        lock(&self.0).open.insert(id, record);
    }

    pub(crate) fn remove(&self, id: u32) {
        lock(&self.0).open.remove(&id);
    }

    pub(crate) fn save(&self) -> anyhow::Result<SavedPreKeys> {
        let pool = lock(&self.0);
        let open =
            pool.open.values().map(|record| Ok(keys::encode64(&record.serialize()?))).collect::<anyhow::Result<_>>()?;
        Ok(SavedPreKeys { last_id: pool.last_id, open })
    }

    pub(crate) fn load(&self, saved: &SavedPreKeys) -> anyhow::Result<()> {
        let mut pool = lock(&self.0);
        pool.last_id = saved.last_id;
        for text in &saved.open {
            let record = PreKeyRecord::deserialize(&keys::decode64(text)?)?;
            let id = u32::from(record.id()?);
            pool.open.insert(id, record);
            pool.order.push_back(id);
        }
        Ok(())
    }
}
