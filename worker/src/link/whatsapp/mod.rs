//! Links to the real WhatsApp, made with the client library `whatsapp-rust`.
//!
//! We switch off the library's own reconnect, so that its run loop ends with the connection. After 515 (which follows a
//! successful pairing) the loop ends without an event. That end, and any other end after a pairing, is reported as
//! [`CloseReason::RestartRequired`](super::CloseReason::RestartRequired).

use std::sync::Arc;

use anyhow::Context as _;
use async_trait::async_trait;
use store::seal::Sealer;

use store::Store;
use store::credentials::CredentialStore;
use tokio::sync::{mpsc, watch};
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use wacore::store::DevicePropsOverride;
use wacore::store::traits::DeviceStore as _;
use waproto::whatsapp::device_props::PlatformType;
use whatsapp_rust::bot::Bot;
use whatsapp_rust::{CacheConfig, CacheEntryConfig, MsgSecretPolicy, TokioRuntime};

use super::credentials::AccountBackend;
use super::{CALL_TIMEOUT, Connector, Link, LinkError, LinkEvents, OpenSpec};
use crate::config::Config;

pub mod address;
mod ask_again;
mod connection;
mod frames;
mod http;
mod observer;
mod passkey;
mod silence;
mod supervise;
mod transport;
pub mod version;

use ask_again::Asked;
use connection::Connection;
use observer::{Inbound, Journal, Observer};
use supervise::Supervised;
use transport::{Address, Dialer};
use version::WebVersion;

/// How many sent messages per account stay in memory for retry receipts. The store has all of them as well. With a
/// number above zero, the library writes to the store in the background of a send.
const RECENT_MESSAGES: u64 = 64;

/// The settings of a connector.
#[derive(Debug)]
pub struct Settings {
    /// WhatsApp's address. Check it with [`address::check_url`] first.
    pub url: String,
    /// The version of WhatsApp Web that we report.
    pub version: WebVersion,
    /// How many one-time keys each account keeps at WhatsApp. Each is a record in the store.
    pub pre_keys: usize,
}

/// Opens links to WhatsApp.
pub struct WhatsApp {
    store: Store,
    sealer: Arc<Sealer>,
    address: Address,
    version: WebVersion,
    pre_keys: usize,
}

impl WhatsApp {
    /// Creates a connector that keeps credentials in `store`.
    ///
    /// # Errors
    /// If the URL is malformed.
    pub fn new(store: Store, sealer: Arc<Sealer>, settings: Settings) -> anyhow::Result<Self> {
        let address = Address::parse(&settings.url).context("WhatsApp's URL")?;
        Ok(Self { store, sealer, address, version: settings.version, pre_keys: settings.pre_keys })
    }

    async fn build(&self, spec: &OpenSpec, backend: Arc<AccountBackend>, parts: Parts) -> Result<Bot, LinkError> {
        let device = backend.load().await.map_err(|error| unreadable(&backend, &parts.fenced, &error))?;
        let version = self.version.current().await;
        let is_new = device.as_ref().is_none_or(|known| known.pn.is_none());
        let mut builder = Bot::builder()
            .with_backend_arc(Arc::clone(&backend) as _)
            .with_transport_factory(parts.dialer.pairing(is_new))
            .with_http_client(http::NoHttp)
            .with_runtime(TokioRuntime)
            .with_version(version)
            .with_wanted_pre_key_count(self.pre_keys)
            .with_cache_config(caches())
            .with_event_handler(parts.observer)
            .with_inbound_durability_hook(parts.inbound)
            .skip_history_sync();
        if device.as_ref().is_none_or(|known| known.push_name.is_empty()) {
            builder = builder.with_push_name(spec.label.clone());
        }
        if is_new {
            // The phone shows this in its list of linked devices.
            let shown = DevicePropsOverride::new().with_os(spec.label.clone()).with_platform_type(PlatformType::CHROME);
            builder = builder.with_device_props(shown);
        }
        builder.build().await.map_err(|error| match backend.unknown_key() {
            _ if parts.fenced.is_cancelled() => LinkError::Fenced,
            Some(key) => LinkError::UnknownKey(key),
            None => LinkError::Failed(error.to_string()),
        })
    }
}

