//! The responder side of Noise XX, IK and XXfallback, as the web client's handshake expects it.

use anyhow::{Context, ensure};
use buffa::Message;
use wacore::framing::encode_frame;
use wacore::libsignal::protocol::KeyPair;
use wacore_binary::consts::{NOISE_PATTERN_IK, NOISE_PATTERN_XX, NOISE_PATTERN_XXFALLBACK};
use wacore_noise::{NoiseCipher, NoiseHandshake};
use waproto::whatsapp::{self as wa, HandshakeMessage, cert_chain::noise_certificate};

use crate::keys;

/// The bytes at the start of a client's stream, which are also Noise's prologue: "WA", version 6, dictionary 3.
pub(crate) const HEADER: [u8; 4] = wacore_binary::consts::WA_CONN_HEADER;

/// The server's identity in the handshake: its static key, and the certificate for it.
#[derive(Clone)]
pub(crate) struct ServerIdentity {
    pub(crate) key: KeyPair,
    certificate: Vec<u8>,
}

/// A completed handshake: both ciphers, and the client's introduction.
pub(crate) struct Established {
    pub(crate) read: NoiseCipher,
    pub(crate) write: NoiseCipher,
    pub(crate) introduction: Introduction,
}

/// What the client proved and sent in the handshake.
pub(crate) struct Introduction {
    pub(crate) client_static: [u8; 32],
    pub(crate) payload: wa::ClientPayload,
}

/// What follows the client's hello.
pub(crate) enum Step {
    /// IK: the client is known after its first frame. After the reply is sent, the stream is open.
    Done { reply: Vec<u8>, established: Box<Established> },
    /// XX: send the reply and wait for the client's finish.
    AwaitFinish { reply: Vec<u8>, pending: Box<Pending> },
}

/// An XX handshake between the server's hello and the client's finish.
pub(crate) struct Pending {
    noise: NoiseHandshake,
    ephemeral: KeyPair,
}

impl ServerIdentity {
    pub(crate) fn new(key: KeyPair) -> Self {
        let certificate = certificate_for(&keys::public_bytes(&key.public_key));
        Self { key, certificate }
    }

    /// Reads the client's hello and answers it.
    pub(crate) fn answer_hello(&self, frame: &[u8]) -> anyhow::Result<Step> {
        let hello = HandshakeMessage::decode_from_slice(frame)?
            .client_hello
            .into_option()
            .context("the first frame is no client hello")?;
        let client_ephemeral = hello.ephemeral.as_deref().context("hello without key")?;
        ensure!(client_ephemeral.len() == 32, "ephemeral key of wrong length");
        if let (Some(enc_static), Some(enc_payload)) = (&hello.r#static, &hello.payload) {
            match self.answer_ik(client_ephemeral, enc_static, enc_payload) {
                Ok(step) => return Ok(step),
                Err(error) => tracing::debug!(%error, "IK refused, falling back to XX"),
            }
            return self.answer_xx(NOISE_PATTERN_XXFALLBACK, client_ephemeral);
        }
        self.answer_xx(NOISE_PATTERN_XX, client_ephemeral)
    }

    fn answer_ik(&self, client_ephemeral: &[u8], enc_static: &[u8], enc_payload: &[u8]) -> anyhow::Result<Step> {
        let own = self.key.private_key.serialize();
        let mut noise = NoiseHandshake::new(NOISE_PATTERN_IK, &HEADER)?;
        noise.authenticate(self.key.public_key.public_key_bytes());
        noise.authenticate(client_ephemeral);
        noise.mix_shared_secret(own, client_ephemeral)?;
        let client_static = key_32(noise.decrypt(enc_static)?)?;
        noise.mix_shared_secret(own, &client_static)?;
        let payload = noise.decrypt(enc_payload)?;

        let ephemeral = keys::generate();
        noise.authenticate(ephemeral.public_key.public_key_bytes());
        noise.mix_shared_secret(ephemeral.private_key.serialize(), client_ephemeral)?;
        noise.mix_shared_secret(ephemeral.private_key.serialize(), &client_static)?;
        let certificate = noise.encrypt(&self.certificate)?;
        let reply = server_hello(&ephemeral, None, certificate)?;
        let established = establish(noise, client_static, &payload)?;
        Ok(Step::Done { reply, established: Box::new(established) })
    }

