//! Sealing: what can be opened, what can't, and what errors contain.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use store::seal::{KeyError, KeyProblem, OpenError, Sealer};

fn key(byte: u8) -> String {
    STANDARD.encode([byte; 32])
}

#[test]
fn a_sealed_value_opens_in_its_place_only() {
    let sealer = Sealer::parse(&format!("a:{}", key(1))).unwrap();
    let sealed = sealer.seal(b"secret", b"here").unwrap();
    assert_eq!(sealed.len(), 1 + 12 + 6 + 16);
    assert!(!sealed.windows(6).any(|part| part == b"secret"));
    assert_eq!(sealer.open("a", &sealed, b"here").unwrap(), b"secret");
    assert_eq!(sealer.open("a", &sealed, b"there"), Err(OpenError::Tampered));
    assert_eq!(sealer.open("b", &sealed, b"here"), Err(OpenError::UnknownKey));
}

#[test]
fn every_changed_byte_is_noticed() {
    let sealer = Sealer::parse(&format!("a:{}", key(1))).unwrap();
    let sealed = sealer.seal(b"secret", b"here").unwrap();
    for index in 0..sealed.len() {
        let mut changed = sealed.clone();
        changed[index] ^= 1;
        assert!(sealer.open("a", &changed, b"here").is_err(), "byte {index}");
    }
    for length in 0..sealed.len() {
        assert!(sealer.open("a", &sealed[..length], b"here").is_err(), "length {length}");
    }
}

#[test]
fn the_first_key_seals_and_the_others_still_open() {
    let old = Sealer::parse(&format!("old:{}", key(1))).unwrap();
    let both = Sealer::parse(&format!("new:{}, old:{}", key(2), key(1))).unwrap();
    let sealed = old.seal(b"secret", b"").unwrap();
    assert_eq!(both.key_id(), "new");
    assert_eq!(both.open("old", &sealed, b"").unwrap(), b"secret");
    let sealed = both.seal(b"secret", b"").unwrap();
    assert_eq!(old.open("old", &sealed, b""), Err(OpenError::Tampered));
}

#[test]
fn two_seals_of_one_value_differ() {
    let sealer = Sealer::parse(&format!("a:{}", key(1))).unwrap();
    assert_ne!(sealer.seal(b"secret", b"").unwrap(), sealer.seal(b"secret", b"").unwrap());
}

#[test]
fn errors_name_the_problem_and_never_the_key() {
    let short = STANDARD.encode([7u8; 16]);
    let cases = [
        (String::new(), KeyError::Form { position: 1 }),
        (key(1), KeyError::Form { position: 1 }),
        (format!("a:{},", key(1)), KeyError::Form { position: 2 }),
        (format!(":{}", key(1)), KeyError::Id { position: 1 }),
        (format!("a b:{}", key(1)), KeyError::Id { position: 1 }),
        (format!("a:{short}"), KeyError::Key { id: "a".into(), problem: KeyProblem::Length { bytes: 16 } }),
        ("a:!!!".to_owned(), KeyError::Key { id: "a".into(), problem: KeyProblem::NotBase64 }),
        (format!("a:{0},a:{0}", key(1)), KeyError::Twice { id: "a".into() }),
    ];
    for (text, expected) in cases {
        let error = Sealer::parse(&text).unwrap_err();
        assert_eq!(error, expected);
        assert!(!error.to_string().contains(&short) && !error.to_string().contains(&key(1)));
    }
}

#[test]
fn debug_prints_ids_only() {
    let sealer = Sealer::parse(&format!("a:{}", key(1))).unwrap();
    assert_eq!(format!("{sealer:?}"), r#"Sealer { current: "a", keys: ["a"], .. }"#);
}
