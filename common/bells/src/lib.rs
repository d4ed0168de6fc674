//! Everything that uses Redis: bells, leases, signals for live streams, and the limit of new connections. All of it may
//! be lost without harm, because the rows in Postgres are the truth.

pub mod announce;
pub mod bus;
pub mod doctor;
pub mod doorbell;
pub mod keys;
pub mod lease;
pub mod limiter;
pub mod redis_health;
