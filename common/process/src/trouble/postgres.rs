//! Pure. Problems with Postgres.

use sqlx::postgres::PgConnectOptions;

use super::Trouble;
use crate::telemetry::metrics::failure;
use crate::telemetry::metrics::labels::PostgresError as Fault;

/// The oldest version that the schema and the statements support.
pub const OLDEST_VERSION: i32 = 15;

/// Where the database is, for people: the parts of its URL without the password.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    /// Host and port, or the socket's path.
    pub server: String,
    /// The host.
    pub host: String,
    /// The database's name.
    pub database: String,
    /// The role that we connect as.
    pub role: String,
}

impl From<&PgConnectOptions> for Place {
    fn from(options: &PgConnectOptions) -> Self {
        let host = options.get_host().to_owned();
        let role = options.get_username().to_owned();
        let server = match options.get_socket() {
            Some(path) => path.display().to_string(),
            None => format!("{host}:{}", options.get_port()),
        };
        Self { server, host, database: options.get_database().unwrap_or(&role).to_owned(), role }
    }
}

/// The problem behind a failed call.
#[must_use]
pub fn of(error: &sqlx::Error, place: &Place) -> Trouble {
    let fault = failure::of_postgres(error).unwrap_or(Fault::Other);
    let Place { server, database, role, .. } = place;
    let kind = fault.as_str();
    let code = error.as_database_error().and_then(sqlx::error::DatabaseError::code).unwrap_or_default().into_owned();
    let says = error.as_database_error().map_or_else(|| error.to_string(), |error| error.message().to_owned());
    match fault {
        Fault::Unreachable => unreachable(error, &code, &says, place),
        Fault::Timeout | Fault::PoolTimeout => Trouble::in_time(
            kind,
            format!("Postgres at {server} does not answer in time"),
            "start it, or let this process through to it (firewall, NetworkPolicy), or correct DATABASE_URL",
        ),
        Fault::Auth => refused(&says, place),
        Fault::Permission => Trouble::by_hand(
            kind,
            format!("Postgres at {server} refuses role `{role}`: {says}"),
            grant_for(&says, place),
        ),
        Fault::ReadOnly => read_only(place),
        Fault::DiskFull => Trouble::in_time(
            kind,
            format!("the disk of Postgres at {server} is full"),
            "make room on it: enlarge the volume, or lower EVENTS_KEPT_DAYS and RUNS_KEPT_DAYS",
        ),
        Fault::Schema if code == "3D000" => Trouble::by_hand(
            kind,
            format!("Postgres at {server} has no database `{database}`"),
            format!("create it (CREATE DATABASE \"{database}\" OWNER \"{role}\"), or correct DATABASE_URL"),
        ),
        Fault::Schema => Trouble::in_time(
            kind,
            format!("database `{database}` has no schema of Switchboard, or an old one ({says})"),
            "run `switchboard-api migrate`",
        ),
        Fault::TooManyConnections => Trouble::in_time(
            kind,
            format!("Postgres at {server} has no connection left ({says})"),
            "raise its max_connections, or lower DATABASE_CONNECTIONS or the number of processes",
        ),
        Fault::Constraint | Fault::Deadlock | Fault::Other => {
            Trouble::in_time(kind, format!("Postgres at {server} fails: {}", short(&says)), "see Postgres's log")
        }
    }
}

/// Postgres accepts no writes.
#[must_use]
pub fn read_only(place: &Place) -> Trouble {
    Trouble::in_time(
        Fault::ReadOnly.as_str(),
        format!("Postgres at {} takes no writes (a standby, or read-only)", place.server),
        "point DATABASE_URL at the primary, or wait until the fail-over has ended",
    )
}

/// The version of Postgres is too old.
#[must_use]
pub fn too_old(version: i32, place: &Place) -> Trouble {
    Trouble::by_hand(
        Fault::Schema.as_str(),
        format!("Postgres at {} is of version {version}", place.server),
        format!("Switchboard needs {OLDEST_VERSION} or newer: upgrade it"),
    )
}

/// The schema lacks migrations of this build.
#[must_use]
pub fn old_schema(found: Option<i64>, needed: i64, pending: usize, place: &Place) -> Trouble {
    let what = match found {
        Some(found) => {
            format!("the schema of database `{}` is old: {found}, {pending} behind {needed}", place.database)
        }
        None => format!("database `{}` has no schema of Switchboard yet", place.database),
    };
    Trouble::in_time(Fault::Schema.as_str(), what, "run `switchboard-api migrate` of this release")
}

