//! The checks of Postgres: reachable, new enough, writable, schema, rights, clock, connections, certificate.

use chrono::TimeDelta;
use sqlx::PgConnection;

use crate::startup::{clock_off, schema_fits};
use process::clock;
use process::config::Database;
use process::doctor::Check;

use crate::server::{self, Facts};
use process::trouble::postgres::{self, OLDEST_VERSION, Place};

const NAMES: [&str; 7] = [
    "postgres version",
    "postgres writes",
    "postgres schema",
    "postgres rights",
    "postgres disk",
    "postgres clock",
    "postgres connections",
];
/// The percentage of used connections above which there is a warning.
const BUSY_PERCENT: i64 = 80;

pub(super) async fn look(database: &Database) -> Vec<Check> {
    let Ok(options) = crate::pool::options(&database.url) else {
        return vec![Check::failed(
            "postgres",
            "DATABASE_URL can't be read",
            "write postgres://user:password@host/name",
        )];
    };
    let place = Place::from(&options);
    let mut db = match server::connect(&options).await {
        Ok(db) => db,
        Err(error) => return unreached(Check::trouble("postgres", postgres::of(&error, &place))),
    };
    let facts = match server::facts(&mut db).await {
        Ok(facts) => facts,
        Err(error) => return unreached(Check::trouble("postgres", postgres::of(&error, &place))),
    };
    let Place { server, database: name, role, .. } = &place;
    let reached = format!("{server}, database `{name}` ({} MB), role `{role}`", facts.bytes / 1_000_000);
    let mut checks = vec![Check::ok("postgres", reached), version(&facts, &place)];
    checks.push(match facts.read_only {
        true => Check::trouble("postgres writes", postgres::read_only(&place)),
        false => Check::ok("postgres writes", "it takes writes"),
    });
    checks.extend(tables(&mut db, &facts, &place).await);
    checks.push(match clock_off(facts.ahead, facts.ahead_within) {
        Some(says) => Check::warning("postgres clock", says, "run NTP on both machines"),
        None => Check::ok("postgres clock", format!("{:+.3} s from this machine's", -facts.ahead.as_seconds_f64())),
    });
    checks.push(connections(&facts, i64::from(database.max_connections)));
    checks.push(certificate(&options, &facts).await);
    checks
}

fn unreached(failed: Check) -> Vec<Check> {
    std::iter::once(failed).chain(NAMES.map(|name| Check::skipped(name, "postgres"))).collect()
}

fn version(facts: &Facts, place: &Place) -> Check {
    if facts.version < OLDEST_VERSION {
        return Check::trouble("postgres version", postgres::too_old(facts.version, place));
    }
    Check::ok("postgres version", format!("{} (needs {OLDEST_VERSION})", facts.version))
}

/// Checks the schema and the rights, and writes a row.
async fn tables(db: &mut PgConnection, facts: &Facts, place: &Place) -> Vec<Check> {
    let wrong = |error: sqlx::Error| postgres::of(&error, place);
    let skipped = |needs| vec![Check::skipped("postgres rights", needs), Check::skipped("postgres disk", needs)];
    if !facts.schema_usable {
        let schema = Check::trouble("postgres schema", postgres::no_schema_in_sight(place));
        return std::iter::once(schema).chain(skipped("the schema")).collect();
    }
    let schema = match server::schema(db).await.map_err(wrong) {
        Ok(schema) => schema,
        Err(trouble) => {
            let schema = Check::trouble("postgres schema", trouble);
            return std::iter::once(schema).chain(skipped("the schema")).collect();
        }
    };
    if let Err(trouble) = schema_fits(&schema, place) {
        let schema = Check::trouble("postgres schema", trouble);
        return std::iter::once(schema).chain(skipped("the schema")).collect();
    }
    let newest = schema.newest.unwrap_or_default();
    let mut checks = vec![match schema.unknown.len() {
        0 => Check::ok("postgres schema", format!("{newest}, this binary's")),
        newer => Check::warning(
            "postgres schema",
            format!("{newest}, {newer} newer than this binary's {}, which runs on it", server::newest_known()),
            "finish the upgrade: bring all binaries to the newer release",
        ),
    }];
    checks.push(match server::tables_without_rights(db).await.map_err(wrong) {
        Ok(tables) if tables.is_empty() => {
            Check::ok("postgres rights", format!("all {} tables may be read and written", server::TABLES.len()))
        }
        Ok(tables) => Check::trouble("postgres rights", postgres::lacks_rights(&tables, place)),
        Err(trouble) => Check::trouble("postgres rights", trouble),
    });
    checks.push(match (facts.read_only, server::write(db, "doctor").await.map_err(wrong)) {
        (true, _) => Check::skipped("postgres disk", "a Postgres that takes writes"),
        (false, Ok(())) => Check::ok("postgres disk", "a row was written"),
        (false, Err(trouble)) => Check::trouble("postgres disk", trouble),
    });
    checks
}

