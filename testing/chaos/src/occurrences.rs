//! Pure. Checks that every occurrence of an accepted reminder fired once and is shown by all its readers.

use std::collections::{BTreeMap, HashMap};

use kit::witness::RunRow;

use crate::evidence::{Evidence, Verdict, shown};

/// Checks reminders that fire once, and recurring ones.
pub(crate) fn reminders(evidence: &Evidence, verdict: &mut Verdict) {
    let mut runs: HashMap<&str, Vec<&RunRow>> = HashMap::new();
    for run in &evidence.runs {
        runs.entry(run.name.as_str()).or_default().push(run);
    }
    let shown = shown(evidence);
    for promised in &evidence.ledger.promised {
        let fired = runs.get(promised.name.as_str()).map_or(&[][..], Vec::as_slice);
        let ends: Vec<_> = fired.iter().map(|run| (run.status.as_str(), run.summary.as_deref())).collect();
        if occurrence(&promised.name, &ends, verdict) {
            readers(&promised.name, &promised.readers, 1, &shown, verdict);
        }
    }
    for recurring in &evidence.ledger.recurring {
        let fired = evidence.fired.get(&recurring.id).map_or(&[][..], Vec::as_slice);
        let mut times = 0;
        for due in &recurring.due {
            let at = fired.iter().filter(|run| run.fire_at == *due);
            let ends: Vec<_> = at.map(|run| (run.status.as_str(), run.summary.as_deref())).collect();
            times += u64::from(occurrence(&format!("{} at {due}", recurring.name), &ends, verdict));
        }
        for more in fired.iter().filter(|run| !recurring.due.contains(&run.fire_at)) {
            verdict.occurrences_doubled += 1;
            let words = format!("occurrence doubled: {} fired at {}, which was not due", recurring.name, more.fire_at);
            verdict.details.push(words);
        }
        readers(&recurring.name, &recurring.readers, times, &shown, verdict);
    }
}

/// Checks the runs of one occurrence. Returns whether it fired.
fn occurrence(name: &str, fired: &[(&str, Option<&str>)], verdict: &mut Verdict) -> bool {
    match fired {
        [("success", _)] => {}
        [] => {
            verdict.occurrences_lost += 1;
            verdict.details.push(format!("occurrence lost: {name} never fired"));
        }
        [(status, summary)] => {
            verdict.occurrences_lost += 1;
            verdict.details.push(format!("occurrence lost: the run of {name} is {status} {summary:?}"));
        }
        more => {
            verdict.occurrences_doubled += 1;
            verdict.details.push(format!("occurrence doubled: {name} fired {} times", more.len()));
        }
    }
    !fired.is_empty()
}

/// Checks that each reader shows the text `times` times for each time that it is a target.
fn readers(
    name: &str,
    readers: &[String],
    times: u64,
    shown: &BTreeMap<(&str, &str), (u64, u64)>,
    verdict: &mut Verdict,
) {
    let mut wanted: BTreeMap<&str, u64> = BTreeMap::new();
    for reader in readers {
        *wanted.entry(reader.as_str()).or_default() += times;
    }
    for (reader, times) in wanted {
        let seen = shown.get(&(reader, name)).map_or(0, |seen| seen.0);
        if seen < times {
            verdict.occurrences_lost += 1;
            verdict.details.push(format!("occurrence lost: {reader} shows {name} {seen} times of {times}"));
        } else if seen > times {
            verdict.occurrences_doubled += 1;
            verdict.details.push(format!("occurrence doubled: {reader} shows {name} {seen} times, not {times}"));
        }
    }
}
