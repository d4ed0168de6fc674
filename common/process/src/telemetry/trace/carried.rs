//! Pure. The trace context in a row, a job or a request: the W3C `traceparent` (Trace Context, section 3.2), 55
//! characters. The `tracestate` beside it is ignored, because it is text of other systems.

use opentelemetry::trace::{SpanContext, SpanId, TraceFlags, TraceId, TraceState};

/// The text for a row or a job; `None` if the trace is not sampled.
#[must_use]
pub fn write(context: &SpanContext) -> Option<String> {
    let kept = context.is_valid() && context.is_sampled();
    kept.then(|| format!("00-{}-{}-01", context.trace_id(), context.span_id()))
}

/// Parses a `traceparent`. Returns `None` if it is malformed. A later version is read as far as this one goes, as the
/// standard demands.
#[must_use]
pub fn read(text: &str) -> Option<SpanContext> {
    let (version, rest) = text.split_once('-')?;
    let later = match number(version, 2)? {
        0xff => return None,
        version => version > 0,
    };
    let mut parts = rest.split('-');
    let (trace, span, flags) = (parts.next()?, parts.next()?, parts.next()?);
    if !later && parts.next().is_some() {
        return None;
    }
    let trace = TraceId::from_bytes(number(trace, 32)?.to_be_bytes());
    let span = SpanId::from_bytes(u64::try_from(number(span, 16)?).ok()?.to_be_bytes());
    let flags = TraceFlags::new(u8::try_from(number(flags, 2)?).ok()? & TraceFlags::SAMPLED.to_u8());
    Some(SpanContext::new(trace, span, flags, true, TraceState::NONE)).filter(SpanContext::is_valid)
}

/// Parses exactly this many lower-case hexadecimal digits.
fn number(text: &str, digits: usize) -> Option<u128> {
    let plain = text.len() == digits && text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
    plain.then(|| u128::from_str_radix(text, 16).ok()).flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEPT: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

    #[test]
    fn what_is_kept_is_read_back() {
        let context = read(KEPT).unwrap();
        assert!(context.is_remote() && context.is_sampled());
        assert_eq!(context.trace_id().to_string(), "4bf92f3577b34da6a3ce929d0e0e4736");
        assert_eq!(context.span_id().to_string(), "00f067aa0ba902b7");
        assert_eq!(write(&context).as_deref(), Some(KEPT));
        assert_eq!(KEPT.len(), 55, "as wide as the columns");
    }

    #[test]
    fn what_is_not_kept_is_not_written() {
        let context = read("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-00").unwrap();
        assert!(!context.is_sampled());
        assert_eq!(write(&context), None);
        assert_eq!(write(&SpanContext::empty_context()), None);
    }

    #[test]
    fn a_later_version_may_say_more() {
        let later = read("01-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-09-what-is-new").unwrap();
        assert_eq!(write(&later).as_deref(), Some(KEPT), "and unknown flags are dropped");
    }

    #[test]
    fn nothing_else_is_read() {
        for text in [
            "",
            "00",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01-",
            "00-4BF92F3577B34DA6A3CE929D0E0E4736-00f067aa0ba902b7-01",
            "00-00000000000000000000000000000000-00f067aa0ba902b7-01",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-0000000000000000-01",
            "00-4bf92f3577b34da6a3ce929d0e0e473-00f067aa0ba902b7-01",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-+0f067aa0ba902b7-01",
            "ff-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
            "0-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-1",
            "0é-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
        ] {
            assert_eq!(read(text), None, "{text}");
        }
    }
}
