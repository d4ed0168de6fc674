//! Linking by an eight-character code: the client's hello, the phone's answer, and the client's key bundle.

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, ensure};
use tokio::sync::oneshot;
use wacore::libsignal::crypto::aes_256_gcm_decrypt;
use wacore::libsignal::protocol::{KeyPair, PublicKey};
use wacore::pair_code::PairCodeUtils;
use wacore_binary::Node;
use wacore_binary::builder::NodeBuilder;

use super::pair;
use crate::peer::{Peer, Role};
use crate::socket::{Command, Socket};
use crate::sync::lock;
use crate::world::World;
use crate::world::account::Account;
use crate::world::address::Address;
use crate::world::offers::CodePairing;
use crate::{clock, keys, wire};

const BUNDLE_TIMEOUT: Duration = Duration::from_secs(20);
const WRAPPED_KEY_LEN: usize = 80;
const SALT_LEN: usize = 32;
const NONCE_LEN: usize = 12;

/// Handles a `<link_code_companion_reg>` request.
pub(super) fn handle(peer: &mut Peer, iq: &Node, registration: &Node) {
    let stage = wire::string(registration, "stage");
    let answer = match stage.as_str() {
        "companion_hello" => hello(peer, iq, registration),
        "companion_finish" => finish(peer, iq, registration),
        _ => None,
    };
    let answer = answer.unwrap_or_else(|| wire::refusal(iq, 400, "bad-request"));
    peer.send(&answer);
}

fn account_of(peer: &Peer, registration: &Node) -> Option<Arc<Account>> {
    let jid = wire::string(registration, "jid");
    let number = jid.split('@').next()?;
    peer.world.touch(number)
}

fn hello(peer: &Peer, iq: &Node, registration: &Node) -> Option<Node> {
    let Role::Pairing(pairing) = &peer.role else {
        return None;
    };
    let account = account_of(peer, registration)?;
    let wrapped = wire::child_bytes(registration, "link_code_pairing_wrapped_companion_ephemeral_pub");
    let noise_key = wire::child_bytes(registration, "companion_server_auth_key_pub");
    if wrapped.len() != WRAPPED_KEY_LEN || noise_key != pairing.noise_key {
        return None;
    }
    let reference = keys::random_bytes::<16>().to_vec();
    *lock(&account.code_pairing) = Some(CodePairing {
        reference: reference.clone(),
        wrapped_ephemeral: wrapped.to_vec(),
        socket: peer.socket.clone(),
        identity_key: pairing.identity_key,
        bundle: None,
    });
    let answer = NodeBuilder::new("link_code_companion_reg")
        .attr("stage", "companion_hello")
        .children([wire::leaf("link_code_pairing_ref", reference)])
        .build();
    Some(wire::result(iq, [answer]))
}

fn finish(peer: &Peer, iq: &Node, registration: &Node) -> Option<Node> {
    let account = account_of(peer, registration)?;
    let reference = wire::child_bytes(registration, "link_code_pairing_ref");
    let bundle = wire::child_bytes(registration, "link_code_pairing_wrapped_key_bundle");
    let mut pairing = lock(&account.code_pairing);
    let waiting = pairing.as_mut().filter(|p| p.reference == reference)?;
    waiting.bundle.take()?.send(bundle.to_vec()).ok()?;
    Some(wire::result(iq, []))
}

