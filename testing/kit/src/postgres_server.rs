//! A Postgres server for one test.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "test support: a failure is a panic")]

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use sqlx::{AssertSqlSafe, Connection as _, PgConnection};

/// The superuser's password for connections over TCP.
pub const PASSWORD: &str = "owner-of-everything";

/// A Postgres server for tests that stop it or change its settings, its roles or who may connect. Over TCP every role
/// needs a password. The server ends when this value is dropped.
#[derive(Debug)]
pub struct PostgresServer {
    bin: PathBuf,
    dir: tempfile::TempDir,
    port: u16,
}

impl PostgresServer {
    /// Creates and starts a server.
    ///
    /// # Panics
    /// If Postgres is not installed or does not come up.
    #[must_use]
    pub fn start() -> Self {
        let dir = tempfile::Builder::new().prefix("switchboard-pg-").tempdir_in("/var/tmp").expect("a directory");
        let server = Self { bin: bin(), dir, port: super::port::free_port() };
        if as_root() {
            run(Command::new("chown").arg("postgres").arg(server.dir.path()));
        }
        let password = server.dir.path().join("password");
        std::fs::write(&password, PASSWORD).unwrap();
        run(Command::new("chmod").arg("644").arg(&password));
        let data = server.data();
        run(server
            .program("initdb")
            .args(["-U", "postgres", "--auth-local=trust", "--auth-host=scram-sha-256", "-N"])
            .args([
                "--encoding=UTF8".as_ref(),
                "--locale=C".as_ref(),
                "--pwfile".as_ref(),
                password.as_os_str(),
                "-D".as_ref(),
                data.as_os_str(),
            ]));
        server.up();
        server
    }

    fn data(&self) -> PathBuf {
        self.dir.path().join("data")
    }

    /// A directory that the server may write to. It is removed with the server.
    #[must_use]
    pub fn dir(&self) -> &Path {
        self.dir.path()
    }

    /// Gives a file to the server, readable by nobody else, as Postgres demands for a key.
    ///
    /// # Panics
    /// If this fails.
    pub fn owns(&self, path: &Path) {
        run(Command::new("chmod").arg("600").arg(path));
        if as_root() {
            run(Command::new("chown").arg("postgres").arg(path));
        }
    }

    /// A program of Postgres, which runs as the owner of the data.
    fn program(&self, name: &str) -> Command {
        let path = self.bin.join(name);
        let mut command = if as_root() {
            let mut command = Command::new("setpriv");
            command.args(["--reuid=postgres", "--regid=postgres", "--clear-groups", "--"]).arg(path);
            command
        } else {
            Command::new(path)
        };
        command.current_dir("/").stdin(Stdio::null()).stdout(Stdio::null());
        command
    }

    /// Starts it.
    ///
    /// # Panics
    /// If it does not come up.
    pub fn up(&self) {
        let (data, log) = (self.data(), self.dir.path().join("log"));
        let options =
            format!("-p {} -c listen_addresses=127.0.0.1 -c fsync=off -k {}", self.port, self.dir.path().display());
        let mut start = self.program("pg_ctl");
        start.args(["start", "-w", "-t", "60", "-o", &options, "-D"]).arg(data).arg("-l").arg(&log);
        let began = Instant::now();
        while !start.status().unwrap().success() {
            assert!(began.elapsed() < Duration::from_secs(30), "{}", std::fs::read_to_string(&log).unwrap_or_default());
        }
    }

    /// Stops it at once, without a clean shutdown.
    pub fn down(&self) {
        let _ = self.program("pg_ctl").args(["stop", "-w", "-m", "immediate", "-D"]).arg(self.data()).status();
    }

    /// Its URL for a role with its password and a database.
    #[must_use]
    pub fn url(&self, role: &str, password: &str, database: &str) -> String {
        format!("postgres://{role}:{password}@127.0.0.1:{}/{database}", self.port)
    }

    /// Its port.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Runs each of these statements by itself, as the superuser.
    ///
    /// # Panics
    /// If one fails.
    pub async fn run(&self, database: &str, statements: &[&str]) {
        let mut db = PgConnection::connect(&self.url("postgres", PASSWORD, database)).await.unwrap();
        for statement in statements {
            let done = sqlx::raw_sql(AssertSqlSafe((*statement).to_owned())).execute(&mut db).await;
            done.unwrap_or_else(|error| panic!("{statement}: {error}"));
        }
    }

    /// Replaces the rules of `pg_hba.conf`, and makes the server read them.
    pub async fn lets_in(&self, lines: &str) {
        let path = self.data().join("pg_hba.conf");
        std::fs::write(path, format!("local all all trust\nhost all postgres 127.0.0.1/32 scram-sha-256\n{lines}\n"))
            .unwrap();
        self.run("postgres", &["SELECT pg_reload_conf()"]).await;
    }
}

impl Drop for PostgresServer {
    fn drop(&mut self) {
        self.down();
    }
}

fn as_root() -> bool {
    rustix::process::getuid().is_root()
}

/// The programs of the newest installed version.
fn bin() -> PathBuf {
    let installed = std::fs::read_dir("/usr/lib/postgresql").into_iter().flatten().flatten();
    let mut versions: Vec<PathBuf> = installed.map(|version| version.path().join("bin")).collect();
    versions.sort();
    versions.retain(|bin| bin.join("initdb").exists());
    versions.pop().unwrap_or_else(|| PathBuf::from("/usr/local/bin"))
}

fn run(command: &mut Command) {
    let done = command.stdin(Stdio::null()).output().unwrap_or_else(|error| panic!("{command:?}: {error}"));
    assert!(done.status.success(), "{command:?}: {}", String::from_utf8_lossy(&done.stderr));
}
