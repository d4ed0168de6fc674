//! Pure. Which addresses a build for the simulator may connect to.

use std::net::IpAddr;

/// WhatsApp's own address.
pub const DEFAULT_URL: &str = "wss://web.whatsapp.com/ws/chat";

/// Refuses a public host in a build with the feature `simulator`, because such a build does not check WhatsApp's
/// certificate chain. It accepts a loopback or private address, a name without dots, and a name that can only exist
/// inside a cluster or a private network. A build without the feature accepts any host.
///
/// # Errors
/// If the host is refused. The error says what to do.
pub fn check_url(url: &str, allow_public: bool) -> Result<(), PublicAddress> {
    if !cfg!(feature = "simulator") || allow_public || is_private(url) {
        return Ok(());
    }
    Err(PublicAddress)
}

/// See [`check_url`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "this build is for the simulator and does not check WhatsApp's certificates: it refuses a public address \
     (use a release build, or allow it explicitly)"
)]
pub struct PublicAddress;

/// Whether the URL's host can only be private.
fn is_private(url: &str) -> bool {
    let Ok(uri) = url.parse::<http::Uri>() else { return false };
    let Some(host) = uri.host() else { return false };
    match host.trim_matches(['[', ']']).parse::<IpAddr>() {
        Ok(IpAddr::V4(ip)) => ip.is_loopback() || ip.is_private() || ip.is_link_local(),
        Ok(IpAddr::V6(ip)) => ip.is_loopback() || ip.is_unique_local() || ip.is_unicast_link_local(),
        Err(_) => {
            let host = host.trim_end_matches('.').to_ascii_lowercase();
            let inside = [".localhost", ".local", ".internal", ".svc", ".test"];
            !host.contains('.') || inside.iter().any(|end| host.ends_with(end))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn private_hosts() {
        for url in [
            "ws://127.0.0.1:1/ws/chat",
            "ws://[::1]:1/ws/chat",
            "ws://10.1.2.3/ws/chat",
            "ws://192.168.0.9/ws/chat",
            "ws://localhost:5/ws/chat",
            "ws://simulator:5/ws/chat",
            "ws://simulator.switchboard.svc:5/ws/chat",
            "ws://simulator.switchboard.svc.cluster.local:5/ws/chat",
        ] {
            assert!(is_private(url), "{url}");
        }
        for url in [DEFAULT_URL, "wss://8.8.8.8/ws/chat", "ws://localhost.example.com/", "ws://[2a03::1]/", "not a url"]
        {
            assert!(!is_private(url), "{url}");
        }
    }

    #[test]
    fn only_a_simulator_build_refuses() {
        assert_eq!(check_url(DEFAULT_URL, false).is_err(), cfg!(feature = "simulator"));
        assert_eq!(check_url(DEFAULT_URL, true), Ok(()));
        assert_eq!(check_url("ws://127.0.0.1:1/ws/chat", false), Ok(()));
    }
}
