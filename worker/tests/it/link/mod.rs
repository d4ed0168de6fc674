//! Links to WhatsApp: the real client, over the wire, against the simulator, with credentials in Postgres.

mod channel;
#[cfg(feature = "simulator")]
mod ends;
#[cfg(feature = "simulator")]
mod house;
#[cfg(feature = "simulator")]
mod messages;
#[cfg(feature = "simulator")]
mod pairing;
