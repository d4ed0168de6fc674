//! Pure. Which addresses a webhook may reach: none in our own network, unless the operator allows it. The URL is
//! checked when it is stored. Each address that its host name resolves to is checked just before it is connected to.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ipnet::{IpNet, Ipv4Net, Ipv6Net};
use url::{Host, Url};

/// The longest URL, in bytes.
pub const MAX_URL: usize = 2_048;

/// What an operator allows besides https on the public internet.
#[derive(Debug, Clone, Default)]
pub struct Rules {
    /// Private networks that webhooks may reach.
    pub allow_private: Vec<IpNet>,
    /// Whether webhooks may use http without TLS.
    pub allow_http: bool,
}

/// Why a URL was not accepted. It is shown to the tenant unchanged.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// Not a URL, or one without a host.
    #[error("must be a URL such as https://example.com/hook")]
    Form,
    /// Too long.
    #[error("must be at most {MAX_URL} bytes")]
    Long,
    /// Neither https nor, if allowed, http.
    #[error("must begin with https://")]
    Scheme,
    /// It contains a user or password.
    #[error("must not hold a user or password; the signature proves who sends")]
    Credentials,
    /// Port 0.
    #[error("must name a port from 1 to 65535, or none")]
    Port,
    /// It leads to a private network.
    #[error("must lead to the public internet")]
    Address,
}

/// Checks a URL and returns it in the form that is used: without a fragment, and with the host in ASCII. A host that is
/// an IP address in another notation (`0x7f.1`, `2130706433`) is treated as that address.
///
/// # Errors
/// The first thing that is wrong.
pub fn url(text: &str, rules: &Rules) -> Result<Url, Refused> {
    if text.len() > MAX_URL {
        return Err(Refused::Long);
    }
    let mut url = Url::parse(text.trim()).map_err(|_| Refused::Form)?;
    match url.scheme() {
        "https" => {}
        "http" if rules.allow_http => {}
        _ => return Err(Refused::Scheme),
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err(Refused::Credentials);
    }
    if url.port() == Some(0) {
        return Err(Refused::Port);
    }
    let reachable = match url.host().ok_or(Refused::Form)? {
        Host::Ipv4(address) => may_reach(address.into(), rules),
        Host::Ipv6(address) => may_reach(address.into(), rules),
        Host::Domain(name) => !is_local(name) || !rules.allow_private.is_empty(),
    };
    if !reachable {
        return Err(Refused::Address);
    }
    url.set_fragment(None);
    if url.as_str().len() > MAX_URL { Err(Refused::Long) } else { Ok(url) }
}

/// Whether a name stands for this machine or the local network (RFC 6761, RFC 6762, RFC 9476 and ICANN's `internal`).
fn is_local(name: &str) -> bool {
    let name = name.trim_end_matches('.');
    let last = name.rsplit('.').next().unwrap_or(name);
    ["localhost", "local", "internal", "localdomain", "home", "lan"].iter().any(|word| last.eq_ignore_ascii_case(word))
}

/// Whether a webhook may connect to this address.
#[must_use]
pub fn may_reach(address: IpAddr, rules: &Rules) -> bool {
    let allowed = rules.allow_private.iter().any(|network| network.contains(&address));
    allowed
        || match address {
            IpAddr::V4(address) => is_public_v4(address),
            IpAddr::V6(address) => is_public_v6(address),
        }
}