/// A migration was started and has not finished.
#[must_use]
pub fn unfinished_schema(version: i64, place: &Place) -> Trouble {
    Trouble::in_time(
        Fault::Schema.as_str(),
        format!("migration {version} of database `{}` has begun and not ended", place.database),
        "wait for `switchboard-api migrate`; if none runs, it failed halfway: see its log, and run it again",
    )
}

/// The role may not see any schema.
#[must_use]
pub fn no_schema_in_sight(place: &Place) -> Trouble {
    Trouble::by_hand(
        Fault::Permission.as_str(),
        format!("role `{}` may not use the schema of database `{}`", place.role, place.database),
        grant_for("for schema", place),
    )
}

/// The role may not use these tables.
#[must_use]
pub fn lacks_rights(tables: &[String], place: &Place) -> Trouble {
    let role = &place.role;
    let named = match tables {
        [] => String::new(),
        [one] => one.clone(),
        [one, rest @ ..] => format!("{one} and {} more", rest.len()),
    };
    Trouble::by_hand(
        Fault::Permission.as_str(),
        format!("role `{role}` may not read and write table {named} of database `{}`", place.database),
        grant_tables(role),
    )
}

fn grant_tables(role: &str) -> String {
    format!("GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA public TO \"{role}\"")
}

/// The statement that grants the missing right, chosen by the error text of Postgres.
fn grant_for(says: &str, place: &Place) -> String {
    let Place { database, role, .. } = place;
    if says.contains("for database") {
        format!("GRANT CONNECT, CREATE ON DATABASE \"{database}\" TO \"{role}\"")
    } else if says.contains("for schema") {
        format!("GRANT USAGE ON SCHEMA public TO \"{role}\"; `migrate` needs CREATE, too")
    } else if says.contains("must be owner") {
        format!("run `migrate` as the role that made the schema, or make `{role}` a member of it")
    } else {
        grant_tables(role)
    }
}

fn unreachable(error: &sqlx::Error, code: &str, says: &str, place: &Place) -> Trouble {
    let kind = Fault::Unreachable.as_str();
    let server = &place.server;
    if let sqlx::Error::Tls(cause) = error {
        return tls(&cause.to_string(), place);
    }
    if says.contains("lookup address") {
        return Trouble::in_time(
            kind,
            format!("there is no host `{}`", place.host),
            "correct the host in DATABASE_URL, or the name service",
        );
    }
    if certificate(says) {
        return tls(says, place);
    }
    match code {
        "57P03" | "57P01" | "57P02" => Trouble::in_time(
            kind,
            format!("Postgres at {server} is starting or stopping ({says})"),
            "wait for it; if it lasts, see Postgres's log",
        ),
        _ => Trouble::in_time(
            kind,
            format!("Postgres at {server} can't be reached ({})", short(says)),
            "start it, or let this process through to it (firewall, NetworkPolicy), or correct DATABASE_URL",
        ),
    }
}

/// Whether a text is about certificates or handshakes.
fn certificate(says: &str) -> bool {
    ["certificate", "TLS", "handshake"].iter().any(|word| says.contains(word))
}

fn tls(says: &str, place: &Place) -> Trouble {
    let server = &place.server;
    let (what, fix) = if says.contains("does not support TLS") {
        ("speaks no TLS", "turn it on there (ssl = on), or leave it out of DATABASE_URL (sslmode=prefer)")
    } else if says.contains("xpired") {
        ("shows an expired certificate", "renew the server's certificate")
    } else if says.contains("NotValidForName") || says.contains("not valid for name") {
        (
            "shows a certificate for another name",
            "name the host in DATABASE_URL as the certificate does, or use sslmode=verify-ca",
        )
    } else if says.contains("UnknownIssuer") {
        (
            "shows a certificate of an unknown authority",
            "name the authority's file: …?sslrootcert=/path/ca.crt in DATABASE_URL",
        )
    } else {
        ("fails the TLS handshake", "look at sslmode, sslrootcert, sslcert and sslkey in DATABASE_URL")
    };
    Trouble::by_hand(Fault::Unreachable.as_str(), format!("Postgres at {server} {what} ({})", short(says)), fix)
}