/// Pure. The check of used connections against the allowed number.
fn connections(facts: &Facts, ours: i64) -> Check {
    let Facts { connections, connections_max, .. } = facts;
    let left = connections_max - connections;
    let says = format!("{connections} of {connections_max} in use; a process may hold {ours}");
    if connections * 100 > connections_max * BUSY_PERCENT || left < ours {
        let fix = "raise max_connections, or lower DATABASE_CONNECTIONS: it should hold the sum over all processes";
        return Check::warning("postgres connections", says, fix);
    }
    Check::ok("postgres connections", says)
}

/// How long before its expiry a certificate gives a warning.
const EXPIRES_SOON: TimeDelta = TimeDelta::days(14);

async fn certificate(options: &crate::PgConnectOptions, facts: &Facts) -> Check {
    const NAME: &str = "postgres certificate";
    if !facts.tls {
        return Check::ok(NAME, "no TLS in use (sslmode in DATABASE_URL)");
    }
    let Some(ends) = super::certificate::of_postgres(options.get_host(), options.get_port()).await else {
        return Check::ok(NAME, "TLS is in use; when the certificate ends could not be read");
    };
    judge(NAME, ends - clock::now(), ends)
}

/// Pure. The check of a certificate's remaining time.
fn judge(name: &'static str, left: TimeDelta, ends: chrono::DateTime<chrono::Utc>) -> Check {
    let says = format!("it ends on {}", ends.format("%Y-%m-%d"));
    if left <= TimeDelta::zero() {
        Check::failed(
            name,
            format!("{says}: it has ended"),
            "renew it; processes take the new one with their next connection",
        )
    } else if left < EXPIRES_SOON {
        Check::warning(name, format!("{says}, in {} days", left.num_days()), "renew it")
    } else {
        Check::ok(name, says)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn facts(connections: i64, connections_max: i64) -> Facts {
        Facts {
            version: 15,
            read_only: false,
            schema_usable: true,
            connections_max,
            connections,
            tls: false,
            bytes: 0,
            ahead: TimeDelta::zero(),
            ahead_within: TimeDelta::zero(),
        }
    }

    #[test]
    fn few_connections_left_are_worth_a_warning() {
        use process::doctor::State;
        for (used, max, state) in
            [(10, 100, State::Ok), (81, 100, State::Warning), (90, 97, State::Warning), (70, 80, State::Warning)]
        {
            assert_eq!(connections(&facts(used, max), 16).state, state, "{used} of {max}");
        }
    }

    #[test]
    fn a_certificate_near_its_end_is_worth_a_warning() {
        use process::doctor::State;
        let now = clock::now();
        for (days, state) in [(-1, State::Failed), (3, State::Warning), (90, State::Ok)] {
            let left = TimeDelta::days(days);
            assert_eq!(judge("c", left, now + left).state, state, "{days}");
        }
    }
}
