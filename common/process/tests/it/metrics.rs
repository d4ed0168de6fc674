//! The page of metrics: what it shows of each, to whom, and what kind a failure is.

use std::collections::BTreeSet;

use domain::id::{AccountId, RunId, WorkerId};
use domain::job::{Answer, Bell, Queue, Rung};
use process::telemetry::metrics::labels::{
    BellAnswer, BellKind, Duty, Endpoint, PostgresError, QueueKind, RedisError, RingOutcome, Table,
};
use process::telemetry::metrics::{self, Component, Format, PAGE, failure, table};
use sqlx::{ConnectOptions as _, PgPool};
use std::time::Duration;
use store::{MIGRATOR, Store};

/// The samples of a page: everything but comments.
fn samples(page: &str) -> Vec<&str> {
    page.lines().filter(|line| !line.is_empty() && !line.starts_with('#')).collect()
}

fn page(of: Component) -> String {
    Endpoint::are([("/v1/accounts".to_owned(), "GET"), ("/v1/accounts/{account}".to_owned(), "DELETE")]);
    Duty::are(["measure", "prune"]);
    metrics::render(of, Format::Text)
}

/// The name of a sample's metric, without what a histogram adds.
fn family(sample: &str) -> &str {
    let name = sample.split(['{', ' ']).next().unwrap();
    let known = |name: &&str| PAGE.iter().any(|metric| metric.about().name == *name);
    let stripped = ["_bucket", "_sum", "_count"].iter().find_map(|suffix| name.strip_suffix(suffix)).filter(known);
    stripped.unwrap_or(name)
}

/// R06: every series of a metric stands on the page of each binary that shows it, before anything has happened, and moves when
/// it is touched; on no other page.
#[test]
fn each_metric_is_on_the_pages_where_it_belongs() {
    for of in Component::ALL {
        let before = page(of);
        for metric in PAGE {
            let about = metric.about();
            let mine = samples(&before).into_iter().filter(|sample| family(sample) == about.name).count();
            if !about.who.contains(&of) {
                assert_eq!(mine, 0, "{} on the page of {}", about.name, of.as_str());
                continue;
            }
            assert!(mine > 0, "{} is not on the page of {}", about.name, of.as_str());
            metric.touch(of);
        }
        let after = page(of);
        assert_eq!(samples(&before).len(), samples(&after).len(), "all series were there from the start");
        for sample in samples(&after).into_iter().filter(|sample| sample.starts_with("switchboard_")) {
            let about = PAGE.iter().map(|metric| metric.about()).find(|about| about.name == family(sample)).unwrap();
            let value: f64 = sample.rsplit(' ').next().unwrap().parse().unwrap();
            let small = sample.contains("_bucket{"); // what was observed lies above the first buckets
            let looked = ["postgres_connections", "tokio_", "ready", "worker_trusted", "sessions"]; // set when the page is read
            let looked = looked.iter().any(|name| about.name.contains(name));
            assert!(value > 0.0 || small || looked, "{sample} was touched");
        }
    }
}

/// R06: names end with their base unit, `_total` stands on counters alone, every metric has words, and no label is one that could
/// hold a tenant, an account or a number.
#[test]
fn names_and_labels_are_bounded() {
    let mut names = BTreeSet::new();
    for metric in PAGE {
        let about = metric.about();
        assert!(names.insert(about.name), "{} is declared twice", about.name);
        assert!(about.name.starts_with("switchboard_"));
        assert_eq!(about.name.ends_with("_total"), metric.kind() == "counter", "{}", about.name);
        assert!(!about.name.contains("_ms") && !about.name.contains("milli") && !about.name.contains("minutes"));
        assert!(about.help.len() > 10 && !about.help.ends_with('.'), "{}", about.name);
        assert_eq!(about.buckets.is_empty(), metric.kind() != "histogram", "{}", about.name);
        assert!(about.buckets.is_sorted(), "{}", about.name);
        for label in about.labels {
            assert!(!["tenant", "account", "number", "phone", "chat", "jid", "id", "worker", "url"].contains(label));
        }
        assert_eq!(about.labels.len(), metric.sets().len(), "{}", about.name);
    }
    for (name, goal) in
        [("message_end_to_end_seconds", 5.0), ("occurrence_lateness_seconds", 5.0), ("webhook_delivery_seconds", 60.0)]
    {
        let metric = PAGE.iter().find(|metric| metric.about().name == format!("switchboard_{name}")).unwrap();
        assert!(metric.about().buckets.contains(&goal), "{name} has no bucket at its goal");
    }
}

