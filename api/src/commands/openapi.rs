//! Prints the OpenAPI document.

use std::io::Write;

pub(super) fn run(out: &mut (dyn Write + Send)) -> anyhow::Result<()> {
    writeln!(out, "{}", crate::document().to_pretty_json()?)?;
    Ok(())
}
