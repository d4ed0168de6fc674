//! Reads when a server's certificate expires. The certificate is not verified here. The store's own connections do
//! that.

use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, NaiveDateTime, Utc};
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, ring, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{ClientConfig, DigitallySignedStruct, SignatureScheme};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

/// The time limit for the whole exchange.
const TIMEOUT: Duration = Duration::from_secs(3);
/// The message that asks Postgres to continue with TLS (`SSLRequest` of its protocol).
const SSL_REQUEST: [u8; 8] = [0, 0, 0, 8, 4, 210, 22, 47];

/// When the certificate of a Postgres server expires; `None` if it can't be read.
pub(super) async fn of_postgres(host: &str, port: u16) -> Option<DateTime<Utc>> {
    tokio::time::timeout(TIMEOUT, async {
        let mut stream = TcpStream::connect((host, port)).await.ok()?;
        stream.write_all(&SSL_REQUEST).await.ok()?;
        if stream.read_u8().await.ok()? != b'S' {
            return None;
        }
        let name = ServerName::try_from(host.to_owned()).ok()?;
        let tls = TlsConnector::from(Arc::new(config()?)).connect(name, stream).await.ok()?;
        not_after(tls.get_ref().1.peer_certificates()?.first()?)
    })
    .await
    .ok()?
}

fn config() -> Option<ClientConfig> {
    let provider = Arc::new(ring::default_provider());
    let reader = Arc::new(Reader(Arc::clone(&provider)));
    let builder = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions().ok()?;
    Some(builder.dangerous().with_custom_certificate_verifier(reader).with_no_client_auth())
}

/// Accepts any certificate, since no data is sent over this connection.
#[derive(Debug)]
struct Reader(Arc<CryptoProvider>);

impl ServerCertVerifier for Reader {
    fn verify_server_cert(
        &self,
        _end_entity: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls12_signature(message, cert, dss, &self.0.signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls13_signature(message, cert, dss, &self.0.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}

/// Pure. The `notAfter` of an X.509 certificate (RFC 5280, section 4.1): the second time of the validity, which follows
/// version, serial number, algorithm and issuer.
fn not_after(der: &[u8]) -> Option<DateTime<Utc>> {
    const VERSION: u8 = 0xa0;
    let (_, certificate, _) = element(der)?;
    let (_, mut rest, _) = element(certificate)?;
    if *rest.first()? == VERSION {
        rest = element(rest)?.2;
    }
    for _ in ["serial number", "algorithm", "issuer"] {
        rest = element(rest)?.2;
    }
    let (_, validity, _) = element(rest)?;
    let (_, _, after) = element(validity)?;
    let (tag, text, _) = element(after)?;
    time(tag, std::str::from_utf8(text).ok()?)
}

/// Pure. The tag and the content of a DER element, and the bytes after it.
fn element(der: &[u8]) -> Option<(u8, &[u8], &[u8])> {
    let (&tag, rest) = der.split_first()?;
    let (&first, rest) = rest.split_first()?;
    let (length, rest) = match first {
        0..=0x7f => (usize::from(first), rest),
        0x81..=0x84 => {
            let (bytes, rest) = rest.split_at_checked(usize::from(first & 0x7f))?;
            (bytes.iter().fold(0, |length, byte| length << 8 | usize::from(*byte)), rest)
        }
        _ => return None,
    };
    let (content, rest) = rest.split_at_checked(length)?;
    Some((tag, content, rest))
}

/// Pure. Parses a `UTCTime` (a two-digit year; 50 and above belong to the 20th century) or a `GeneralizedTime`.
fn time(tag: u8, text: &str) -> Option<DateTime<Utc>> {
    const UTC_TIME: u8 = 0x17;
    let full = match tag {
        UTC_TIME => format!("{}{text}", if text.get(..2)? >= "50" { "19" } else { "20" }),
        _ => text.to_owned(),
    };
    NaiveDateTime::parse_from_str(&full, "%Y%m%d%H%M%SZ").ok().map(|time| time.and_utc())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_end_of_a_certificate_is_read() {
        // from the tests of webhooks, made with openssl
        let der = include_bytes!("../../../posting/tests/it/localhost.der");
        let ends = not_after(der).unwrap();
        assert!(ends > time(0x17, "200101000000Z").unwrap(), "{ends}");
        assert_eq!(not_after(&der[..40]), None);
        assert_eq!(time(0x18, "20510203040506Z").unwrap().to_rfc3339(), "2051-02-03T04:05:06+00:00");
        assert_eq!(time(0x17, "510203040506Z").unwrap().to_rfc3339(), "1951-02-03T04:05:06+00:00");
    }
}
