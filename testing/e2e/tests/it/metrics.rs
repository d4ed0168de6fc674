//! The metrics of a cluster at work, as Prometheus reads them.

use std::io::Write as _;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use e2e::{Cluster, Part};

use kit::until;
use serde_json::json;
use sqlx::PgPool;

use crate::receiver::Receiver;

/// The maximum number of series of one binary.
const SERIES_MAX: usize = 2_000;

/// Reads a page several times. Returns the page and the number of its series, and prints the median duration.
async fn read(part: &Part, name: &str) -> (String, usize) {
    let mut times = Vec::new();
    let mut page = String::new();
    for _ in 0..11 {
        let start = Instant::now();
        let (status, text) = part.health("/metrics").await;
        times.push(start.elapsed());
        assert_eq!(status, 200);
        page = text;
    }
    times.sort();
    let series = page.lines().filter(|line| !line.is_empty() && !line.starts_with('#')).count();
    println!("{name}: {series} series, {} kB, read in {:?} (median of 11)", page.len() / 1_000, times[5]);
    assert!(times[5] < Duration::from_secs(1), "{name}: {:?}", times[5]);
    (page, series)
}

/// The sum of a metric's samples whose labels contain this text.
fn sum(page: &str, metric: &str, labels: &str) -> f64 {
    let samples = page.lines().filter(|line| line.split(['{', ' ']).next() == Some(metric) && line.contains(labels));
    samples.map(|line| line.rsplit(' ').next().unwrap().parse::<f64>().unwrap()).sum()
}

/// All values of all labels.
fn label_values(page: &str) -> Vec<&str> {
    let samples = page.lines().filter(|line| !line.starts_with('#') && !line.starts_with("switchboard_build_info"));
    samples.flat_map(|line| line.split('"').skip(1).step_by(2)).collect()
}

