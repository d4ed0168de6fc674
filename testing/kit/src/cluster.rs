//! A cluster: the settings of its parts, and the ways to start a part.

use std::collections::BTreeMap;

/// The keys that seal credentials if a test has none of its own.
pub const CREDENTIAL_KEYS: &str = "1:MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY=";
/// Any version works with the simulator. Without it, a worker would ask WhatsApp for the current one, which needs the
/// Internet.
pub const WHATSAPP_VERSION: &str = "2.3000.1023223821";

/// A program of ours.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Program {
    /// The api.
    Api,
    /// The worker.
    Worker,
    /// The scheduler.
    Scheduler,
    /// The simulated WhatsApp.
    Simulator,
}

impl Program {
    /// The name of its file.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Api => "switchboard-api",
            Self::Worker => "switchboard-worker",
            Self::Scheduler => "switchboard-scheduler",
            Self::Simulator => "switchboard-simulator",
        }
    }
}

/// Settings of parts: variables of `docs/configuration.md` with their values. A part ignores variables that it does not
/// have.
#[derive(Debug, Clone, Default)]
pub struct Settings(BTreeMap<String, String>);

impl Settings {
    /// For a simulated WhatsApp: known keys, a fixed version, few one-time keys.
    #[must_use]
    pub fn simulated() -> Self {
        Self::default().with(&[
            ("CREDENTIAL_KEYS", CREDENTIAL_KEYS),
            ("WHATSAPP_VERSION", WHATSAPP_VERSION),
            ("PRE_KEYS", "20"),
        ])
    }

    /// These settings and more. A later value replaces an earlier one.
    #[must_use]
    pub fn with(&self, more: &[(&str, &str)]) -> Self {
        let mut all = self.clone();
        more.iter().for_each(|(name, value)| all.set(name, *value));
        all
    }

    /// Sets a value.
    pub fn set(&mut self, name: &str, value: impl Into<String>) {
        self.0.insert(name.to_owned(), value.into());
    }

    /// The value of a variable.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(String::as_str)
    }

    /// All variables with their values.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.iter().map(|(name, value)| (name.as_str(), value.as_str()))
    }
}

/// A way to start parts: as processes ([`Processes`](crate::Processes)), or in the calling process (`e2e::InProcess`).
/// The second one is in `e2e`, because it needs the parts' crates, whose own tests need this crate.
pub trait Starter {
    /// A part that runs.
    type Part;

    /// Starts a part with these settings. `name` is the name of its log. Ports that the settings do not give are
    /// chosen.
    ///
    /// # Errors
    /// If it can't be started.
    fn start(&self, program: Program, name: &str, settings: &Settings) -> anyhow::Result<Self::Part>;
}

/// A cluster: the settings that its parts share, and how they are started.
#[derive(Debug, Clone)]
pub struct Cluster<S> {
    /// Starts the parts.
    pub starter: S,
    /// The settings of every part.
    pub settings: Settings,
}

impl<S: Starter> Cluster<S> {
    /// Starts a part with settings in addition to the shared ones.
    ///
    /// # Errors
    /// If it can't be started.
    pub fn start(&self, program: Program, name: &str, more: &[(&str, &str)]) -> anyhow::Result<S::Part> {
        self.starter.start(program, name, &self.settings.with(more))
    }
}
