//! Tests of the library's store traits on Postgres: what they promise beyond put and get.

use std::sync::Arc;

use bytes::Bytes;
use domain::id::TenantId;
use kit::{Line, Proxy};
use sqlx::PgPool;
use store::audit::Operator;
use store::inbound::{self, Inbound};
use store::seal::Sealer;
use store::{Fence, Store, accounts, tenants};
use wacore::appstate::processor::AppStateMutationMAC;
use wacore::store::Device;
use wacore::store::traits::{
    AppStateSyncKey, AppSyncStore, DeviceInfo, DeviceListRecord, DeviceStore, LidPnMappingEntry, MsgSecretEntry,
    MsgSecretStore, PendingInboundKey, PendingInboundRow, ProtocolStore, SignalStore, TcTokenEntry,
};

use super::*;

async fn backend(pool: &PgPool) -> AccountBackend {
    let store = Store::from(pool.clone());
    let tenant = TenantId::new();
    tenants::create(store.of(tenant), "tenant", store::audit::Operator::System("test")).await.unwrap();
    let account = accounts::create(store.of(tenant), "account", Operator::System("test")).await.unwrap();
    again(pool, Fence { account: account.id, epoch: 0 })
}

/// The same account in another worker.
fn again(pool: &PgPool, fence: Fence) -> AccountBackend {
    let sealer = Sealer::parse("a:BwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwc=").unwrap();
    let store = Store::from(pool.clone());
    AccountBackend::new(
        CredentialStore::new(store.under(fence), Arc::new(sealer)),
        CancellationToken::new(),
        mpsc::unbounded_channel().0,
    )
}

#[sqlx::test(migrator = "store::MIGRATOR")]
async fn the_device_comes_back_as_it_was(pool: PgPool) {
    let backend = backend(&pool).await;
    assert!(!backend.exists().await.unwrap());
    backend.create().await.unwrap();
    let mut device = backend.load().await.unwrap().unwrap();
    device.pn = Some("49151:3@s.whatsapp.net".parse().unwrap());
    device.push_name = "Front desk".to_owned();
    backend.save(&device).await.unwrap();
    backend.create().await.unwrap();
    let read = again(&pool, backend.store.fence()).load().await.unwrap().unwrap();
    let bytes = |device: &Device| serde_json::to_string(device).unwrap();
    assert_eq!(bytes(&read), bytes(&device), "creating again changes nothing");
}

#[sqlx::test(migrator = "store::MIGRATOR")]
async fn signal_state(pool: PgPool) {
    let backend = backend(&pool).await;
    let address: Arc<str> = "49151:3@s.whatsapp.net.0".into();
    backend.put_sessions_batch(&[(Arc::clone(&address), Bytes::from_static(b"s"))]).await.unwrap();
    assert_eq!(backend.get_session(&address).await.unwrap().as_deref(), Some(&b"s"[..]));
    assert!(backend.has_session(&address).await.unwrap());
    assert!(backend.has_signal_state_for_user("49151").await.unwrap());
    assert!(!backend.has_signal_state_for_user("4915").await.unwrap());
    backend.delete_session(&address).await.unwrap();
    backend.put_identities_batch(&[(address, [7; 32])]).await.unwrap();
    assert!(backend.has_signal_state_for_user("49151").await.unwrap());

    let keys = [(9, Bytes::from_static(b"nine")), (10, Bytes::from_static(b"ten"))];
    backend.store_prekeys_batch(&keys, false).await.unwrap();
    backend.remove_prekey(9).await.unwrap();
    backend.mark_prekeys_uploaded(&[9, 10]).await.unwrap();
    assert_eq!(backend.load_prekeys_batch(&[9, 10, 11]).await.unwrap(), [(10, Bytes::from_static(b"ten"))]);
    assert_eq!(backend.get_max_prekey_id().await.unwrap(), 10);
}

