//! One test binary: a module per part of `src`.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::disallowed_methods, reason = "tests")]

mod answer;
mod attempts;
mod backlog;
mod config;
mod fake;
mod house;
mod keys;
mod link;
mod machine;
mod model;
mod placement;
mod session;
mod settings;
mod startup;
mod stop;
mod supervisor;
mod trust;
mod window;
