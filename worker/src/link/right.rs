//! The right to speak, asked right before each frame.

use std::fmt;
use std::sync::Arc;

/// Whether the account may be spoken for just now. A process that was frozen wakes up in the middle of whatever it did: what it
/// was about to say must not leave it when its right has run out meanwhile.
#[derive(Clone)]
pub struct MayAct(Arc<dyn Fn() -> bool + Send + Sync>);

impl MayAct {
    /// As this says, each time.
    pub fn when(holds: impl Fn() -> bool + Send + Sync + 'static) -> Self {
        Self(Arc::new(holds))
    }

    /// Always: for whoever has no lease, as tests of a link.
    #[must_use]
    pub fn always() -> Self {
        Self::when(|| true)
    }

    /// Whether it holds now.
    #[must_use]
    pub fn holds(&self) -> bool {
        (self.0)()
    }
}

impl fmt::Debug for MayAct {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("MayAct").field(&self.holds()).finish()
    }
}