#[sqlx::test(migrator = "store::MIGRATOR")]
async fn contact_tokens_move_forward_only(pool: PgPool) {
    let backend = backend(&pool).await;
    let jid = "100@lid";
    let held = async |backend: &AccountBackend| {
        let entry: Option<TcTokenEntry> = backend.get_tc_token(jid).await.unwrap();
        entry.map(|e| (e.token, e.token_timestamp, e.sender_timestamp))
    };
    assert_eq!(held(&backend).await, None);
    backend.touch_tc_token_sender_timestamp(jid, 50).await.unwrap();
    backend.touch_tc_token_sender_timestamp(jid, 40).await.unwrap();
    assert_eq!(held(&backend).await, Some((vec![], 50, Some(50))));
    backend.store_received_tc_token(jid, b"t", 30).await.unwrap();
    backend.store_received_tc_token(jid, b"old", 20).await.unwrap();
    assert_eq!(held(&backend).await, Some((b"t".to_vec(), 30, Some(50))));
    assert_eq!(held(&again(&pool, backend.store.fence())).await, Some((b"t".to_vec(), 30, Some(50))));
    assert_eq!(backend.delete_expired_tc_tokens(100, 45).await.unwrap(), 0, "the sender's half lives");
    assert_eq!(backend.delete_expired_tc_tokens(100, 100).await.unwrap(), 1);
    assert_eq!(held(&backend).await, None);
}

#[sqlx::test(migrator = "store::MIGRATOR")]
async fn message_secrets_keep_the_longer_window(pool: PgPool) {
    let backend = backend(&pool).await;
    let entry = |expires_at, message_ts, byte| MsgSecretEntry {
        chat: "c".into(),
        sender: "s".into(),
        msg_id: "m".into(),
        secret: [byte; 32],
        expires_at,
        message_ts,
    };
    backend.put_msg_secrets(vec![entry(100, 5, 1)]).await.unwrap();
    backend.put_msg_secrets(vec![entry(50, 0, 2)]).await.unwrap();
    assert_eq!(backend.get_msg_secret_with_ts("c", "s", "m").await.unwrap(), Some((vec![2; 32], 5)));
    assert_eq!(backend.delete_expired_msg_secrets(99).await.unwrap(), 0);
    backend.put_msg_secrets(vec![entry(0, 0, 2)]).await.unwrap();
    assert_eq!(backend.delete_expired_msg_secrets(1_000).await.unwrap(), 0, "kept for good");
}

#[sqlx::test(migrator = "store::MIGRATOR")]
async fn addresses_and_devices(pool: PgPool) {
    let backend = backend(&pool).await;
    let mapping = |lid: &str, phone: &str| LidPnMappingEntry {
        lid: lid.to_owned(),
        phone_number: phone.to_owned(),
        created_at: 1,
        updated_at: 1,
        learning_source: "usync".to_owned(),
    };
    backend.put_lid_mappings(&[mapping("1", "491"), mapping("2", "492")]).await.unwrap();
    backend.put_lid_mapping(&mapping("1", "493")).await.unwrap();
    assert!(backend.get_pn_mapping("491").await.unwrap().is_none(), "it has moved");
    assert_eq!(backend.get_pn_mapping("493").await.unwrap().unwrap().lid, "1");
    assert_eq!(backend.get_all_lid_mappings().await.unwrap().len(), 2);
    let devices = vec![DeviceInfo::new(0, None), DeviceInfo::new(3, Some(2))];
    let list = DeviceListRecord { user: "491".to_owned(), devices, timestamp: 5, phash: None, raw_id: Some(9) };
    backend.update_device_list(list).await.unwrap();
    assert_eq!(backend.get_devices("491").await.unwrap().unwrap().devices.len(), 2);
    backend.delete_devices("491").await.unwrap();
    assert!(backend.get_devices("491").await.unwrap().is_none());

    backend.set_sender_key_status("g1", &[("a", true), ("b", true)]).await.unwrap();
    backend.set_sender_key_status("g1", &[("b", false)]).await.unwrap();
    backend.set_sender_key_status("g2", &[("a", true)]).await.unwrap();
    assert_eq!(backend.get_sender_key_devices("g1").await.unwrap(), [("a".to_owned(), true), ("b".to_owned(), false)]);
    backend.delete_sender_key_device_rows(&["a"]).await.unwrap();
    assert_eq!(backend.get_sender_key_devices("g1").await.unwrap(), [("b".to_owned(), false)]);
    assert!(backend.get_sender_key_devices("g2").await.unwrap().is_empty());
}

