//! What tests of several crates share.

pub mod contract;
pub mod many_due;
mod port;
mod postgres_server;
mod printed;
mod proxy;
mod redis_server;
pub mod settings;
mod told;
pub mod witness;

pub use port::free_port;
pub use postgres_server::{PASSWORD, PostgresServer};
pub use printed::{printed, printed_help};
pub use proxy::{Line, Proxy};
pub use redis_server::RedisServer;
pub use told::{put_event, wrong_events};
