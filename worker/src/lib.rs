//! The worker: claims accounts, holds one WhatsApp connection for each, drains their outboxes and answers bells.

pub mod config;
pub mod context;
pub mod doctor;
pub mod fleet;
pub mod jobs;
pub mod keys;
pub mod link;
mod parts;
pub mod run;
pub mod session;

pub use config::{Cli, Command, Config};
pub use run::run;