/// Networks outside the public internet, from IANA's registry of special-purpose IPv4 addresses, plus multicast.
const SPECIAL_V4: [(Ipv4Addr, u8); 16] = [
    (Ipv4Addr::new(0, 0, 0, 0), 8),        // this network
    (Ipv4Addr::new(10, 0, 0, 0), 8),       // private
    (Ipv4Addr::new(100, 64, 0, 0), 10),    // carriers' NAT
    (Ipv4Addr::new(127, 0, 0, 0), 8),      // loopback
    (Ipv4Addr::new(169, 254, 0, 0), 16),   // link-local, and clouds' metadata
    (Ipv4Addr::new(168, 63, 129, 16), 32), // Azure's platform, for its machines alone, though the address looks public
    (Ipv4Addr::new(172, 16, 0, 0), 12),    // private
    (Ipv4Addr::new(192, 0, 0, 0), 24),     // protocol assignments
    (Ipv4Addr::new(192, 0, 2, 0), 24),     // documentation
    (Ipv4Addr::new(192, 88, 99, 0), 24),   // relays of 6to4
    (Ipv4Addr::new(192, 168, 0, 0), 16),   // private
    (Ipv4Addr::new(198, 18, 0, 0), 15),    // benchmarks
    (Ipv4Addr::new(198, 51, 100, 0), 24),  // documentation
    (Ipv4Addr::new(203, 0, 113, 0), 24),   // documentation
    (Ipv4Addr::new(224, 0, 0, 0), 4),      // multicast
    (Ipv4Addr::new(240, 0, 0, 0), 4),      // reserved, and broadcast
];

/// The network of all public IPv6 addresses. Every other address (loopback, mapped IPv4, NAT64, unique local,
/// link-local, multicast …) is not public.
const GLOBAL_V6: (Ipv6Addr, u8) = (Ipv6Addr::new(0x2000, 0, 0, 0, 0, 0, 0, 0), 3);

/// Networks within it that are not public, from IANA's registry of special-purpose IPv6 addresses.
const SPECIAL_V6: [(Ipv6Addr, u8); 4] = [
    (Ipv6Addr::new(0x2001, 0, 0, 0, 0, 0, 0, 0), 23), // protocol assignments, with Teredo
    (Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 0), 32), // documentation
    (Ipv6Addr::new(0x2002, 0, 0, 0, 0, 0, 0, 0), 16), // 6to4: holds any IPv4 address
    (Ipv6Addr::new(0x3fff, 0, 0, 0, 0, 0, 0, 0), 20), // documentation
];

fn is_public_v4(address: Ipv4Addr) -> bool {
    !SPECIAL_V4.iter().any(|&(network, bits)| Ipv4Net::new_assert(network, bits).contains(&address))
}

