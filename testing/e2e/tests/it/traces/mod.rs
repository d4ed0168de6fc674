//! Traces, as a collector receives them.

mod line;
mod sink;
mod story;
