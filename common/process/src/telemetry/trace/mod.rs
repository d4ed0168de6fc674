//! Traces: the steps of a story, from the request to the webhook. Call sites say what they do; kinds and attributes are named
//! here alone, by the semantic conventions of OpenTelemetry 1.44 (messaging: in development; HTTP: stable).
//!
//! Only spans of [`TARGET`] are exported, and only this module makes them: what libraries and log lines say never leaves with
//! a trace. No attribute holds a number, an address, a text, a host or a key. Where nobody traces, a step costs a look at a
//! flag.

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
