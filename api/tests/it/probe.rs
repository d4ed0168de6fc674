//! The command that asks a process how it is.

use process::probe::Probe;
use sqlx::PgPool;

use crate::test_api::TestApi;

/// R60: the health check of an image: well when ready, not when Redis is away, and alive all the same.
#[sqlx::test(migrator = "store::MIGRATOR")]
async fn a_process_is_asked_how_it_is(db: PgPool) {
    let api = TestApi::start(db.clone()).await;
    Probe { live: false }.ask(api.ops_address).await.unwrap();
    let everywhere = (std::net::Ipv4Addr::UNSPECIFIED, api.ops_address.port()).into();
    Probe { live: false }.ask(everywhere).await.expect("a process that listens everywhere is asked on this machine");

    let api = TestApi::start_with_redis(db, "redis://127.0.0.1:1").await;
    let says = Probe { live: false }.ask(api.ops_address).await.unwrap_err().to_string();
    assert!(says.contains("/readyz: Redis at 127.0.0.1:1 can't be reached"), "{says}");
    Probe { live: true }.ask(api.ops_address).await.unwrap();

    let nobody = kit::free_port();
    let says = Probe { live: true }.ask(([127, 0, 0, 1], nobody).into()).await.unwrap_err().to_string();
    assert!(says.contains("nothing listens") && says.contains("OPS_LISTEN"), "{says}");
}