/// Enters a code on the phone. The phone opens the client's key with it, answers with its own key, and links the client
/// if the returned key bundle can be opened. Only that last step reveals a wrong code.
pub(crate) async fn enter(world: &Arc<World>, account: &Arc<Account>, code: &str) -> anyhow::Result<Address> {
    let code: String = code.chars().filter(char::is_ascii_alphanumeric).map(|c| c.to_ascii_uppercase()).collect();
    ensure!(PairCodeUtils::validate_code(&code), "a code has eight characters");
    let (sender, bundle) = oneshot::channel();
    let (reference, wrapped, socket, identity_key) = {
        let mut pairing = lock(&account.code_pairing);
        let pairing = pairing.as_mut().context("no client waits for a code on this phone")?;
        pairing.bundle = Some(sender);
        (pairing.reference.clone(), pairing.wrapped_ephemeral.clone(), pairing.socket.clone(), pairing.identity_key)
    };
    let ephemeral = keys::generate();
    let own_public = keys::public_bytes(&ephemeral.public_key);
    // deriving the key deliberately takes a tenth of a second, twice
    let (theirs, ours) = tokio::task::spawn_blocking(move || {
        let theirs = PairCodeUtils::decrypt_primary_ephemeral_pub(&wrapped, &code)?;
        let ours = PairCodeUtils::encrypt_ephemeral_pub(&own_public, &code);
        anyhow::Ok((theirs, ours))
    })
    .await??;
    let notification = primary_hello(account, &reference, &ours);
    ensure!(socket.tell(Command::Send(Box::new(notification))), "the client that asked for the code has gone");
    let bundle = tokio::time::timeout(BUNDLE_TIMEOUT, bundle)
        .await
        .context("the client did not answer the code")?
        .context("the client asked for another code meanwhile")?;
    let adv_secret = open_bundle(account, &ephemeral, &theirs, &identity_key, &bundle)?;
    let address = pair::link(world, account, &socket, &identity_key, &adv_secret).await?;
    *lock(&account.code_pairing) = None;
    Ok(address)
}

fn primary_hello(account: &Account, reference: &[u8], wrapped: &[u8]) -> Node {
    let hello = NodeBuilder::new("link_code_companion_reg")
        .attr("stage", "primary_hello")
        .children([
            wire::leaf("link_code_pairing_wrapped_primary_ephemeral_pub", wrapped),
            wire::leaf("primary_identity_pub", account.identity.public()),
            wire::leaf("link_code_pairing_ref", reference),
        ])
        .build();
    NodeBuilder::new("notification")
        .attr("from", wire::server_jid())
        .attr("type", "link_code_companion_reg")
        .attr("id", keys::message_id())
        .attr("t", clock::unix_s())
        .children([hello])
        .build()
}

/// Opens the client's bundle and derives the secret that both sides share then.
fn open_bundle(
    account: &Account,
    ephemeral: &KeyPair,
    their_ephemeral: &[u8; 32],
    their_identity: &[u8; 32],
    wrapped: &[u8],
) -> anyhow::Result<[u8; 32]> {
    let (salt, rest) = wrapped.split_at_checked(SALT_LEN).context("short key bundle")?;
    let (nonce, sealed) = rest.split_at_checked(NONCE_LEN).context("short key bundle")?;
    let shared = ephemeral.calculate_agreement(&PublicKey::from_djb_public_key_bytes(their_ephemeral)?)?;
    let mut key = [0; 32];
    let derived = "link_code_pairing_key_bundle_encryption_key";
    wacore::crypto::hkdf_sha256_into(&shared, Some(salt), derived.as_bytes(), &mut key)?;
    let mut opened = Vec::new();
    aes_256_gcm_decrypt(&key, nonce.try_into()?, b"", sealed, &mut opened)
        .map_err(|_| anyhow::anyhow!("wrong code: the client's key bundle does not open"))?;
    ensure!(opened.len() == 96, "key bundle of wrong length");
    ensure!(
        opened[..32] == their_identity[..] && opened[32..64] == account.identity.public(),
        "the key bundle is for other identities"
    );
    let identity_shared =
        account.identity.pair.calculate_agreement(&PublicKey::from_djb_public_key_bytes(their_identity)?)?;
    let combined = [&shared[..], &identity_shared, &opened[64..]].concat();
    let mut secret = [0; 32];
    wacore::crypto::hkdf_sha256_into(&combined, None, b"adv_secret", &mut secret)?;
    Ok(secret)
}

/// The client that waits for a code on this phone.
pub(crate) fn waiting(account: &Account) -> Option<Socket> {
    lock(&account.code_pairing).as_ref().map(|pairing| pairing.socket.clone())
}

/// Whether a client waits for a code on this phone.
pub(crate) fn is_awaited(account: &Account) -> bool {
    lock(&account.code_pairing).is_some()
}