#[sqlx::test(migrator = "store::MIGRATOR")]
async fn sent_and_pending_messages(pool: PgPool) {
    let backend = backend(&pool).await;
    backend.store_sent_message("c", "m", b"sent").await.unwrap();
    assert_eq!(backend.delete_expired_sent_messages(1).await.unwrap(), 0);
    assert_eq!(backend.take_sent_message("c", "m").await.unwrap().as_deref(), Some(&b"sent"[..]));
    assert!(backend.take_sent_message("c", "m").await.unwrap().is_none());
    let row = |id| PendingInboundRow { chat: "c", sender: "s", id, message: b"in" };
    backend.store_pending_inbound_batch(&[row("1"), row("2")]).await.unwrap();
    backend.delete_pending_inbound_batch(&[PendingInboundKey { chat: "c", sender: "s", id: "1" }]).await.unwrap();
    assert!(backend.read(Kind::PendingInbound, &join(&["c", "s", "1"])).await.unwrap().is_none());
    assert_eq!(backend.get_pending_inbound("c", "s", "2").await.unwrap().as_deref(), Some(&b"in"[..]));
    assert_eq!(backend.delete_expired_pending_inbound(i64::MAX).await.unwrap(), 1);
}

#[sqlx::test(migrator = "store::MIGRATOR")]
async fn app_state(pool: PgPool) {
    let backend = backend(&pool).await;
    assert_eq!(backend.get_version("critical_block").await.unwrap().version, 0);
    assert!(backend.get_latest_sync_key_id().await.unwrap().is_none());
    backend.set_sync_key(&[0, 255], AppStateSyncKey::default()).await.unwrap();
    assert_eq!(backend.get_latest_sync_key_id().await.unwrap(), Some(vec![0, 255]));
    let mac = |byte| AppStateMutationMAC { index_mac: vec![byte; 32], value_mac: vec![byte] };
    backend.put_mutation_macs("regular", 1, &[mac(1), mac(2)]).await.unwrap();
    backend.put_mutation_macs("regular_low", 1, &[mac(1)]).await.unwrap();
    let found = backend.get_mutation_macs("regular", &[[1; 32], [3; 32]]).await.unwrap();
    assert_eq!(found.get(&[1; 32]), Some(&vec![1]));
    assert_eq!(found.len(), 1);
    backend.clear_mutation_macs("regular").await.unwrap();
    assert!(backend.get_mutation_mac("regular", &[2; 32]).await.unwrap().is_none());
    assert!(backend.get_mutation_mac("regular_low", &[1; 32]).await.unwrap().is_some());
}

#[sqlx::test(migrator = "store::MIGRATOR")]
async fn a_refused_write_is_signalled(pool: PgPool) {
    let owner = backend(&pool).await;
    let stale = again(&pool, Fence { epoch: -1, ..owner.store.fence() });
    assert!(stale.put_session("a", b"s").await.is_err());
    assert!(stale.fenced.is_cancelled());
    assert!(owner.get_session("a").await.unwrap().is_none());
}

