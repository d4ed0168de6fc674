//! The passkey gate ("shortcake"). After the scan, the client must present an assertion by the account's passkey, and
//! prove by a commitment that there is no attacker in between. It must then show a code that the phone shows as well,
//! and send a new secret.

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, ensure};
use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD as BASE64URL;
use buffa::Message;
use serde_json::{Value, json};
use wacore::libsignal::crypto::{CryptographicHash, aes_256_gcm_decrypt};
use wacore::shortcake::ShortcakeUtils;
use wacore_binary::Node;
use wacore_binary::builder::NodeBuilder;
use waproto::whatsapp as wa;

use super::pair;
use crate::fault::Order;
use crate::pairing::{Client, Gate};
use crate::peer::{Peer, Role};
use crate::socket::{Command, Socket};
use crate::sync::lock;
use crate::world::World;
use crate::world::account::Account;
use crate::{clock, keys, wire};

const ORIGIN: &str = "https://web.whatsapp.com";
const RP_ID: &str = "web.whatsapp.com";
/// How long a phone takes to confirm. Meanwhile the client stores its new secret.
const PHONE_TAKES: Duration = Duration::from_millis(300);

/// Puts a gate in front of a client that was just scanned, or whose code was entered.
pub(crate) fn close_gate(account: &Arc<Account>, socket: &Socket, order: &Order) -> anyhow::Result<()> {
    *lock(&account.passkey_code) = None;
    let gate = Gate {
        number: account.number.clone(),
        challenge: keys::random_bytes(),
        refusal: order.code,
        reference: String::new(),
        ephemeral: keys::generate(),
        nonce: keys::random_bytes(),
        client: None,
    };
    ensure!(socket.tell(Command::Gate(Box::new(gate))), "the client that offered this has gone");
    Ok(())
}

/// Tells the client that there is a gate.
pub(crate) fn demand(peer: &mut Peer, gate: Gate) {
    let Role::Pairing(pairing) = &mut peer.role else { return };
    let Some(account) = peer.world.account(&gate.number) else { return };
    let options = match gate.refusal {
        None => vec![wire::leaf("passkey_request_options", gate.options(&account))],
        Some(_) => vec![],
    };
    pairing.gate = Some(gate);
    peer.send(&notification("passkey_prologue_request", options));
}

fn notification(kind: &'static str, nodes: Vec<Node>) -> Node {
    NodeBuilder::new("notification")
        .attr("from", wire::server_jid())
        .attr("type", kind)
        .attr("id", keys::message_id())
        .attr("t", clock::unix_s())
        .children(nodes)
        .build()
}

/// Handles a request that belongs to a gate. Returns false if it does not belong to one.
pub(super) fn handle(peer: &mut Peer, iq: &Node) -> bool {
    let Role::Pairing(pairing) = &mut peer.role else { return false };
    let (noise_key, identity_key) = (pairing.noise_key, pairing.identity_key);
    let Some(gate) = &mut pairing.gate else { return false };
    let Some(account) = peer.world.account(&gate.number) else { return false };
    let Some(asked) = wire::children(iq).first() else { return false };
    let done = match asked.tag.as_ref() {
        "ref" => {
            gate.reference = format!("3@{}", keys::encode64(&keys::random_bytes::<24>()));
            Ok(vec![wire::leaf("ref", gate.reference.as_bytes())])
        }
        "passkey_request_options" => Err(gate.refusal.unwrap_or(400)),
        "passkey_prologue" => gate.prologue(&account, asked).map(|()| vec![]).map_err(refused),
        "companion_nonce" => gate.reveal(&account, wire::bytes(asked)).map(|()| vec![]).map_err(refused),
        "encrypted_pairing_request" => {
            let request = gate.open(wire::bytes(asked), &noise_key, &identity_key);
            request.map(|secret| admit(&peer.world, &account, &peer.socket, identity_key, secret)).map_err(refused)
        }
        _ => return false,
    };
    let next = (asked.tag == "passkey_prologue" && done.is_ok()).then(|| gate.introduce());
    match done {
        Ok(nodes) => peer.send(&wire::result(iq, nodes)),
        Err(code) => peer.send(&wire::refusal(iq, code, "not-acceptable")),
    }
    if let Some(next) = next {
        peer.send(&next);
    }
    true
}

