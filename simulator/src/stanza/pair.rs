//! Linking a new companion: the references for its QR code, the phone's signature, and the device's countersignature.

use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use buffa::Message;
use tokio::sync::oneshot;
use wacore::pair::PairUtils;
use wacore_binary::builder::NodeBuilder;
use wacore_binary::{Jid, Node};
use waproto::whatsapp::{self as wa, client_payload::DevicePairingRegistrationData};

use crate::bundle::SignedKey;
use crate::fault::Kind;
use crate::handshake::Introduction;
use crate::pairing::{Link, Pairing};
use crate::peer::{Peer, Role};
use crate::phone::identity::Identity;
use crate::socket::{Command, Ending, Socket};
use crate::world::World;
use crate::world::account::Account;
use crate::world::address::Address;
use crate::world::device::Companion;
use crate::world::offers::Offer;
use crate::{clock, keys, wire};

/// How long the client shows the first reference, and each later one.
const FIRST_REFERENCE: Duration = Duration::from_secs(60);
const NEXT_REFERENCE: Duration = Duration::from_secs(20);
/// How long a code may still be scanned after it has changed.
const REFERENCE_GRACE: Duration = Duration::from_secs(10);
/// The highest number of references of one connection.
const REFERENCES_MAX: usize = 20;
/// How long the client may take to countersign.
const LINK_TIMEOUT: Duration = Duration::from_secs(20);

impl Pairing {
    pub(super) fn new(
        introduction: &Introduction,
        registration: &DevicePairingRegistrationData,
    ) -> anyhow::Result<Self> {
        let bytes = |field: &Option<Vec<u8>>| field.clone().unwrap_or_default();
        let props = wa::DeviceProps::decode_from_slice(&bytes(&registration.device_props)).unwrap_or_default();
        let platform = props.platform_type.map_or_else(|| "UNKNOWN".to_owned(), |kind| format!("{kind:?}"));
        Ok(Self {
            noise_key: introduction.client_static,
            identity_key: bytes(&registration.e_ident)
                .try_into()
                .map_err(|_| anyhow::anyhow!("identity key of wrong length"))?,
            registration_id: keys::be_u32(&bytes(&registration.e_regid)),
            signed: SignedKey {
                id: keys::be_u32(&bytes(&registration.e_skey_id)),
                public: bytes(&registration.e_skey_val),
                signature: bytes(&registration.e_skey_sig),
            },
            push_name: introduction.payload.push_name.clone().unwrap_or_default(),
            platform: match props.os {
                Some(os) if !os.is_empty() => format!("{platform} ({os})"),
                _ => platform,
            },
            offered: None,
            gate: None,
        })
    }
}

/// Sends the references from which the client makes its QR codes.
pub(super) fn offer_references(peer: &mut Peer) {
    let world = Arc::clone(&peer.world);
    let Role::Pairing(pairing) = &peer.role else {
        return;
    };
    let faults = &world.faults;
    if faults.take(Kind::NoQr, "", 0).is_some() {
        return;
    }
    let count = match faults.take(Kind::QrRefs, "", 0) {
        Some(order) => usize::try_from(order.count.unwrap_or(1)).unwrap_or(REFERENCES_MAX),
        None => world.config.qr_refs,
    };
    let now = Instant::now();
    let mut expires = now + FIRST_REFERENCE + REFERENCE_GRACE;
    let mut references = Vec::new();
    for _ in 0..count.min(REFERENCES_MAX) {
        let reference = format!("2@{}", keys::encode64(&keys::random_bytes::<48>()));
        references.push(wire::leaf("ref", reference.as_bytes()));
        let offer = Offer {
            socket: peer.socket.clone(),
            noise_key: pairing.noise_key,
            push_name: pairing.push_name.clone(),
            identity_key: pairing.identity_key,
            valid: now..expires,
        };
        world.offer(reference, offer);
        expires += NEXT_REFERENCE;
    }
    let iq = request("pair", [wire::branch("pair-device", references)]);
    peer.send(&iq);
}

fn request(prefix: &str, nodes: impl IntoIterator<Item = Node>) -> Node {
    NodeBuilder::new("iq")
        .attr("from", wire::server_jid())
        .attr("type", "set")
        .attr("xmlns", "md")
        .attr("id", format!("{prefix}-{}", keys::message_id()))
        .attr("t", clock::unix_s())
        .children(nodes)
        .build()
}

/// The content of a scanned QR code after all checks.
pub(crate) struct Scanned {
    pub(crate) offer: Offer,
    adv_secret: Vec<u8>,
}

/// Parses a QR code and checks it against the connection that offered its reference.
pub(crate) fn read_qr(world: &World, text: &str) -> anyhow::Result<Scanned> {
    let text = text.trim();
    let (reference, noise_key, identity_key) = PairUtils::parse_qr_code(text)?;
    let adv_secret = keys::decode64(text.split(',').nth(3).unwrap_or_default())?;
    ensure!(adv_secret.len() == 32, "the QR code's secret has a wrong length");
    let offer = world.find_offer(&reference).context("unknown or expired QR reference")?;
    ensure!(offer.valid.contains(&Instant::now()), "the QR reference has expired");
    ensure!(offer.noise_key == noise_key, "the QR code's noise key is not the key of the connection that offered it");
    ensure!(offer.identity_key == identity_key, "the QR code's identity key is not the key that was registered");
    Ok(Scanned { offer, adv_secret })
}

