//! `switchboard-worker doctor`: checks what every process depends on, and what only workers need: the keys, and a route
//! to WhatsApp.

use std::io::Write;
use std::time::Duration;

use process::doctor::{self, Check};
use store::Store;
use store::seal::Sealer;

use tokio::net::TcpStream;
use url::Url;

use crate::config::Doctor;
use crate::keys::{self, Misfit};

/// A connection attempt that takes longer counts as failed.
const REACH: Duration = Duration::from_secs(5);

/// Runs the checks and prints the results. Returns true if no check failed.
///
/// # Errors
/// If standard output is closed.
pub async fn run(asked: Box<Doctor>, out: &mut (dyn Write + Send)) -> anyhow::Result<bool> {
    let mut checks = store::doctor::look(&asked.database, bells::doctor::look(&asked.redis)).await;
    checks.push(keys(&asked).await);
    checks.push(whatsapp(&asked.whatsapp_url).await);
    Ok(doctor::show(&checks, asked.json, out)?)
}

/// Checks that each key in use is configured and opens what is sealed under it.
async fn keys(asked: &Doctor) -> Check {
    const NAME: &str = "credential keys";
    let fix = "see `switchboard-worker keys list`";
    let sealer = match Sealer::parse(&asked.credential_keys.0) {
        Ok(sealer) => sealer,
        Err(error) => return Check::failed(NAME, error.to_string(), "correct CREDENTIAL_KEYS"),
    };
    let Ok(pool) = store::connect_lazily(&asked.database.url, 1) else { return Check::skipped(NAME, "postgres") };
    match keys::check(Store::from(pool).for_all_tenants(), &sealer).await {
        Ok(()) => Check::ok(NAME, format!("key `{}` seals; every record opens", sealer.key_id())),
        Err(error) if error.is::<Misfit>() => Check::failed(NAME, error.to_string(), fix),
        Err(_) => Check::skipped(NAME, "postgres"),
    }
}

/// Checks that WhatsApp's host accepts a connection.
async fn whatsapp(url: &str) -> Check {
    const NAME: &str = "whatsapp";
    let found = Url::parse(url).ok();
    let host = found.as_ref().and_then(|url| Some((url.host_str()?, url.port_or_known_default()?)));
    let Some((host, port)) = host else { return Check::failed(NAME, "WHATSAPP_URL names no host", "correct it") };
    let fix = "let workers through to it and to DNS (firewall, NetworkPolicy); a proxy is not used";
    match tokio::time::timeout(REACH, TcpStream::connect((host, port))).await {
        Ok(Ok(_)) => Check::ok(NAME, format!("{host}:{port} can be reached")),
        Ok(Err(error)) => Check::failed(NAME, format!("{host}:{port} can't be reached: {error}"), fix),
        Err(_) => Check::failed(NAME, format!("{host}:{port} does not answer within {} s", REACH.as_secs()), fix),
    }
}
