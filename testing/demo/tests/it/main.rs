//! One test binary.
mod help;
