//! Starts the api in this process and talks to it as an anonymous, an admin or a tenant.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::LazyLock;

use api::{Config, auth};
use clap::Parser as _;
use domain::id::TenantId;
use kit::contract::{self, Contract};
use reqwest::{Method, RequestBuilder, StatusCode};
use serde_json::{Value, json};
use sqlx::PgPool;
use store::{Store, api_keys};
use tokio_util::sync::{CancellationToken, DropGuard};
use uuid::Uuid;

/// What the document promises of every answer.
static CONTRACT: LazyLock<Contract> = LazyLock::new(|| Contract::of(serde_json::to_value(api::document()).unwrap()));

/// A running api with a database and a Redis prefix of its own. Dropping it stops it.
pub struct TestApi {
    pub db: PgPool,
    pub store: Store,
    pub address: SocketAddr,
    pub ops_address: SocketAddr,
    pub redis_prefix: String,
    _stop: DropGuard,
}

/// Someone who calls the api, with or without a key.
#[derive(Clone)]
pub struct Client {
    http: reqwest::Client,
    base: String,
    pub key: Option<String>,
    pub tenant: Option<TenantId>,
}

/// What came back.
#[derive(Debug)]
pub struct Answer {
    pub status: StatusCode,
    pub headers: reqwest::header::HeaderMap,
    pub bytes: Vec<u8>,
}

#[derive(clap::Parser)]
struct Flags {
    #[command(flatten)]
    config: Config,
}

pub fn redis_url() -> String {
    std::env::var("REDIS_URL").unwrap_or_else(|_| "redis://127.0.0.1:56379".to_owned())
}

impl TestApi {
    pub async fn start(db: PgPool) -> Self {
        Self::start_with_redis(db, &redis_url()).await
    }

    pub async fn start_with_redis(db: PgPool, redis_url: &str) -> Self {
        let redis_prefix = format!("test-{}:", Uuid::new_v4().simple());
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
        while reqwest::get(format!("http://{address}/health")).await.unwrap().status()
            == StatusCode::SERVICE_UNAVAILABLE
        {
            tokio::time::sleep(std::time::Duration::from_millis(20)).await; // it starts
        }
        let store = Store::from(db.clone());
        Self { db, store, address, ops_address, redis_prefix, _stop: stop.drop_guard() }
    }

    pub fn client(&self, key: Option<String>, tenant: Option<TenantId>) -> Client {
        let http = reqwest::Client::builder().no_proxy().build().unwrap();
        Client { http, base: format!("http://{}", self.address), key, tenant }
    }

    /// Who asks for health and metrics.
    pub fn ops(&self) -> Client {
        Client { base: format!("http://{}", self.ops_address), ..self.anonymous() }
    }

    pub fn anonymous(&self) -> Client {
        self.client(None, None)
    }

    pub async fn admin(&self) -> Client {
        let key = auth::generate(None);
        let by = store::audit::Operator::System("test");
        let all = self.store.for_all_tenants();
        api_keys::create_for_admin(all, "test", &auth::digest(&key), by).await.unwrap();
        self.client(Some(key), None)
    }

    /// A fresh tenant with a key, made through the api.
    pub async fn tenant(&self) -> Client {
        let admin = self.admin().await;
        let tenant = admin.post("/v1/tenants", json!({"name": "Acme"})).await.expect(201).json();
        let id = tenant["id"].as_str().unwrap();
        let key = admin.post(&format!("/v1/tenants/{id}/keys"), json!({"name": "test"})).await.expect(201).json();
        let secret = key["secret"].as_str().unwrap().to_owned();
        self.client(Some(secret), Some(id.parse().unwrap()))
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

impl Client {
    pub fn request(&self, method: Method, path: &str) -> RequestBuilder {
        let request = self.http.request(method, format!("{}{path}", self.base));
        match &self.key {
            Some(key) => request.bearer_auth(key),
            None => request,
        }
    }

    pub async fn get(&self, path: &str) -> Answer {
        Answer::of(self.request(Method::GET, path)).await
    }

    pub async fn post(&self, path: &str, body: Value) -> Answer {
        Answer::of(self.request(Method::POST, path).json(&body)).await
    }

    pub async fn post_empty(&self, path: &str) -> Answer {
        Answer::of(self.request(Method::POST, path)).await
    }

    pub async fn put(&self, path: &str, body: Value) -> Answer {
        Answer::of(self.request(Method::PUT, path).json(&body)).await
    }

    pub async fn patch(&self, path: &str, body: Value) -> Answer {
        Answer::of(self.request(Method::PATCH, path).json(&body)).await
    }

    pub async fn delete(&self, path: &str) -> Answer {
        Answer::of(self.request(Method::DELETE, path)).await
    }

    /// Adds an account and answers its id.
    pub async fn account(&self, label: &str) -> String {
        self.post("/v1/accounts", json!({"label": label})).await.expect(201).id()
    }
}

impl Answer {
    /// Sends a request. Whatever comes back is held against the OpenAPI document (R77).
    pub async fn of(request: RequestBuilder) -> Self {
        let (http, request) = request.build_split();
        let request = request.unwrap();
        let (method, path) = (request.method().clone(), request.url().path().to_owned());
        let response = http.execute(request).await.unwrap();
        let (status, headers) = (response.status(), response.headers().clone());
        let answer = Self { status, headers, bytes: response.bytes().await.unwrap().to_vec() };
        let names: Vec<&str> = answer.headers.keys().map(|name| name.as_str()).collect();
        let said = contract::Answer {
            method: method.as_str(),
            path: &path,
            status: status.as_u16(),
            content_type: answer.header("content-type"),
            headers: &names,
            body: &answer.bytes,
        };
        CONTRACT.check(said).unwrap();
        answer
    }

    #[track_caller]
    pub fn expect(self, status: u16) -> Self {
        assert_eq!(self.status.as_u16(), status, "{}", String::from_utf8_lossy(&self.bytes));
        if status >= 400 {
            assert_eq!(self.header("content-type"), "application/problem+json");
            assert_eq!(self.json()["status"], status);
        }
        self
    }

    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.bytes).unwrap()
    }

    pub fn text(&self) -> String {
        String::from_utf8(self.bytes.clone()).unwrap()
    }

    pub fn id(&self) -> String {
        self.json()["id"].as_str().unwrap().to_owned()
    }

    pub fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().unwrap())
    }

    /// The fields that a problem names.
    pub fn fields(&self) -> Vec<String> {
        let body = self.json();
        let errors = body["errors"].as_array().cloned().unwrap_or_default();
        errors.iter().map(|error| error["field"].as_str().unwrap().to_owned()).collect()
    }

    /// The problem's type without its prefix.
    pub fn problem(&self) -> String {
        self.json()["type"].as_str().unwrap().trim_start_matches("urn:switchboard:problem:").to_owned()
    }
}
