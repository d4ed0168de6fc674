//! Traces: the steps of a piece of work, from the request to the webhook. Call sites say what they do. Only this module
//! names span kinds and attributes, by the semantic conventions of OpenTelemetry 1.44 (messaging: in development; HTTP:
//! stable).
//!
//! Only spans of [`TARGET`] are exported, and only this module creates them: spans of libraries and log lines are never
//! exported. No attribute contains a phone number, an address, a text, a host or a key. Without tracing, a step costs
//! one check of a flag.

pub mod carried;
pub mod collector;
pub mod export;
pub mod provider;
mod said;
pub mod sampler;
mod step;
mod target;

pub use said::Fault;
pub use step::{
    Destination, Step, carry, claim, create, here, id, is_on, process, receive, request, ring, send, settle, write,
};
pub use target::TARGET;
