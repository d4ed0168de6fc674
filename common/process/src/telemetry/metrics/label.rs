//! The values of labels. Each label has a closed set of values, known before the first event. So no call site invents
//! one, and each series starts at 0.

/// The three binaries.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Component {
    /// `switchboard-api`
    Api,
    /// `switchboard-worker`
    Worker,
    /// `switchboard-scheduler`
    Scheduler,
}

impl Component {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Api, Self::Worker, Self::Scheduler];

    /// Its name without `switchboard-`.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Api => "api",
            Self::Worker => "worker",
            Self::Scheduler => "scheduler",
        }
    }
}

/// One label, which has a closed set of values.
pub trait Label: Copy + Send + Sync + 'static {
    /// The text for the documentation, if only the running binary knows the values.
    const SAYS: Option<&'static str> = None;

    /// Every value that is possible in this binary.
    fn all(of: Component) -> Vec<Self>;

    /// The value on the page.
    fn word(self) -> &'static str;
}

/// The labels of one series, in the order in which its metric names them.
pub trait Labels: Copy + Send + Sync + 'static {
    /// Every series that is possible in this binary.
    fn all(of: Component) -> Vec<Self>;

    /// The values on the page.
    fn words(self) -> Vec<&'static str>;

    /// The possible values of each label, for the documentation.
    fn sets() -> Vec<String>;
}

impl Labels for () {
    fn all(_: Component) -> Vec<Self> {
        vec![()]
    }

    fn words(self) -> Vec<&'static str> {
        Vec::new()
    }

    fn sets() -> Vec<String> {
        Vec::new()
    }
}

impl<L: Label> Labels for L {
    fn all(of: Component) -> Vec<Self> {
        <L as Label>::all(of)
    }

    fn words(self) -> Vec<&'static str> {
        vec![self.word()]
    }

    fn sets() -> Vec<String> {
        if let Some(says) = L::SAYS {
            return vec![says.to_owned()];
        }
        let mut words: Vec<&str> = Vec::new();
        for word in Component::ALL.into_iter().flat_map(<L as Label>::all).map(Label::word) {
            if !words.contains(&word) {
                words.push(word);
            }
        }
        vec![words.join(", ")]
    }
}

impl<A: Labels, B: Labels> Labels for (A, B) {
    fn all(of: Component) -> Vec<Self> {
        A::all(of).into_iter().flat_map(|a| B::all(of).into_iter().map(move |b| (a, b))).collect()
    }

    fn words(self) -> Vec<&'static str> {
        let mut words = self.0.words();
        words.extend(self.1.words());
        words
    }

    fn sets() -> Vec<String> {
        let mut sets = A::sets();
        sets.extend(B::sets());
        sets
    }
}

/// Declares labels: an enum, its values, and the list of all.
macro_rules! labels {
    ($($(#[$doc:meta])* $name:ident { $($variant:ident = $word:literal),+ $(,)? })+) => {$(
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        pub enum $name { $(#[doc = concat!("`", $word, "`")] $variant),+ }

        impl $name {
            /// All of them.
            pub const ALL: &[Self] = &[$(Self::$variant),+];

            /// The value on the page.
            #[must_use]
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $word),+ }
            }
        }

        impl $crate::telemetry::metrics::label::Label for $name {
            fn all(_: $crate::telemetry::metrics::label::Component) -> Vec<Self> {
                Self::ALL.to_vec()
            }

            fn word(self) -> &'static str {
                self.as_str()
            }
        }
    )+};
}
pub(super) use labels;
