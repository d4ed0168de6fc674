//! The program asks a running simulator for its health, as the health check of its image does.

use std::process::Command;

/// `probe` of the program itself, for a simulator at this address.
fn probe(at: &str) -> bool {
    let program = env!("CARGO_BIN_EXE_switchboard-simulator");
    Command::new(program).args(["--listen", at, "probe"]).output().unwrap().status.success()
}

/// R06: a container of the simulator is healthy while it serves, and not when it is gone.
#[tokio::test(flavor = "multi_thread")]
async fn a_probe_tells_who_serves_from_who_is_gone() {
    let simulator = simulator::start(simulator::Config::default()).await.unwrap();
    let at = simulator.admin_url().trim_start_matches("http://").trim_end_matches("/admin").to_owned();
    let asked = at.clone();
    assert!(tokio::task::spawn_blocking(move || probe(&asked)).await.unwrap());
    simulator.stop().await.unwrap();
    assert!(!tokio::task::spawn_blocking(move || probe(&at)).await.unwrap());
}
