//! The right to act, checked right before each frame.

use std::fmt;
use std::sync::Arc;

/// Whether the worker may act for the account at this moment. A process that was frozen resumes in the middle of its
/// work: a frame that it was about to send must not leave if its right has run out meanwhile.
#[derive(Clone)]
pub struct MayAct(Arc<dyn Fn() -> bool + Send + Sync>);

impl MayAct {
    /// Asks this function each time.
    pub fn when(holds: impl Fn() -> bool + Send + Sync + 'static) -> Self {
        Self(Arc::new(holds))
    }

    /// Always true, for links without a lease, such as those in tests of a link.
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