/// Links the client whose QR code the phone has scanned.
pub(crate) async fn link_scanned(
    world: &Arc<World>,
    account: &Arc<Account>,
    scanned: &Scanned,
) -> anyhow::Result<Address> {
    let offer = &scanned.offer;
    link(world, account, &offer.socket, &offer.identity_key, &scanned.adv_secret).await
}

/// Signs the companion's identity and waits until the client has countersigned it.
pub(super) async fn link(
    world: &Arc<World>,
    account: &Arc<Account>,
    socket: &Socket,
    identity_key: &[u8; 32],
    adv_secret: &[u8],
) -> anyhow::Result<Address> {
    let device = world.reserve_device(account);
    let signed = account.identity.sign_companion(identity_key, u32::from(device))?;
    let (done, answer) = oneshot::channel();
    let link = Link {
        number: account.number.clone(),
        device,
        sealed: Identity::seal(&signed, adv_secret)?,
        details: signed.details.unwrap_or_default(),
        done,
    };
    ensure!(socket.tell(Command::Link(Box::new(link))), "the client that offered this has gone");
    tokio::time::timeout(LINK_TIMEOUT, answer)
        .await
        .context("the client did not countersign in time")?
        .context("the client went away")?
        .map_err(|reason| anyhow::anyhow!(reason))
}

/// Sends `pair-success` to the client.
pub(crate) fn offer_link(peer: &mut Peer, link: Link) {
    let jid = Address::new(&link.number, link.device).jid();
    let lid = Jid::lid_device(peer.world.lid_of(&link.number), link.device);
    let success = wire::branch(
        "pair-success",
        [
            wire::leaf("device-identity", link.sealed.clone()),
            NodeBuilder::new("device").attr("jid", jid).attr("lid", lid).build(),
            NodeBuilder::new("platform").attr("name", "android").build(),
        ],
    );
    let iq = request("linked", [success]);
    let id = wire::string(&iq, "id");
    let Role::Pairing(pairing) = &mut peer.role else {
        let _ = link.done.send(Err("the client has logged in".to_owned()));
        return;
    };
    if pairing.offered.is_some() {
        let _ = link.done.send(Err("the client is being linked already".to_owned()));
        return;
    }
    pairing.offered = Some((id, link));
    peer.send(&iq);
}

/// Handles the client's answer to one of our requests, which is always `pair-success`.
pub(super) fn answered(peer: &mut Peer, iq: &Node) {
    let Role::Pairing(pairing) = &mut peer.role else {
        return;
    };
    let id = wire::string(iq, "id");
    let Some((_, link)) = pairing.offered.take_if(|(offered, _)| *offered == id) else {
        return;
    };
    let world = &peer.world;
    let account = world.account(&link.number).context("the phone has gone");
    let linked = account.and_then(|account| Ok((countersigned(pairing, &account, &link, iq)?, account)));
    match linked {
        Ok((companion, account)) => {
            let address = Address::new(&link.number, link.device);
            world.link(&account, companion);
            let _ = link.done.send(Ok(address));
            // the client reconnects as the linked device
            peer.ending = Some(Ending::stream_error(515));
        }
        Err(error) => {
            let _ = link.done.send(Err(format!("{error:#}")));
            peer.ending = Some(Ending::closed("pairing_failed"));
        }
    }
}

fn countersigned(pairing: &Pairing, account: &Account, link: &Link, iq: &Node) -> anyhow::Result<Companion> {
    if let Some(error) = wire::child(iq, "error") {
        anyhow::bail!("the client refused the link: {} {}", wire::string(error, "code"), wire::string(error, "text"));
    }
    let answer = wire::child(iq, "pair-device-sign").context("no signature came back")?;
    let signed = wire::child_bytes(answer, "device-identity");
    let mut identity = wa::ADVSignedDeviceIdentity::decode_from_slice(signed)?;
    let details = identity.details.as_deref().unwrap_or_default();
    ensure!(details == link.details, "the client signed something else");
    let signature = identity.device_signature.as_deref().unwrap_or_default();
    let phone = &account.identity;
    ensure!(phone.is_countersigned(details, &pairing.identity_key, signature), "the device's signature is wrong");
    // some clients leave out the account's key, but devices that fetch the device's keys need it
    identity.account_signature_key = Some(phone.public().to_vec());
    Ok(Companion {
        device: link.device,
        key_index: u32::from(link.device),
        platform: pairing.platform.clone(),
        push_name: pairing.push_name.clone(),
        noise_key: pairing.noise_key,
        identity_key: pairing.identity_key,
        registration_id: pairing.registration_id,
        signed: pairing.signed.clone(),
        one_time: std::collections::VecDeque::new(),
        device_identity: identity.encode_to_vec(),
        linked_at_s: clock::unix_s(),
        key_shared: false,
        queue: crate::world::queue::Queue::default(),
        socket: None,
    })
}
