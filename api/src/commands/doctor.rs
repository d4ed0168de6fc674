//! Looks at the stores and the cluster, and says what to do.

use std::io::Write;

use common::doctor;

use crate::config::Doctor;

pub(super) async fn run(stores: Doctor, out: &mut (dyn Write + Send)) -> anyhow::Result<bool> {
    let checks = doctor::stores(&stores.database, &stores.redis).await;
    Ok(doctor::show(&checks, stores.json, out)?)
}
