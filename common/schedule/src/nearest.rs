//! Pure. Suggestions for a mistyped name.

/// The highest number of names that are suggested.
const OFFERED: usize = 3;
/// How similar a name must be to be suggested, from 0 to 1.
const LIKE: f64 = 0.75;

/// The known names that are most similar to `given`, best first. Names below a fixed similarity are left out.
#[must_use]
pub fn nearest<'a>(given: &str, known: impl IntoIterator<Item = &'a str>) -> Vec<&'a str> {
    let given = plain(given);
    let mut found: Vec<(f64, &str)> = known
        .into_iter()
        .map(|name| {
            let whole = plain(name);
            let last = whole.rsplit('/').next().unwrap_or_default();
            // the last part is compared, too: `Berlin` means `Europe/Berlin`
            let likeness =
                strsim::jaro_winkler(&given, &whole).max(strsim::normalized_damerau_levenshtein(&given, last));
            (likeness, name)
        })
        .filter(|(likeness, _)| *likeness >= LIKE)
        .collect();
    found.sort_by(|(one, _), (other, _)| other.total_cmp(one));
    found.into_iter().take(OFFERED).map(|(_, name)| name).collect()
}

fn plain(name: &str) -> String {
    name.trim().to_lowercase().replace([' ', '-'], "_")
}

/// `; did you mean …?` to append to a message; empty if no name is similar.
#[must_use]
pub fn did_you_mean<'a>(given: &str, known: impl IntoIterator<Item = &'a str>) -> String {
    let found: Vec<_> = nearest(given, known).into_iter().map(|name| format!("`{name}`")).collect();
    match found.split_last() {
        None => String::new(),
        Some((only, [])) => format!("; did you mean {only}?"),
        Some((last, others)) => format!("; did you mean {} or {last}?", others.join(", ")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// R78: a mistyped name gets the intended name as a suggestion.
    #[test]
    fn what_was_meant_is_found() {
        let zones = ["Europe/Berlin", "Europe/London", "America/New_York", "Asia/Kolkata", "UTC"];
        for (given, first) in [
            ("Europe/Berln", Some("Europe/Berlin")),
            ("europe/berlin", Some("Europe/Berlin")),
            ("Berlin", Some("Europe/Berlin")),
            ("America/New York", Some("America/New_York")),
            ("new york", Some("America/New_York")),
            ("utc ", Some("UTC")),
            ("Mars", None),
            ("", None),
            ("+01:00", None),
        ] {
            assert_eq!(nearest(given, zones).first().copied(), first, "{given}");
        }
        assert_eq!(did_you_mean("txt", ["to", "text"]), "; did you mean `text`?");
        assert_eq!(did_you_mean("zzz", ["to", "text"]), "");
    }
}