fn is_public_v6(address: Ipv6Addr) -> bool {
    let within = |&(network, bits): &(Ipv6Addr, u8)| Ipv6Net::new_assert(network, bits).contains(&address);
    within(&GLOBAL_V6) && !SPECIAL_V6.iter().any(within)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rules(networks: &[&str], allow_http: bool) -> Rules {
        Rules { allow_private: networks.iter().map(|text| text.parse().unwrap()).collect(), allow_http }
    }

    /// R63: no webhook reaches a private network, in whichever notation the address is given.
    #[test]
    fn only_the_public_internet_is_reached() {
        let strict = rules(&[], false);
        for public in [
            "1.1.1.1",
            "8.8.8.8",
            "9.255.255.255",
            "100.63.255.255",
            "100.128.0.0",
            "126.0.0.1",
            "168.63.129.15",
            "168.63.129.17",
            "172.15.0.1",
            "172.32.0.1",
            "192.0.1.1",
            "192.167.1.1",
            "198.17.0.1",
            "198.20.0.1",
            "223.255.255.255",
            "2606:4700::1111",
            "2a00:1450::1",
            "2001:4860:4860::8888",
            "3ffe::1",
        ] {
            assert!(may_reach(public.parse().unwrap(), &strict), "{public}");
        }
        for inner in [
            "0.0.0.0",
            "0.1.2.3",
            "10.0.0.1",
            "100.64.0.1",
            "100.127.255.255",
            "127.0.0.1",
            "127.9.9.9",
            "168.63.129.16",
            "169.254.169.254",
            "172.16.0.1",
            "172.31.255.255",
            "192.0.0.8",
            "192.0.2.1",
            "192.88.99.1",
            "192.168.1.1",
            "198.18.0.1",
            "198.19.255.255",
            "198.51.100.1",
            "203.0.113.1",
            "224.0.0.1",
            "239.1.1.1",
            "240.0.0.1",
            "255.255.255.255",
            "::",
            "::1",
            "::ffff:127.0.0.1",
            "::ffff:8.8.8.8",
            "::127.0.0.1",
            "64:ff9b::7f00:1",
            "64:ff9b:1::1",
            "100::1",
            "fc00::1",
            "fd12:3456::1",
            "fe80::1",
            "fec0::1",
            "ff02::1",
            "2001::1",
            "2001:2::1",
            "2001:10::1",
            "2001:db8::1",
            "2002:7f00:1::",
            "3fff::1",
            "4000::1",
            "5f00::1",
        ] {
            assert!(!may_reach(inner.parse().unwrap(), &strict), "{inner}");
        }
    }

    #[test]
    fn an_operator_may_open_networks() {
        let open = rules(&["10.1.0.0/16", "fd00::/8"], false);
        for (address, reached) in
            [("10.1.2.3", true), ("10.2.0.1", false), ("fd12::1", true), ("fc00::1", false), ("127.0.0.1", false)]
        {
            assert_eq!(may_reach(address.parse().unwrap(), &open), reached, "{address}");
        }
    }

    /// R63: a wrong URL is refused when it is given, with the reason.
    #[test]
    fn a_url_is_checked() {
        let strict = rules(&[], false);
        let long = format!("https://example.com/{}", "a".repeat(MAX_URL));
        for (text, expected) in [
            ("https://example.com", Ok("https://example.com/")),
            (" https://EXAMPLE.com:8443/a/b?c=d#e ", Ok("https://example.com:8443/a/b?c=d")),
            ("https://example.com:443/", Ok("https://example.com/")),
            ("https://bücher.example/", Ok("https://xn--bcher-kva.example/")),
            ("https://8.8.8.8:65535/", Ok("https://8.8.8.8:65535/")),
            ("https://[2606:4700::1111]/", Ok("https://[2606:4700::1111]/")),
            ("", Err(Refused::Form)),
            ("example.com/hook", Err(Refused::Form)),
            ("https://", Err(Refused::Form)),
            ("https://example.com:65536/", Err(Refused::Form)),
            ("https://example.com:0/", Err(Refused::Port)),
            ("http://example.com/", Err(Refused::Scheme)),
            ("ftp://example.com/", Err(Refused::Scheme)),
            ("file:///etc/passwd", Err(Refused::Scheme)),
            ("gopher://example.com/", Err(Refused::Scheme)),
            ("https://user@example.com/", Err(Refused::Credentials)),
            ("https://:secret@example.com/", Err(Refused::Credentials)),
            ("https://localhost/", Err(Refused::Address)),
            ("https://a.LOCALHOST./", Err(Refused::Address)),
            ("https://metadata.google.internal/", Err(Refused::Address)),
            ("https://printer.local/", Err(Refused::Address)),
            ("https://127.0.0.1/", Err(Refused::Address)),
            ("https://127.1/", Err(Refused::Address)),
            ("https://2130706433/", Err(Refused::Address)),
            ("https://0x7f000001/", Err(Refused::Address)),
            ("https://0177.0.0.1/", Err(Refused::Address)),
            ("https://[::1]/", Err(Refused::Address)),
            ("https://[::ffff:169.254.169.254]/", Err(Refused::Address)),
            ("https://169.254.169.254/latest/meta-data", Err(Refused::Address)),
            (long.as_str(), Err(Refused::Long)),
        ] {
            assert_eq!(url(text, &strict).map(String::from), expected.map(str::to_owned), "{text}");
        }
        let open = rules(&["127.0.0.0/8"], true);
        assert!(url("http://127.0.0.1:8080/", &open).is_ok() && url("http://localhost/", &open).is_ok());
        assert_eq!(url("http://10.0.0.1/", &open), Err(Refused::Address));
    }
}
