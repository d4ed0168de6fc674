//! All SQL of the project. Each table is written in the folder or file of its noun.
//!
//! A process opens a [`Store`]. The first argument of a function on tenants' rows says whose rows it may touch: one tenant's
//! ([`Of`], [`Within`]), one session's ([`Under`]), one webhook's ([`Owning`]), or those of all tenants ([`ForAllTenants`]). Functions that take a
//! [`PgPool`] touch no tenant's rows. They concern the server, the schema, the settings, and the rows of workers and
//! schedulers.

pub mod accounts;
pub mod admin;
pub mod api_keys;
pub mod audit;
mod batched;
pub mod credentials;
pub mod dashboard;
pub mod doctor;
pub mod era;
mod error;
pub mod events;
mod fence;
pub mod groups;
pub mod idempotency;
mod interval;
pub mod leases;
pub mod measure;
pub mod messages;
mod migrate;
pub mod notifications;
pub mod page;
pub mod pings;
mod pool;
pub mod reminders;
mod retry;
pub mod runs;
mod scope;
pub mod seal;
pub mod server;
pub mod settings;
pub mod signs;
pub mod startup;
pub mod tenants;
pub mod waiting;
pub mod webhooks;
pub mod workers;

pub use accounts::{pairing, passkeys, session};
pub use credentials::keys;
pub use error::{Error, Result};
pub use fence::Fence;
pub use leases::hand_overs;
pub use messages::{handing, inbound, outbox, unsent};
pub use migrate::{MIGRATOR, migrate};
pub use pool::{ANSWER, answered, connect, connect_impatiently, connect_lazily, options, ping};
pub use scope::{ForAllTenants, Of, Owning, Store, Tenants, Under, Within};
pub use sqlx::PgPool;
pub use sqlx::postgres::PgConnectOptions;
