//! Sets of label values that differ from binary to binary, or are declared at the start of one.

use std::sync::OnceLock;

use super::super::label::{Component, Label, Labels};
use super::super::version::{REVISION, VERSION};

/// A pool of connections to Postgres.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Pool {
    /// All rows except those that have a pool of their own.
    Rows,
    /// What a worker's sessions write and read together.
    Sessions,
    /// The messages that an api accepts together.
    Accepting,
    /// A worker's heartbeat.
    Keeping,
}

impl Label for Pool {
    fn all(of: Component) -> Vec<Self> {
        match of {
            Component::Api => vec![Self::Rows, Self::Accepting],
            Component::Worker => vec![Self::Rows, Self::Sessions, Self::Keeping],
            Component::Scheduler => vec![Self::Rows],
        }
    }

    fn word(self) -> &'static str {
        match self {
            Self::Rows => "rows",
            Self::Sessions => "sessions",
            Self::Accepting => "accepting",
            Self::Keeping => "keeping",
        }
    }
}

/// What Redis is used for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum RedisUser {
    /// Leases.
    Lease,
    /// Bells.
    Doorbell,
    /// Live signals.
    Bus,
    /// The connection limiter.
    Limiter,
    /// The pings behind `redis_ping_seconds`.
    Sample,
}

impl Label for RedisUser {
    fn all(of: Component) -> Vec<Self> {
        match of {
            Component::Worker => vec![Self::Lease, Self::Doorbell, Self::Bus, Self::Limiter, Self::Sample],
            Component::Api | Component::Scheduler => vec![Self::Doorbell, Self::Bus, Self::Sample],
        }
    }

    fn word(self) -> &'static str {
        match self {
            Self::Lease => "lease",
            Self::Doorbell => "doorbell",
            Self::Bus => "bus",
            Self::Limiter => "limiter",
            Self::Sample => "sample",
        }
    }
}

/// What waits in the rows, and for what reason.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Waiting {
    kind: &'static str,
    reason: &'static str,
}

impl Waiting {
    /// Every kind with each of its reasons.
    pub const ALL: &[Self] = &[
        Self::new("message", "ready"),
        Self::new("message", "unowned"),
        Self::new("message", "offline"),
        Self::new("message", "unlinked"),
        Self::new("message", "held"),
        Self::new("message", "banned"),
        Self::new("pairing", "ready"),
        Self::new("unpairing", "ready"),
        Self::new("group_sync", "ready"),
        Self::new("run", "ready"),
        Self::new("reminder", "ready"),
        Self::new("delivery", "ready"),
        Self::new("delivery", "retry"),
    ];

    const fn new(kind: &'static str, reason: &'static str) -> Self {
        Self { kind, reason }
    }

    /// The kind of the waiting rows.
    #[must_use]
    pub const fn kind(self) -> &'static str {
        self.kind
    }

    /// The reason why they wait.
    #[must_use]
    pub const fn reason(self) -> &'static str {
        self.reason
    }
}

impl Labels for Waiting {
    fn all(_: Component) -> Vec<Self> {
        Self::ALL.to_vec()
    }

    fn words(self) -> Vec<&'static str> {
        vec![self.kind, self.reason]
    }

    fn sets() -> Vec<String> {
        let reasons = |kind: &str| {
            let own = Self::ALL.iter().filter(|one| one.kind == kind);
            own.map(|one| one.reason).collect::<Vec<_>>().join(", ")
        };
        let mut kinds: Vec<&str> = Self::ALL.iter().map(|one| one.kind).collect();
        kinds.dedup();
        vec![
            kinds.join(", "),
            format!("message: {}; delivery: {}; else ready", reasons("message"), reasons("delivery")),
        ]
    }
}

/// The build of a binary: one series with the value 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Build(Component);

impl Labels for Build {
    fn all(of: Component) -> Vec<Self> {
        vec![Self(of)]
    }

    fn words(self) -> Vec<&'static str> {
        vec![self.0.as_str(), VERSION, REVISION]
    }

    fn sets() -> Vec<String> {
        vec!["api, worker, scheduler".to_owned(), "as in Cargo.toml".to_owned(), "git's, or unknown".to_owned()]
    }
}

static DUTIES: OnceLock<Vec<&'static str>> = OnceLock::new();

/// A duty of the scheduler, named as its file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Duty(pub &'static str);

impl Duty {
    /// Declares the duties. Call it once, before the page is made.
    pub fn are(names: impl IntoIterator<Item = &'static str>) {
        DUTIES.get_or_init(|| names.into_iter().collect());
    }
}

impl Label for Duty {
    const SAYS: Option<&'static str> = Some("the duties of `scheduler/src/duties`");

    fn all(_: Component) -> Vec<Self> {
        DUTIES.get().into_iter().flatten().map(|name| Self(name)).collect()
    }

    fn word(self) -> &'static str {
        self.0
    }
}

static ENDPOINTS: OnceLock<Vec<Endpoint>> = OnceLock::new();

/// A route of the API with one of its methods. Only declared ones have a series of their own; anything else that a
/// client requests is `unmatched`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Endpoint {
    route: &'static str,
    method: &'static str,
}

impl Endpoint {
    /// No such route, or no such method of it.
    pub const UNMATCHED: Self = Self { route: "unmatched", method: "other" };

    /// Declares the routes. Call it once, before the page is made.
    pub fn are(routes: impl IntoIterator<Item = (String, &'static str)>) {
        ENDPOINTS.get_or_init(|| {
            let known = routes.into_iter().map(|(route, method)| Self { route: route.leak(), method });
            known.chain([Self::UNMATCHED]).collect()
        });
    }

    /// The declared endpoint. `HEAD` counts as `GET`.
    #[must_use]
    pub fn of(route: Option<&str>, method: &str) -> Self {
        let method = if method == "HEAD" { "GET" } else { method };
        let known = ENDPOINTS.get().into_iter().flatten();
        known.copied().find(|one| Some(one.route) == route && one.method == method).unwrap_or(Self::UNMATCHED)
    }

    /// The route's pattern.
    #[must_use]
    pub const fn route(self) -> &'static str {
        self.route
    }
}

impl Labels for Endpoint {
    fn all(_: Component) -> Vec<Self> {
        ENDPOINTS.get().map_or_else(|| vec![Self::UNMATCHED], Clone::clone)
    }

    fn words(self) -> Vec<&'static str> {
        vec![self.route, self.method]
    }

    fn sets() -> Vec<String> {
        vec!["the routes of the API, unmatched".to_owned(), "their methods, other".to_owned()]
    }
}
