//! What tests of several crates share.

pub mod many_due;
mod port;
mod proxy;
mod redis_server;
pub mod witness;

pub use port::free_port;
pub use proxy::{Line, Proxy};
pub use redis_server::RedisServer;
