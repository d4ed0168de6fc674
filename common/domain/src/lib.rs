//! The terms and rules of the domain, without I/O: ids, phone numbers, accounts, messages, runs, events, webhooks,
//! bells.
//!
//! Features add what Postgres columns (`sqlx`) and OpenAPI schemas (`openapi`) need.

pub mod account;
pub mod committed;
pub mod conflict;
pub mod event;
pub mod id;
pub mod jid;
pub mod job;
pub mod message;
pub mod phone;
pub mod reminder;
pub mod run;
pub mod visible;
pub mod webhook;
