//! Pure. Decides which traces are sampled. A trace is sampled as a whole: each later step follows the decision at its
//! beginning.

use opentelemetry::trace::{Link, SpanContext, SpanKind, TraceContextExt as _, TraceId, TraceState};
use opentelemetry::{Context, KeyValue};
use opentelemetry_sdk::trace::{Sampler, SamplingDecision, SamplingResult, ShouldSample};

/// Samples a share of the traces that begin here, and those that began elsewhere and are sampled there. Spans of other
/// traces are recorded as well, because they may end with an error: see [`super::export`].
#[derive(Debug, Clone)]
pub struct Stories {
    begins: Sampler,
}

impl Stories {
    /// Samples this share (0 to 1) of the traces that begin here.
    #[must_use]
    pub fn kept(share: f64) -> Self {
        Self { begins: Sampler::TraceIdRatioBased(share) }
    }

    fn keeps(&self, parent: &SpanContext, trace: TraceId, kind: &SpanKind, links: &[Link]) -> bool {
        if parent.is_valid() {
            return parent.is_sampled();
        }
        if !links.is_empty() {
            return links.iter().any(|link| link.span_context.is_sampled());
        }
        match kind {
            // it continues something that carries no trace, so its beginning was not sampled
            SpanKind::Consumer | SpanKind::Client => false,
            SpanKind::Server | SpanKind::Producer | SpanKind::Internal => {
                let result = self.begins.should_sample(None, trace, "", kind, &[], &[]);
                result.decision == SamplingDecision::RecordAndSample
            }
        }
    }
}

impl ShouldSample for Stories {
    fn should_sample(
        &self,
        parent: Option<&Context>,
        trace: TraceId,
        _name: &str,
        kind: &SpanKind,
        _attributes: &[KeyValue],
        links: &[Link],
    ) -> SamplingResult {
        let parent = parent.map_or_else(SpanContext::empty_context, |parent| parent.span().span_context().clone());
        let decision = if self.keeps(&parent, trace, kind, links) {
            SamplingDecision::RecordAndSample
        } else {
            SamplingDecision::RecordOnly
        };
        SamplingResult { decision, attributes: Vec::new(), trace_state: TraceState::NONE }
    }
}

#[cfg(test)]
mod tests {
    use super::super::carried;
    use super::*;

    const KEPT: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
    const NOT_KEPT: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-00";

    fn keeps(share: f64, parent: Option<&str>, kind: &SpanKind, links: &[&str]) -> bool {
        let context = |text: &str| carried::read(text).unwrap();
        let links: Vec<Link> = links.iter().map(|link| Link::with_context(context(link))).collect();
        let parent = parent.map(|parent| Context::new().with_remote_span_context(context(parent)));
        let trace = TraceId::from_bytes([7; 16]);
        let result = Stories::kept(share).should_sample(parent.as_ref(), trace, "", kind, &[], &links);
        assert_ne!(result.decision, SamplingDecision::Drop, "an error would be lost");
        result.decision == SamplingDecision::RecordAndSample
    }

    #[test]
    fn a_beginning_is_kept_by_the_share() {
        for kind in [SpanKind::Server, SpanKind::Producer, SpanKind::Internal] {
            assert!(keeps(1.0, None, &kind, &[]) && !keeps(0.0, None, &kind, &[]));
        }
    }

    #[test]
    fn what_goes_on_follows_the_beginning() {
        for share in [0.0, 1.0] {
            for kind in [SpanKind::Server, SpanKind::Client, SpanKind::Producer, SpanKind::Consumer] {
                assert!(keeps(share, Some(KEPT), &kind, &[]) && !keeps(share, Some(NOT_KEPT), &kind, &[]));
                assert!(keeps(share, None, &kind, &[NOT_KEPT, KEPT]) && !keeps(share, None, &kind, &[NOT_KEPT]));
            }
            assert!(!keeps(share, None, &SpanKind::Consumer, &[]) && !keeps(share, None, &SpanKind::Client, &[]));
        }
    }

    #[test]
    fn a_share_is_met() {
        let (stories, none) = (Stories::kept(0.1), SpanContext::empty_context());
        let kept =
            (0..10_000).filter(|_| stories.keeps(&none, TraceId::from(rand::random::<u128>()), &SpanKind::Server, &[]));
        let kept = kept.count();
        assert!((800..1_200).contains(&kept), "{kept} of 10,000"); // six standard deviations
    }
}
