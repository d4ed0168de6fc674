//! A cluster: what its parts are told, and the ways in which a part can be started.

use std::collections::BTreeMap;

/// Seals credentials, where nobody brings keys of his own.
pub const CREDENTIAL_KEYS: &str = "1:MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY=";
/// Any version will do for the simulator; asking WhatsApp for the current one would need the Internet.
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
    /// What its file is called.
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

/// What parts are told: variables of `docs/configuration.md` and their values. What a part does not know it ignores.
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

    /// These and more; the last word counts.
    #[must_use]
    pub fn with(&self, more: &[(&str, &str)]) -> Self {
        let mut all = self.clone();
        more.iter().for_each(|(name, value)| all.set(name, *value));
        all
    }

    /// Sets one.
    pub fn set(&mut self, name: &str, value: impl Into<String>) {
        self.0.insert(name.to_owned(), value.into());
    }

    /// The value of one.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(String::as_str)
    }

    /// All of them.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.iter().map(|(name, value)| (name.as_str(), value.as_str()))
    }
}

/// A way to start parts: as processes ([`Processes`](crate::Processes)), or in the process that asks (`e2e::InProcess`, since
/// it needs the parts' crates, whose own tests need this one).
pub trait Starter {
    /// A part that runs.
    type Part;

    /// Starts a part under a name, which its log has, with these settings. What they say nothing of, such as its ports, is
    /// chosen.
    ///
    /// # Errors
    /// When it can't be started.
    fn start(&self, program: Program, name: &str, settings: &Settings) -> anyhow::Result<Self::Part>;
}

/// A cluster: the settings that its parts share, and how they are started.
#[derive(Debug, Clone)]
pub struct Cluster<S> {
    /// How parts are started.
    pub starter: S,
    /// What each part is told.
    pub settings: Settings,
}

impl<S: Starter> Cluster<S> {
    /// Starts a part, which is told more than the others.
    ///
    /// # Errors
    /// When it can't be started.
    pub fn start(&self, program: Program, name: &str, more: &[(&str, &str)]) -> anyhow::Result<S::Part> {
        self.starter.start(program, name, &self.settings.with(more))
    }
}
