//! Prints rows as a table for people, or as JSON for scripts.

use std::io::Write;

use chrono::{DateTime, SecondsFormat, Utc};
use serde::Serialize;

/// Prints rows: a table with these heads and cells, or one JSON array.
pub(super) fn show<T: Serialize, const N: usize>(
    out: &mut (dyn Write + Send),
    json: bool,
    rows: &[T],
    heads: [&str; N],
    cells: impl Fn(&T) -> [String; N],
) -> anyhow::Result<()> {
    if json {
        serde_json::to_writer_pretty(&mut *out, rows)?;
        writeln!(out)?;
        return Ok(());
    }
    let cells: Vec<[String; N]> = rows.iter().map(cells).collect();
    out.write_all(render(heads, &cells).as_bytes())?;
    Ok(())
}

/// Pure. Renders a table. Each column is as wide as its widest cell.
pub(super) fn render<const N: usize>(heads: [&str; N], rows: &[[String; N]]) -> String {
    let width = |column: usize| {
        let cells = rows.iter().map(|row| row[column].chars().count());
        cells.chain([heads[column].chars().count()]).max().unwrap_or_default()
    };
    let widths: Vec<usize> = (0..N).map(width).collect();
    let line = |cells: Vec<&str>| {
        let padded = cells.iter().zip(&widths).map(|(cell, width)| format!("{cell:<width$}"));
        format!("{}\n", padded.collect::<Vec<_>>().join("  ").trim_end())
    };
    let mut text = line(heads.to_vec());
    for row in rows {
        text.push_str(&line(row.iter().map(String::as_str).collect()));
    }
    text
}

/// An instant with seconds.
pub(super) fn instant(at: DateTime<Utc>) -> String {
    at.to_rfc3339_opts(SecondsFormat::Secs, true)
}

/// An optional value, with `-` for `None`.
pub(super) fn or_dash(text: Option<impl ToString>) -> String {
    text.map_or_else(|| "-".to_owned(), |text| text.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_as_wide_as_their_cells() {
        let rows = [["ä".to_owned(), "long cell".to_owned()], ["wide".to_owned(), String::new()]];
        assert_eq!(render(["A", "B"], &rows), "A     B\nä     long cell\nwide\n");
        assert_eq!(render(["A", "B"], &[]), "A  B\n");
    }
}
