//! Checks the stores and the cluster, and says what to do.

use std::io::Write;

use process::doctor;

use crate::config::Doctor;

pub(super) async fn run(stores: Doctor, out: &mut (dyn Write + Send)) -> anyhow::Result<bool> {
    let checks = store::doctor::look(&stores.database, bells::doctor::look(&stores.redis)).await;
    Ok(doctor::show(&checks, stores.json, out)?)
}