fn refused(says: &str, place: &Place) -> Trouble {
    let Place { server, database, role, .. } = place;
    let (what, fix) = if says.contains("does not exist") {
        (
            format!("Postgres at {server} has no role `{role}`"),
            format!("create it (CREATE ROLE \"{role}\" LOGIN PASSWORD …), or correct DATABASE_URL"),
        )
    } else if says.contains("not permitted to log in") {
        (format!("role `{role}` may not log in at {server}"), format!("ALTER ROLE \"{role}\" LOGIN"))
    } else if says.contains("no encryption") {
        (
            format!("Postgres at {server} wants TLS, or has no rule for role `{role}` and database `{database}`"),
            "add ?sslmode=require to DATABASE_URL, or a line to pg_hba.conf".to_owned(),
        )
    } else if says.contains("pg_hba.conf") {
        (
            format!("Postgres at {server} has no rule for role `{role}`, database `{database}` and this host"),
            "add a line to pg_hba.conf".to_owned(),
        )
    } else {
        (
            format!("Postgres at {server} refuses the password of role `{role}`"),
            "put the right one into DATABASE_URL (or the file of DATABASE_URL_FILE) and restart".to_owned(),
        )
    };
    Trouble::by_hand(Fault::Auth.as_str(), what, fix)
}

/// The useful part of an error text of the driver.
fn short(says: &str) -> &str {
    let says = says.strip_prefix("error communicating with database: ").unwrap_or(says);
    says.strip_prefix("error occurred while attempting to establish a TLS connection: ").unwrap_or(says)
}

#[cfg(test)]
mod tests {
    use std::str::FromStr as _;

    use super::*;

    fn place() -> Place {
        Place::from(&PgConnectOptions::from_str("postgres://ada:s3cret@db.example:5433/calls").unwrap())
    }

    #[test]
    fn a_place_holds_no_password() {
        let place = place();
        assert_eq!((place.server.as_str(), place.database.as_str()), ("db.example:5433", "calls"));
        assert!(!format!("{place:?}").contains("s3cret"));
    }

    #[test]
    fn each_refusal_names_what_helps() {
        for (says, helps) in [
            ("password authentication failed for user \"ada\"", "put the right one into DATABASE_URL"),
            ("role \"ada\" does not exist", "CREATE ROLE \"ada\""),
            ("role \"ada\" is not permitted to log in", "ALTER ROLE \"ada\" LOGIN"),
            (
                "no pg_hba.conf entry for host \"::1\", user \"ada\", database \"calls\", no encryption",
                "sslmode=require",
            ),
            ("no pg_hba.conf entry for host \"::1\", user \"ada\", database \"calls\", SSL encryption", "pg_hba.conf"),
        ] {
            assert!(refused(says, &place()).fix.contains(helps), "{says}");
        }
    }

    #[test]
    fn each_failure_of_tls_names_what_helps() {
        for (says, helps) in [
            ("server does not support TLS", "sslmode=prefer"),
            ("invalid peer certificate: Expired", "renew"),
            ("invalid peer certificate: certificate expired: verification time 1 (UNIX)", "renew"),
            ("invalid peer certificate: UnknownIssuer", "sslrootcert"),
            ("invalid peer certificate: certificate not valid for name \"x\"", "verify-ca"),
            ("something else", "sslmode, sslrootcert"),
        ] {
            let error = sqlx::Error::Tls(says.into());
            assert!(of(&error, &place()).fix.contains(helps), "{says}");
        }
    }

    #[test]
    fn each_missing_right_names_the_grant() {
        for (says, helps) in [
            ("permission denied for database \"calls\"", "GRANT CONNECT, CREATE ON DATABASE \"calls\" TO \"ada\""),
            ("permission denied for schema public", "GRANT USAGE ON SCHEMA public TO \"ada\""),
            ("permission denied for table runs", "GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES"),
            ("must be owner of table runs", "as the role that made the schema"),
        ] {
            assert!(grant_for(says, &place()).contains(helps), "{says}");
        }
        let lacks = lacks_rights(&["runs".to_owned(), "events".to_owned()], &place());
        assert!(lacks.what.contains("runs and 1 more"), "{lacks}");
    }

    #[test]
    fn a_host_that_is_not_there_and_one_that_refuses() {
        let io = |text: &str| sqlx::Error::Io(std::io::Error::other(text.to_owned()));
        let missing = of(&io("failed to lookup address information: Name or service not known"), &place());
        assert_eq!(missing.what, "there is no host `db.example`");
        let refused = of(&io("Connection refused (os error 111)"), &place());
        assert_eq!(refused.what, "Postgres at db.example:5433 can't be reached (Connection refused (os error 111))");
    }
}