#[expect(clippy::needless_pass_by_value, reason = "for `map_err`")]
fn refused(error: anyhow::Error) -> u16 {
    tracing::info!(%error, "a client does not pass the passkey gate");
    406
}

impl Gate {
    fn options(&self, account: &Account) -> String {
        json!({
            "challenge": BASE64URL.encode(self.challenge),
            "rpId": RP_ID,
            "timeout": 60_000,
            "userVerification": "required",
            "allowCredentials": [{ "type": "public-key", "id": BASE64URL.encode(credential_id(account)) }],
        })
        .to_string()
    }

    /// Checks that the assertion is by the account's passkey and over our challenge.
    fn prologue(&mut self, account: &Account, prologue: &Node) -> anyhow::Result<()> {
        ensure!(wire::child_bytes(prologue, "credential_id") == credential_id(account), "another passkey");
        let assertion: Value = serde_json::from_slice(wire::child_bytes(prologue, "webauthn_assertion"))?;
        let part = |name: &str| {
            let text = assertion["response"][name].as_str().with_context(|| format!("no {name}"))?;
            BASE64URL.decode(text).with_context(|| format!("malformed {name}"))
        };
        let (client, data, signature) = (part("clientDataJSON")?, part("authenticatorData")?, part("signature")?);
        let said: Value = serde_json::from_slice(&client)?;
        ensure!(said["challenge"] == BASE64URL.encode(self.challenge), "another challenge");
        ensure!(said["origin"] == ORIGIN && said["type"] == "webauthn.get", "another purpose");
        let key = &account.identity.pair.public_key;
        ensure!(key.verify_signature(&signed(&data, &client)?, &signature), "the passkey's signature is wrong");
        let payload = wa::ProloguePayload::decode_from_slice(wire::child_bytes(prologue, "prologue_payload"))?;
        let commitment = payload.commitment.as_option().and_then(|c| c.hash.clone()).context("no commitment")?;
        let identity = payload.companion_ephemeral_identity.context("no identity")?;
        self.client = Some(Client { identity, commitment, revealed: false });
        Ok(())
    }

    /// The phone's part of the key agreement.
    fn introduce(&self) -> Node {
        let identity = wa::PrimaryEphemeralIdentity {
            public_key: Some(keys::public_bytes(&self.ephemeral.public_key).to_vec()),
            nonce: Some(self.nonce.to_vec()),
        };
        notification("crsc_continuation", vec![wire::leaf("primary_ephemeral_identity", identity.encode_to_vec())])
    }

    /// Checks the nonce that the client reveals against its commitment. From now on both sides show the same code.
    fn reveal(&mut self, account: &Account, nonce: &[u8]) -> anyhow::Result<()> {
        let client = self.client.as_mut().context("no prologue")?;
        let nonce: [u8; 32] = nonce.try_into().context("nonce of wrong length")?;
        let hash = ShortcakeUtils::commitment_hash(&client.identity, &nonce);
        ensure!(hash[..] == client.commitment[..], "not what it had committed itself to");
        client.revealed = true;
        let own = keys::public_bytes(&self.ephemeral.public_key);
        let code = ShortcakeUtils::derive_verification_code(&nonce, &own, &self.nonce);
        *lock(&account.passkey_code) = Some(format!("{}-{}", &code[..4], &code[4..]));
        Ok(())
    }

