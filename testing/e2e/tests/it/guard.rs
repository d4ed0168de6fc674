//! The Postgres and Redis that `make up` starts for real accounts refuse other users of the machine (R100).

use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;
use std::process::{Command, Output};

use sqlx::{Connection as _, PgConnection};

/// Servers in a folder of their own. They end when this value is dropped.
struct Servers {
    data: PathBuf,
}

impl Servers {
    fn call(&self, what: &str, guard: bool) -> Output {
        let mut command = Command::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../../dev/servers"));
        command.arg(what).env("SWITCHBOARD_DATA", &self.data).env_remove("DATABASE_URL").env_remove("REDIS_URL");
        command.env_remove("SWITCHBOARD_GUARD");
        if guard {
            command.env("SWITCHBOARD_GUARD", "yes");
        }
        let done = command.output().unwrap();
        assert!(done.status.success(), "{what}: {}", String::from_utf8_lossy(&done.stderr));
        done
    }

    /// The value of a variable that `dev/servers env` prints.
    fn url(&self, name: &str) -> String {
        let printed = String::from_utf8(self.call("env", false).stdout).unwrap();
        let line = printed.lines().find_map(|line| line.strip_prefix(&format!("{name}=")));
        line.unwrap().trim_matches('\'').to_owned()
    }
}

impl Drop for Servers {
    fn drop(&mut self) {
        self.call("purge", false);
        std::fs::remove_dir_all(&self.data).unwrap();
    }
}

/// R100: only a client with the password is let in, even if the data was created without one. No other user can read
/// the password.
#[tokio::test]
async fn the_servers_of_real_accounts_take_no_other_user() {
    for (place, made_open) in ["new", "old"].into_iter().zip([false, true]) {
        let data = std::env::temp_dir().join(format!("switchboard-guard-{place}-{}", std::process::id()));
        std::fs::create_dir_all(&data).unwrap();
        let servers = Servers { data };
        if made_open {
            servers.call("up", false);
            servers.call("down", false);
        }
        servers.call("up", true);
        let (postgres, redis) = (servers.url("DATABASE_URL"), servers.url("REDIS_URL"));
        let mut inside = PgConnection::connect(&postgres).await.unwrap();
        assert_eq!(sqlx::query_scalar::<_, i32>("SELECT 1").fetch_one(&mut inside).await.unwrap(), 1);
        let mut answers =
            redis::Client::open(redis.as_str()).unwrap().get_multiplexed_async_connection().await.unwrap();
        redis::cmd("PING").exec_async(&mut answers).await.unwrap();

        let mut stranger = url::Url::parse(&postgres).unwrap();
        stranger.set_password(None).unwrap();
        for role in ["switchboard", "postgres"] {
            stranger.set_username(role).unwrap();
            assert!(PgConnection::connect(stranger.as_str()).await.is_err(), "{place}: {role} without a password");
        }
        let mut stranger = url::Url::parse(&redis).unwrap();
        stranger.set_password(None).unwrap();
        let client = redis::Client::open(stranger.as_str()).unwrap();
        let asked = async {
            let mut connection = client.get_multiplexed_async_connection().await?;
            redis::cmd("PING").exec_async(&mut connection).await
        };
        assert!(asked.await.is_err(), "{place}: Redis without a password");
        for file in ["servers.env", "servers.password", "redis/redis.conf"] {
            let mode = std::fs::metadata(servers.data.join(file)).unwrap().permissions().mode();
            assert_eq!(mode & 0o077, 0, "{place}: {file}");
        }
    }
}
