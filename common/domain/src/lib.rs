//! The words and rules of the house, without I/O: ids, numbers, accounts, messages, runs, events, webhooks, bells. A row of
//! Postgres or a schema of OpenAPI is made of them where a feature asks for it.

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
