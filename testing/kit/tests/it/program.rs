//! How a real process (`src/bin/program.rs`) exits: what it prints, where, and with which code.

use std::io::{BufRead as _, BufReader, Read as _};
use std::net::{Ipv4Addr, TcpListener};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

fn program(args: &str) -> Child {
    Command::new(env!("CARGO_BIN_EXE_kit-program"))
        .args(args.split_whitespace())
        .env_clear()
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap()
}

/// Waits until it ends by itself. Returns its exit code and what it printed on standard error.
fn ended(mut child: Child) -> (Option<i32>, String) {
    let began = Instant::now();
    while child.try_wait().unwrap().is_none() {
        if began.elapsed() > Duration::from_secs(20) {
            child.kill().unwrap();
            panic!("it does not end");
        }
        std::thread::sleep(Duration::from_millis(10));
    }
    let mut said = String::new();
    child.stderr.take().unwrap().read_to_string(&mut said).unwrap();
    (child.wait().unwrap().code(), said)
}

/// Waits until it reports that it is up, tells it to stop, and returns its end.
fn stopped(args: &str) -> (Option<i32>, String) {
    let mut child = program(args);
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines().map(Result::unwrap);
    assert!(lines.any(|line| line.contains("it stands")), "{:?}", ended(child));
    let told = Command::new("kill").args(["-TERM", &child.id().to_string()]).status().unwrap();
    assert!(told.success());
    ended(child)
}

/// R06: a bad setting ends it with code 64 and one line, before it starts anything.
#[test]
fn a_bad_setting_ends_it_with_64() {
    let (code, said) = ended(program("--ops nowhere"));
    assert_eq!(code, Some(64), "{said}");
    assert_eq!(said.lines().count(), 1, "{said}");
    assert!(said.starts_with("switchboard-test: invalid value 'nowhere' for '--ops <OPS>'"), "{said}");
}

/// R06: an error is one line on standard error with the binary's name, both before and after the logs are set up.
#[test]
fn an_error_is_said_where_there_are_no_logs() {
    // this is a URL, but no request can be sent to it
    let (code, said) = ended(program("--otlp-endpoint http://127.0.0.1:1/<"));
    assert_eq!((code, said.lines().count()), (Some(1), 1), "{said}");
    assert!(said.starts_with("switchboard-test: ") && said.contains("http://127.0.0.1:1/<"), "{said}");

    let taken = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let address = taken.local_addr().unwrap();
    let (code, said) = ended(program(&format!("--ops {address} --log off")));
    assert_eq!(code, Some(1), "{said}");
    assert!(said.starts_with(&format!("switchboard-test: can't listen on {address} (OPS_LISTEN): ")), "{said}");
    assert_eq!(said.lines().count(), 1, "{said}");
}

/// R61: a requested stop ends it with code 0, a stop that fails with its own code, and a stop that hangs with 1 at its
/// deadline.
#[test]
fn a_signal_ends_it() {
    assert_eq!(stopped("--then ends"), (Some(0), String::new()));
    assert_eq!(stopped("--then fails"), (Some(78), "switchboard-test: it broke: keys\n".to_owned()));
    assert_eq!(stopped("--then hangs"), (Some(1), String::new()));
}
