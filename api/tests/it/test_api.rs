//! Starts the api in this process and talks to it as an anonymous, an admin or a tenant.

use std::net::{Ipv4Addr, SocketAddr};

use api::{Config, auth};
use clap::Parser as _;
pub use kit::{Answer, Gateway};
use kit::{redis_prefix, redis_url, until};
use reqwest::StatusCode;
use sqlx::PgPool;
use store::{Store, api_keys};
use tokio_util::sync::{CancellationToken, DropGuard};
use uuid::Uuid;

/// A running api with a database and a Redis prefix of its own. Dropping it stops it.
pub struct TestApi {
    pub db: PgPool,
    pub store: Store,
    pub address: SocketAddr,
    pub ops_address: SocketAddr,
    pub redis_prefix: String,
    _stop: DropGuard,
}

#[derive(clap::Parser)]
struct Flags {
    #[command(flatten)]
    config: Config,
}

impl TestApi {
    pub async fn start(db: PgPool) -> Self {
        Self::start_with_redis(db, &redis_url()).await
    }

    pub async fn start_with_redis(db: PgPool, redis_url: &str) -> Self {
        kit::promise(|| serde_json::to_value(api::document()).unwrap());
        let redis_prefix = redis_prefix();
        let stop = CancellationToken::new();
        let listener = tokio::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let address = listener.local_addr().unwrap();
        let config = Flags::parse_from([
            "test",
            "--database-url",
            &database_url(&db),
            "--database-connections",
            "4",
            "--redis-url",
            redis_url,
            "--redis-prefix",
            &redis_prefix,
        ]);
        let ops = tokio::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let ops_address = ops.local_addr().unwrap();
        let listeners = api::Listeners { tenants: listener, ops };
        tokio::spawn(api::run(config.config, listeners, stop.clone()));
        let health = format!("http://{address}/health");
        let starts = async || reqwest::get(&health).await.unwrap().status() == StatusCode::SERVICE_UNAVAILABLE;
        until("the api", async || (!starts().await).then_some(())).await;
        let store = Store::from(db.clone());
        Self { db, store, address, ops_address, redis_prefix, _stop: stop.drop_guard() }
    }

    /// Who has this key.
    pub fn client(&self, key: &str) -> Gateway {
        Gateway::new(&format!("http://{}", self.address), Some(key))
    }

    /// Who asks for health and metrics.
    pub fn ops(&self) -> Gateway {
        Gateway::new(&format!("http://{}", self.ops_address), None)
    }

    pub fn anonymous(&self) -> Gateway {
        Gateway::new(&format!("http://{}", self.address), None)
    }

    pub async fn admin(&self) -> Gateway {
        let (key, by) = (auth::generate(None), store::audit::Operator::System("test"));
        let all = self.store.for_all_tenants();
        api_keys::create_for_admin(all, "test", &auth::digest(&key), by).await.unwrap();
        self.client(&key)
    }

    /// A fresh tenant with a key, made through the api.
    pub async fn tenant(&self) -> Gateway {
        self.admin().await.tenant("Acme").await
    }

    /// Writes what a worker would: the account's status, with what the schema asks for beside it.
    pub async fn set_status(&self, account: &str, status: &str) {
        let number = if matches!(status, "connected" | "disconnected") { Some(unique_number()) } else { None };
        let jid = number.as_ref().map(|number| format!("{number}:1@s.whatsapp.net"));
        // a living worker has it, where it is connected
        sqlx::query(
            "WITH w AS (INSERT INTO workers (id, name, version, capacity, lease_s) SELECT gen_random_uuid(), 'w', '1', 1, 3600 WHERE $2 = 'connected' RETURNING id)
             UPDATE leases SET owner = w.id FROM w WHERE account_id = $1",
        )
        .bind(account.parse::<Uuid>().unwrap())
        .bind(status)
        .execute(&self.db)
        .await
        .unwrap();
        sqlx::query(
            "WITH a AS (UPDATE accounts SET status = $2, wanted = CASE WHEN $2 IN ('pending', 'connected', 'disconnected') THEN 'online'
                 ELSE 'offline' END, phone_number = $3, jid = $4,
                 linked_at = CASE WHEN $3 IS NULL THEN linked_at ELSE coalesce(linked_at, now()) END
             WHERE id = $1 RETURNING id, status)
             INSERT INTO pairings (account_id, method, window_ends_at)
             SELECT id, 'qr', now() + interval '5 minutes' FROM a WHERE status = 'pending'",
        )
        .bind(account.parse::<Uuid>().unwrap())
        .bind(status)
        .bind(number)
        .bind(jid)
        .execute(&self.db)
        .await
        .unwrap();
    }

    /// Writes a credential, as a linked device has many.
    pub async fn add_credentials(&self, account: &str) {
        sqlx::query(
            "INSERT INTO credentials (account_id, kind, name, key_id, sealed) VALUES ($1, 1, 'device', 'k', 'x')",
        )
        .bind(account.parse::<Uuid>().unwrap())
        .execute(&self.db)
        .await
        .unwrap();
    }

    pub async fn count(&self, sql: &str) -> i64 {
        sqlx::query_scalar(sqlx::AssertSqlSafe(sql.to_owned())).fetch_one(&self.db).await.unwrap()
    }
}

impl Drop for TestApi {
    /// Every event that was told must be as the registry says (R98). The test's own runtime waits meanwhile.
    fn drop(&mut self) {
        if std::thread::panicking() {
            return;
        }
        let url = database_url(&self.db);
        let look = async move {
            let db = PgPool::connect(&url).await.unwrap();
            kit::wrong_events(&db).await.unwrap()
        };
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let wrong = std::thread::spawn(move || runtime.block_on(look)).join().unwrap();
        assert_eq!(wrong, Vec::<String>::new());
    }
}

/// The URL of this test's database, on the server that the tests were given.
pub fn database_url(db: &PgPool) -> String {
    let server = std::env::var("DATABASE_URL").unwrap();
    let (base, _) = server.rsplit_once('/').unwrap();
    format!("{base}/{}", db.connect_options().get_database().unwrap())
}

fn unique_number() -> String {
    format!("49{:013}", Uuid::new_v4().as_u128() % 10_000_000_000_000)
}