    fn answer_xx(&self, pattern: &str, client_ephemeral: &[u8]) -> anyhow::Result<Step> {
        let ephemeral = keys::generate();
        let mut noise = NoiseHandshake::new(pattern, &HEADER)?;
        noise.authenticate(client_ephemeral);
        noise.authenticate(ephemeral.public_key.public_key_bytes());
        noise.mix_shared_secret(ephemeral.private_key.serialize(), client_ephemeral)?;
        let enc_static = noise.encrypt(self.key.public_key.public_key_bytes())?;
        noise.mix_shared_secret(self.key.private_key.serialize(), client_ephemeral)?;
        let certificate = noise.encrypt(&self.certificate)?;
        let reply = server_hello(&ephemeral, Some(enc_static), certificate)?;
        Ok(Step::AwaitFinish { reply, pending: Box::new(Pending { noise, ephemeral }) })
    }
}

impl Pending {
    pub(crate) fn read_finish(mut self, frame: &[u8]) -> anyhow::Result<Established> {
        let finish = HandshakeMessage::decode_from_slice(frame)?
            .client_finish
            .into_option()
            .context("the second frame is no client finish")?;
        let enc_static = finish.r#static.context("finish without static key")?;
        let enc_payload = finish.payload.context("finish without payload")?;
        let client_static = key_32(self.noise.decrypt(&enc_static)?)?;
        self.noise.mix_shared_secret(self.ephemeral.private_key.serialize(), &client_static)?;
        let payload = self.noise.decrypt(&enc_payload)?;
        establish(self.noise, client_static, &payload)
    }
}

fn establish(noise: NoiseHandshake, client_static: [u8; 32], payload: &[u8]) -> anyhow::Result<Established> {
    // `finish` names its pair from the initiator's side, and we are the responder
    let (read, write) = noise.finish()?;
    Ok(Established {
        read,
        write,
        introduction: Introduction { client_static, payload: wa::ClientPayload::decode_from_slice(payload)? },
    })
}

fn server_hello(ephemeral: &KeyPair, enc_static: Option<Vec<u8>>, certificate: Vec<u8>) -> anyhow::Result<Vec<u8>> {
    let hello = wa::handshake_message::ServerHello {
        ephemeral: Some(ephemeral.public_key.public_key_bytes().to_vec()),
        r#static: enc_static,
        payload: Some(certificate),
        ..Default::default()
    };
    let message = HandshakeMessage { server_hello: buffa::MessageField::some(hello), ..Default::default() };
    encode_frame(&message.encode_to_vec(), None)
}

fn key_32(bytes: Vec<u8>) -> anyhow::Result<[u8; 32]> {
    bytes.try_into().map_err(|_| anyhow::anyhow!("static key of wrong length"))
}

/// A certificate chain whose leaf contains our key. The signatures are zeros, since only WhatsApp can make valid ones.
/// Clients of the simulator must be built to skip that check.
fn certificate_for(server_static: &[u8; 32]) -> Vec<u8> {
    const NOT_BEFORE: u64 = 1_700_000_000;
    const NOT_AFTER: u64 = 2_500_000_000;
    let details = |serial, issuer, key: &[u8]| {
        let details = noise_certificate::Details {
            serial: Some(serial),
            issuer_serial: Some(issuer),
            key: Some(key.to_vec()),
            not_before: Some(NOT_BEFORE),
            not_after: Some(NOT_AFTER),
        };
        buffa::MessageField::some(wa::cert_chain::NoiseCertificate {
            details: Some(details.encode_to_vec()),
            signature: Some(vec![0; 64]),
        })
    };
    wa::CertChain { intermediate: details(1, 0, &[0xCC; 32]), leaf: details(2, 1, server_static) }.encode_to_vec()
}