/// Checks a page with `promtool check metrics`. If the tool is missing, prints a warning, and fails in CI.
fn check_with_promtool(name: &str, page: &str) {
    let promtool = Command::new("promtool")
        .args(["check", "metrics"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn();
    let Ok(mut promtool) = promtool else {
        let missing = "promtool is missing: the pages of metrics were NOT checked. It comes with Prometheus: the package \
                       `prometheus` of Debian and Ubuntu, or `brew install prometheus`";
        assert!(std::env::var_os("CI").is_none(), "{missing}");
        std::io::stderr().write_all(format!("\n!! {missing}\n").as_bytes()).unwrap(); // not captured by the test runner
        return;
    };
    promtool.stdin.take().unwrap().write_all(page.as_bytes()).unwrap();
    let judged = promtool.wait_with_output().unwrap();
    let says = [judged.stdout, judged.stderr].concat();
    assert!(judged.status.success() && says.is_empty(), "{name}: {}", String::from_utf8_lossy(&says));
}

/// R06: a cluster has paired, sent, got a receipt, fired a reminder, posted to a webhook and moved an account to
/// another worker. The page of each binary has the figures of its own part in this and no others. The figures are
/// within bounds, and no label names a tenant, an account or a number. `promtool` finds no fault.
#[sqlx::test(migrator = "store::MIGRATOR")]
async fn the_pages_of_a_cluster_at_work(pool: PgPool) {
    let (cluster, mut workers) = Cluster::start(pool, 1).await;
    let receiver = Receiver::start(&[]).await;
    cluster.post("/v1/webhooks", json!({"url": receiver.url(), "kinds": ["message.sent"]})).await;
    let (account, own) = cluster.connected("Front desk of Ada").await;
    let bob = cluster.phone("Bob").await;
    let message = cluster.send(&account, &bob, "hello there").await;
    cluster.message(&message, "read").await;
    let soon = (chrono::Utc::now() + Duration::from_secs(2)).to_rfc3339();
    let wish = json!({"name": "Stand-up of Ada", "account_id": account, "messages": ["stand up"], "targets": [bob],
        "start": soon, "timezone": "UTC"});
    cluster.post("/v1/reminders", wish).await;
    cluster.shows(&bob, &["hello there", "stand up"]).await;
    until("posts", async || (receiver.received().len() >= 2).then_some(())).await;
    // the account moves to another worker
    let next = cluster.worker();
    workers.pop().unwrap().stop().await;
    cluster.status(&account, "connected").await;
    let again = cluster.send(&account, &bob, "and again").await;
    cluster.message(&again, "read").await;
    let measured = async || {
        let (_, page) = cluster.parts[1].health("/metrics").await;
        (sum(&page, "switchboard_accounts_online", "") >= 1.0).then_some(())
    };
    until("a measurement", measured).await;
    assert_eq!(next.health("/readyz").await.0, 200);

    let tenant: String = sqlx::query_scalar("SELECT id::text FROM tenants").fetch_one(&cluster.pool).await.unwrap();
    let secrets = [&tenant, &account, &message, &own, &bob, "Ada", "Bob", "hello", "127.0.0.1"];
    let mut pages = Vec::new();
    for (name, part) in [("api", &cluster.parts[0]), ("scheduler", &cluster.parts[1]), ("worker", &next)] {
        let (page, series) = read(part, name).await;
        assert!((100..=SERIES_MAX).contains(&series), "{name} shows {series} series");
        for secret in secrets {
            assert!(!page.contains(secret), "{name} tells {secret}");
        }
        for value in label_values(&page) {
            let digits = value.bytes().filter(u8::is_ascii_digit).count();
            assert!(digits < 7 && value.len() < 60, "{name}: {value}");
        }
        assert!(page.contains(&format!("switchboard_build_info{{component=\"{name}\"")));
        check_with_promtool(name, &page);
        pages.push(page);
    }
    let [api, scheduler, worker] = &pages[..] else { unreachable!() };

    // each page has only its own metrics
    for (of, page, others) in [
        ("api", api, ["switchboard_sessions", "switchboard_duty_runs_total", "switchboard_accounts"]),
        (
            "scheduler",
            scheduler,
            ["switchboard_sessions", "switchboard_http_requests_total", "switchboard_leases_held"],
        ),
        ("worker", worker, ["switchboard_duty_runs_total", "switchboard_http_requests_total", "switchboard_accounts"]),
    ] {
        for other in others {
            assert!(!page.contains(&format!("# TYPE {other} ")), "{other} on the page of the {of}");
        }
    }
    // each page has what happened
    for (page, metric, labels, least) in [
        (api, "http_requests_total", "route=\"/v1/accounts/{account}/messages\"", 2.0),
        (api, "http_request_seconds_count", "route=\"/v1/reminders\"", 1.0),
        (api, "messages_accepted_total", "", 2.0),
        (api, "postgres_connections", "pool=\"rows\"", 1.0),
        (api, "postgres_wait_seconds_count", "pool=\"rows\"", 1.0),
        (api, "redis_ping_seconds_count", "", 1.0),
        (scheduler, "occurrences_fired_total", "", 1.0),
        (scheduler, "occurrence_lateness_seconds_count", "", 1.0),
        (scheduler, "duty_runs_total", "duty=\"measure\",outcome=\"ok\"", 1.0),
        (scheduler, "duty_last_success_timestamp_seconds", "duty=\"measure\"", 1.0),
        (scheduler, "table_bytes", "table=\"messages\"", 8_192.0),
        (scheduler, "measured_timestamp_seconds", "", 1.0), // not what it measured: other tests' schedulers set that too
        (scheduler, "tokio_busy_seconds_total", "", 0.000_001),
        (worker, "messages_total", "outcome=\"sent\"", 3.0),
        (worker, "message_end_to_end_seconds_count", "path=\"straight\"", 2.0),
        (worker, "message_stage_seconds_count", "stage=\"read\"", 2.0),
        (worker, "pairings_total", "step=\"connected\"", 1.0),
        (worker, "pairing_first_code_seconds_count", "", 1.0),
        (worker, "pairing_scan_seconds_count", "", 1.0),
        (worker, "sessions", "state=\"online\"", 1.0),
        (worker, "session_state_seconds_total", "state=\"online\"", 0.001),
        (worker, "takeover_gap_seconds_count", "cause=\"released\"", 1.0),
        (worker, "lease_capacity", "", 1.0), // not leases_held and others, which other tests' workers set too
        (worker, "renewal_seconds_count", "store=\"redis\"", 1.0),
        (worker, "renewal_seconds_count", "store=\"postgres\"", 1.0),
        (worker, "webhook_delivery_seconds_count", "", 2.0),
        (worker, "webhook_event_lag_seconds_count", "", 2.0),
        (worker, "bells_answered_total", "answer=\"done\",kind=\"pair\"", 1.0),
        (api, "bells_rung_total", "kind=\"send\",outcome=\"rung\"", 1.0),
    ] {
        let found = sum(page, &format!("switchboard_{metric}"), labels);
        assert!(found >= least, "{metric}{{{labels}}} is {found}");
    }
    cluster.stop(vec![next]).await;
}