    /// Opens the client's pairing request. Returns the secret with which its identity must be sealed.
    fn open(&self, request: &[u8], noise_key: &[u8; 32], identity_key: &[u8; 32]) -> anyhow::Result<Vec<u8>> {
        let client = self.client.as_ref().filter(|c| c.revealed).context("not revealed yet")?;
        let identity = wa::CompanionEphemeralIdentity::decode_from_slice(&client.identity)?;
        ensure!(identity.r#ref.as_deref() == Some(self.reference.as_str()), "another reference");
        let theirs: [u8; 32] = identity.public_key.unwrap_or_default().as_slice().try_into()?;
        let device_type = identity.device_type.context("no device type")?;
        let key = ShortcakeUtils::derive_encryption_key(&self.ephemeral, &theirs, device_type, &self.reference)?;
        let request = wa::EncryptedPairingRequest::decode_from_slice(request)?;
        let iv: [u8; 12] = request.iv.unwrap_or_default().as_slice().try_into()?;
        let mut opened = Vec::new();
        aes_256_gcm_decrypt(&key, &iv, b"", &request.encrypted_payload.unwrap_or_default(), &mut opened)
            .map_err(|_| anyhow::anyhow!("the pairing request does not open"))?;
        let request = wa::PairingRequest::decode_from_slice(&opened)?;
        ensure!(request.companion_public_key.as_deref() == Some(&noise_key[..]), "another client's key");
        ensure!(request.companion_identity_key.as_deref() == Some(&identity_key[..]), "another client's identity");
        request.adv_secret.filter(|secret| secret.len() == 32).context("no secret")
    }
}

/// Starts the linking of the client by the phone.
fn admit(
    world: &Arc<World>,
    account: &Arc<Account>,
    socket: &Socket,
    identity_key: [u8; 32],
    secret: Vec<u8>,
) -> Vec<Node> {
    let (world, account, socket) = (Arc::clone(world), Arc::clone(account), socket.clone());
    *lock(&account.passkey_code) = None;
    tokio::spawn(async move {
        tokio::time::sleep(PHONE_TAKES).await;
        if let Err(error) = pair::link(&world, &account, &socket, &identity_key, &secret).await {
            tracing::warn!(%error, "a client that had passed the passkey gate was not linked");
        }
    });
    vec![]
}

fn credential_id(account: &Account) -> Vec<u8> {
    account.identity.public()[..16].to_vec()
}

fn sha256(bytes: &[u8]) -> anyhow::Result<Vec<u8>> {
    let mut hash = CryptographicHash::new("SHA-256")?;
    hash.update(bytes);
    Ok(hash.finalize())
}

/// The bytes that a passkey signs.
fn signed(authenticator_data: &[u8], client_data: &[u8]) -> anyhow::Result<Vec<u8>> {
    Ok([authenticator_data, &sha256(client_data)?].concat())
}

/// The credential of the phone's passkey for these request options, in the form of a browser. The simulator's passkeys
/// sign with the phone's identity key. Real ones have keys of their own.
pub(crate) fn present(account: &Account, options: &Value) -> anyhow::Result<Value> {
    let challenge = options["challenge"].as_str().context("no challenge")?;
    ensure!(options["rpId"] == RP_ID, "the passkey is for {RP_ID}");
    let id = BASE64URL.encode(credential_id(account));
    let allowed = options["allowCredentials"].as_array().is_none_or(|all| all.iter().any(|one| one["id"] == id));
    ensure!(allowed, "no passkey of this phone is allowed");
    let client = json!({ "type": "webauthn.get", "challenge": challenge, "origin": ORIGIN }).to_string();
    // relying party, flags (present, verified), counter
    let data = [&sha256(RP_ID.as_bytes())?[..], &[0b101], &[0; 4]].concat();
    let signature = account.identity.pair.calculate_signature(&signed(&data, client.as_bytes())?, &mut keys::rng())?;
    Ok(json!({
        "id": id,
        "rawId": id,
        "type": "public-key",
        "response": {
            "clientDataJSON": BASE64URL.encode(client),
            "authenticatorData": BASE64URL.encode(data),
            "signature": BASE64URL.encode(signature),
            "userHandle": BASE64URL.encode(&account.number),
        },
    }))
}
