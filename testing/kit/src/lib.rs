//! What tests of several crates share. Without the feature `stores` it contains only clients of the gateway and of its
//! processes, and depends on none of our crates.

mod cluster;
mod health;
pub mod http;
mod phones;
mod port;
mod printed;
mod processes;
mod proxy;
mod redis_server;
mod wait;

#[cfg(feature = "stores")]
pub mod contract;
#[cfg(feature = "stores")]
mod gateway;
#[cfg(feature = "stores")]
pub mod many_due;
#[cfg(feature = "stores")]
mod postgres_server;
#[cfg(feature = "stores")]
pub mod rows;
#[cfg(feature = "stores")]
mod scene;
#[cfg(feature = "stores")]
pub mod settings;
#[cfg(feature = "stores")]
mod told;
#[cfg(feature = "stores")]
pub mod witness;

pub use cluster::{CREDENTIAL_KEYS, Cluster, Program, Settings, Starter, WHATSAPP_VERSION};
pub use health::{health, reads};
pub use http::Answer;
pub use phones::Phones;
pub use port::free_port;
pub use printed::{printed, printed_help};
pub use processes::{Process, Processes, is_ready};
pub use proxy::{Line, Proxy};
pub use redis_server::{RedisServer, redis_prefix, redis_url};
pub use rustix::process::Signal;
pub use wait::{DEADLINE, reach, until, until_within};

#[cfg(feature = "stores")]
pub use gateway::{Gateway, promise};
#[cfg(feature = "stores")]
pub use postgres_server::{PASSWORD, PostgresServer};
#[cfg(feature = "stores")]
pub use scene::Scene;
#[cfg(feature = "stores")]
pub use told::{put_event, wrong_events};