/// R01: a received message and the keys to open one wait for an unreachable database, and the Signal state that used
/// its key up waits behind it. The end of the connection ends the wait.
#[sqlx::test(migrator = "store::MIGRATOR")]
async fn a_received_message_waits_for_the_database(pool: PgPool) {
    let fence = backend(&pool).await.store.fence();
    let options = pool.connect_options();
    let host = format!("{}:{}", options.get_host(), options.get_port());
    let proxy = Proxy::start(tokio::net::lookup_host(host).await.unwrap().next().unwrap()).await.unwrap();
    let through = (*options).clone().host("127.0.0.1").port(proxy.address().port());
    let away = sqlx::postgres::PgPoolOptions::new()
        .acquire_timeout(std::time::Duration::from_millis(200))
        .connect_with(through)
        .await
        .unwrap();
    let backend = Arc::new(again(&away, fence));
    proxy.set(Line::Cut);
    let writes = Arc::clone(&backend);
    // they are asked for in this order
    let written = tokio::spawn(async move {
        tokio::join!(
            writes.store_pending_inbound("c", "s", "1", b"text"),
            writes.put_session("49151:3@s.whatsapp.net.0", b"advanced")
        )
    });
    let reads = Arc::clone(&backend);
    let read = tokio::spawn(async move { reads.load_prekey(1).await });
    tokio::time::sleep(std::time::Duration::from_millis(300)).await;
    let waiting = [written.is_finished(), read.is_finished()];
    assert_eq!(waiting, [false; 2], "none fails while the database is away");
    proxy.set(Line::Through);
    assert!(read.await.unwrap().unwrap().is_none());
    let (kept, state) = written.await.unwrap();
    kept.unwrap();
    state.unwrap();
    assert_eq!(backend.get_pending_inbound("c", "s", "1").await.unwrap().as_deref(), Some(&b"text"[..]));

    proxy.set(Line::Cut);
    let (late, ()) = tokio::join!(backend.store_pending_inbound("c", "s", "2", b"text"), backend.close());
    assert!(late.is_err(), "a connection that has ended keeps nothing more");
}

/// R112: a message whose key is used up is acknowledged if it was stored. Otherwise its sender is asked again, for a day.
#[sqlx::test(migrator = "store::MIGRATOR")]
async fn a_missed_message_is_asked_for_again(pool: PgPool) {
    let mut backend = backend(&pool).await;
    let (missed_in, mut missed) = mpsc::unbounded_channel();
    backend.missed = missed_in;
    for _ in 0..2 {
        assert!(backend.get_pending_inbound("c", "s", "1").await.is_err(), "it is not acknowledged");
        let told = missed.try_recv().unwrap();
        assert_eq!((told.chat.as_str(), told.sender.as_str(), told.id.as_str()), ("c", "s", "1"));
    }
    let stored = Inbound {
        chat: "c".to_owned(),
        sender: "s".to_owned(),
        sender_name: None,
        sender_number: None,
        sender_lid: None,
        whatsapp_id: "1".to_owned(),
        text: None,
        kind: "text".to_owned(),
        at: process::clock::now(),
        from_me: false,
    };
    let store = Store::from(pool.clone());
    inbound::received(store.under(backend.store.fence()), &[stored]).await.unwrap();
    assert!(backend.get_pending_inbound("c", "s", "1").await.unwrap().is_none(), "a duplicate");

    assert!(backend.get_pending_inbound("c", "s", "2").await.is_err());
    let a_day_ago = "UPDATE credentials SET number = number - 90000 WHERE kind = $1 AND number > 0";
    sqlx::query(a_day_ago).bind(Kind::AskedAgain as i16).execute(&pool).await.unwrap();
    missed.try_recv().unwrap();
    assert!(backend.get_pending_inbound("c", "s", "2").await.unwrap().is_none(), "it is given up");
    assert!(missed.try_recv().is_err());

    // what was handled and has nothing to store is a duplicate as well
    let row = PendingInboundRow { chat: "c", sender: "s", id: "3", message: b"in" };
    backend.store_pending_inbound_batch(&[row]).await.unwrap();
    backend.has_nothing("c", "s", "3");
    backend.delete_pending_inbound("c", "s", "3").await.unwrap();
    assert!(backend.get_pending_inbound("c", "s", "3").await.unwrap().is_none());
    assert!(missed.try_recv().is_err());
}