/// R06: the words on the page are those of the logs and queues.
#[test]
fn labels_say_what_the_house_says() {
    let (account, run) = (AccountId::new(), RunId::new());
    for bell in [Bell::Pair { account }, Bell::Unpair { account }, Bell::Send { account }, Bell::FireReminder { run }] {
        assert_eq!(BellKind::from(&bell).as_str(), bell.kind());
    }
    let words = || "why".to_owned();
    for answer in
        [Answer::Done, Answer::Snooze(Duration::ZERO), Answer::Retry(words()), Answer::GiveUp(words()), Answer::NotMine]
    {
        assert_eq!(BellAnswer::from(&answer).as_str(), answer.word());
    }
    for queue in [Queue::Inbox(WorkerId::new()), Queue::Claim, Queue::FireReminder] {
        assert_eq!(QueueKind::from(queue).as_str(), queue.kind());
    }
    assert_eq!(RingOutcome::from(Rung::Full).as_str(), "full");
}

/// R06: a trace stands behind the bucket of its observation, in OpenMetrics alone.
#[test]
fn exemplars_are_served_in_openmetrics() {
    let trace = opentelemetry::trace::TraceId::from_hex("4bf92f3577b34da6a3ce929d0e0e4736").unwrap();
    let series = metrics::MESSAGE_END_TO_END_SECONDS.of(metrics::labels::MessagePath::Straight);
    series.observe_of(0.3, Some(trace));
    let text = metrics::render(Component::Worker, Format::Text);
    assert!(!text.contains("trace_id"));
    let open = metrics::render(
        Component::Worker,
        Format::accepted("application/openmetrics-text;version=1.0.0,text/plain;q=0.5"),
    );
    let with: Vec<&str> = open.lines().filter(|line| line.contains("4bf92f3577b34da6a3ce929d0e0e4736")).collect();
    assert_eq!(with.len(), 1, "{with:?}");
    assert!(
        with[0].starts_with("switchboard_message_end_to_end_seconds_bucket{path=\"straight\",le=\"0.5\"} "),
        "{}",
        with[0]
    );
    assert!(with[0].contains(" # {trace_id=\"4bf92f3577b34da6a3ce929d0e0e4736\"} 0.3 "), "{}", with[0]);
    assert!(open.ends_with("# EOF\n"));
    assert!(open.contains("# TYPE switchboard_messages counter\n") && open.contains("switchboard_messages_total{"));
    assert_eq!(Format::accepted("text/plain"), Format::Text);
}

/// R06: the documentation of the metrics is the page. `UPDATE=1` prints it anew.
#[test]
fn the_documentation_is_the_page() {
    kit::printed("docs/metrics.md", &table::markdown());
}

/// R06: what Postgres says is sorted by its SQLSTATE.
#[test]
fn failures_of_postgres_have_kinds() {
    use PostgresError as Kind;
    for (code, kind) in [
        ("08006", Kind::Unreachable),
        ("08001", Kind::Unreachable),
        ("57P01", Kind::Unreachable),
        ("57P02", Kind::Unreachable),
        ("57P03", Kind::Unreachable),
        ("57014", Kind::Timeout),
        ("55P03", Kind::Timeout),
        ("25P03", Kind::Timeout),
        ("28P01", Kind::Auth),
        ("28000", Kind::Auth),
        ("42501", Kind::Permission),
        ("25006", Kind::ReadOnly),
        ("53100", Kind::DiskFull),
        ("53300", Kind::TooManyConnections),
        ("53200", Kind::Other),
        ("42P01", Kind::Schema),
        ("42703", Kind::Schema),
        ("3D000", Kind::Schema),
        ("23505", Kind::Constraint),
        ("23503", Kind::Constraint),
        ("40P01", Kind::Deadlock),
        ("40001", Kind::Deadlock),
        ("22P02", Kind::Other),
        ("XX000", Kind::Other),
        ("", Kind::Other),
    ] {
        assert_eq!(failure::of_sqlstate(code), kind, "{code}");
    }
    let io = |kind: std::io::ErrorKind| sqlx::Error::Io(kind.into());
    for (error, kind) in [
        (sqlx::Error::RowNotFound, None),
        (sqlx::Error::PoolTimedOut, Some(Kind::PoolTimeout)),
        (sqlx::Error::PoolClosed, Some(Kind::Unreachable)),
        (sqlx::Error::WorkerCrashed, Some(Kind::Unreachable)),
        (io(std::io::ErrorKind::ConnectionRefused), Some(Kind::Unreachable)),
        (io(std::io::ErrorKind::ConnectionReset), Some(Kind::Unreachable)),
        (io(std::io::ErrorKind::TimedOut), Some(Kind::Timeout)),
        (sqlx::Error::Protocol("nonsense".to_owned()), Some(Kind::Other)),
    ] {
        assert_eq!(failure::of_postgres(&error), kind, "{error}");
    }
}