/// Our parts that the client library calls.
struct Parts {
    dialer: Dialer,
    observer: Observer,
    inbound: Inbound,
    fenced: CancellationToken,
}

fn unreadable(
    backend: &AccountBackend,
    fenced: &CancellationToken,
    error: &wacore::store::error::StoreError,
) -> LinkError {
    use std::error::Error as _;
    if fenced.is_cancelled() {
        return LinkError::Fenced;
    }
    if let Some(key) = backend.unknown_key() {
        return LinkError::UnknownKey(key);
    }
    let cause = error.source().map_or_else(|| error.to_string(), ToString::to_string);
    LinkError::Failed(format!("the credentials could not be read: {cause}"))
}

/// Message secrets are not kept. They serve votes in polls and edits of messages, which the gateway does not read, and
/// would cost a write per message.
fn caches() -> CacheConfig {
    CacheConfig {
        recent_messages: CacheEntryConfig::new(None, RECENT_MESSAGES),
        msg_secret_policy: MsgSecretPolicy::Disabled,
        seed_msg_secrets_from_history: false,
        ..CacheConfig::default()
    }
}

#[async_trait]
impl Connector for WhatsApp {
    async fn open(&self, spec: OpenSpec, events: LinkEvents) -> Result<Arc<dyn Link>, LinkError> {
        let fenced = CancellationToken::new();
        let store = CredentialStore::new(self.store.under(spec.fence), Arc::clone(&self.sealer));
        let (missed_in, missed_out) = mpsc::unbounded_channel();
        let backend = Arc::new(AccountBackend::new(store, fenced.clone(), missed_in));
        let sender = Arc::new(events.sender(spec.serial));
        let journal = Arc::new(Journal::default());
        let presenting = watch::Sender::new(false);
        let (dialer, live) = Dialer::new(self.address.clone(), presenting.subscribe(), spec.may_act.clone());
        let asked = Asked::default();
        let observer = Observer::new(Arc::clone(&sender), Arc::clone(&journal), asked.clone());
        let client_slot = observer.client_slot();
        let inbound = Inbound::new(Arc::clone(&sender), Arc::clone(&journal), Arc::clone(&backend));
        let parts = Parts { dialer, observer, inbound, fenced: fenced.clone() };
        let building = self.build(&spec, Arc::clone(&backend), parts);
        let bot = timeout(CALL_TIMEOUT, building).await.map_err(|_| LinkError::Timeout)??;
        let client = bot.client();
        let _ = client_slot.set(Arc::downgrade(&client));
        tokio::spawn(ask_again::ask_again(Arc::downgrade(&client), asked, missed_out));
        let (connection, orders) =
            Connection::new(Arc::clone(&client), Arc::clone(&sender), Arc::clone(&journal), presenting);
        let supervised = Supervised { client, sender, journal, live, backend, fenced, orders };
        tokio::spawn(supervised.run(bot));
        Ok(Arc::new(connection))
    }
}

/// Creates the connector that the configuration describes, with a connection pool of its own.
///
/// # Errors
/// If the configuration names a refused address, a malformed version or bad keys.
pub fn from_config(config: &Config) -> anyhow::Result<Arc<dyn Connector>> {
    address::check_url(&config.whatsapp_url, config.allow_public_simulator)?;
    let sealer = Arc::new(Sealer::parse(&config.credential_keys.0).context("CREDENTIAL_KEYS")?);
    let version = match &config.whatsapp_version {
        Some(text) => WebVersion::parse(text).context("WHATSAPP_VERSION")?,
        None => WebVersion::fetched(),
    };
    let size = config.connections().credentials;
    let pool = store::connect_impatiently(&config.database.url, size).context("DATABASE_URL")?;
    let settings = Settings { url: config.whatsapp_url.clone(), version, pre_keys: usize::try_from(config.pre_keys)? };
    Ok(Arc::new(WhatsApp::new(Store::from(pool), sealer, settings)?))
}
