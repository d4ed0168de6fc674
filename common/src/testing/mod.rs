//! What tests of several crates share.

mod proxy;
mod redis_server;
pub mod witness;

pub use proxy::{Line, Proxy};
pub use redis_server::RedisServer;