/// R06: what Redis says is sorted by its kind and first word.
#[test]
fn failures_of_redis_have_kinds() {
    use redis::ErrorKind;
    let io = |kind: std::io::ErrorKind| redis::RedisError::from(std::io::Error::from(kind));
    let said = |code: &str| redis::make_extension_error(code.to_owned(), None);
    for (error, kind) in [
        (io(std::io::ErrorKind::ConnectionRefused), RedisError::Unreachable),
        (io(std::io::ErrorKind::BrokenPipe), RedisError::Unreachable),
        (io(std::io::ErrorKind::TimedOut), RedisError::Timeout),
        (redis::RedisError::from((ErrorKind::AuthenticationFailed, "wrong password")), RedisError::Auth),
        (
            redis::RedisError::from((ErrorKind::Server(redis::ServerErrorKind::ReadOnly), "a replica")),
            RedisError::ReadOnly,
        ),
        (
            redis::RedisError::from((ErrorKind::Server(redis::ServerErrorKind::BusyLoading), "loading")),
            RedisError::Unreachable,
        ),
        (redis::RedisError::from((ErrorKind::Server(redis::ServerErrorKind::NoPerm), "no")), RedisError::Auth),
        (said("OOM"), RedisError::OutOfMemory),
        (said("NOAUTH"), RedisError::Auth),
        (said("WRONGPASS"), RedisError::Auth),
        (said("MOOD"), RedisError::Other),
        (redis::RedisError::from((ErrorKind::UnexpectedReturnType, "no number")), RedisError::Other),
    ] {
        assert_eq!(failure::of_redis(&error), kind, "{error}");
    }
}

/// R06: one failure of Postgres is counted once, however many hands it passes through.
#[sqlx::test(migrator = "MIGRATOR")]
async fn a_failure_is_counted_once(pool: PgPool) {
    let counted = || metrics::POSTGRES_ERRORS.of(PostgresError::ReadOnly).get();
    let mut url = pool.connect_options().to_url_lossy();
    url.query_pairs_mut().append_pair("options", "-c default_transaction_read_only=on");
    let pool = store::connect(url.as_str(), 2).await.unwrap();
    let before = counted();
    let refused = store::answered(store::settings::put(&pool, "x", &1)).await;
    assert!(refused.is_err_and(|error| error.is_transient()));
    assert!((counted() - before - 1.0).abs() < f64::EPSILON, "{} more", counted() - before);
    // an answer that says no is none
    let before = counted();
    assert!(store::leases::get(Store::from(pool).for_all_tenants(), AccountId::new()).await.unwrap().is_none());
    assert!((counted() - before).abs() < f64::EPSILON);
}

/// R06: the sizes of all tables that the schema has are on the page.
#[sqlx::test(migrator = "MIGRATOR")]
async fn every_table_is_measured(pool: PgPool) {
    let listed: Vec<String> = sqlx::query_scalar(
        "SELECT table_name::text FROM information_schema.tables WHERE table_schema = 'public' AND table_type = 'BASE TABLE'
         AND table_name <> '_sqlx_migrations'",
    )
    .fetch_all(&pool)
    .await
    .unwrap();
    let listed: BTreeSet<&str> = listed.iter().map(String::as_str).collect();
    let ours: BTreeSet<&str> = Table::ALL.iter().map(|table| table.as_str()).collect();
    assert_eq!(listed, ours);
    let tables: Vec<&str> = ours.into_iter().chain(["no_such_table"]).collect();
    let sizes = store::measure::table_bytes(&pool, &tables).await.unwrap();
    assert_eq!(sizes.len(), listed.len(), "what is not there has no size");
    assert!(sizes.iter().all(|(_, bytes)| *bytes > 0.0), "{sizes:?}");
}

/// R06: a database that lacks a migration, or has one that we don't know, is told apart from ours; so is a clock that is wrong.
#[sqlx::test(migrator = "MIGRATOR")]
async fn schema_and_clock_are_compared(pool: PgPool) {
    assert_eq!(store::measure::schema(&pool).await.unwrap(), (0, 0));
    sqlx::query("UPDATE _sqlx_migrations SET version = 99990101000000 WHERE version = (SELECT max(version) FROM _sqlx_migrations)")
        .execute(&pool)
        .await
        .unwrap();
    assert_eq!(store::measure::schema(&pool).await.unwrap(), (1, 1));
    let offset = store::measure::clock_offset(&pool).await.unwrap();
    assert!(offset.abs() < 1.0, "one host has one clock: {offset}");
}
