//! Pure. The words of summaries: lists, ordinals, names of days and months.

use super::weekday::Weekday;

/// `one, two, three`
pub(super) fn list(items: impl Iterator<Item = String>) -> String {
    items.collect::<Vec<_>>().join(", ")
}

/// Sorted numbers. Three or more consecutive ones become a range: `9 to 17`.
pub(super) fn numbers(values: &[u32]) -> String {
    let mut parts: Vec<String> = Vec::new();
    let mut rest = values;
    while let Some(first) = rest.first() {
        let row = rest.iter().zip(*first..).take_while(|(value, expected)| *value == expected).count();
        let (run, behind) = if row >= 3 { rest.split_at(row) } else { rest.split_at(1) };
        match run {
            [first, .., last] => parts.push(format!("{first} to {last}")),
            _ => parts.push(first.to_string()),
        }
        rest = behind;
    }
    parts.join(", ")
}

/// `hour 9` or `the hours 9 to 17`
pub(super) fn hours(values: &[u32]) -> String {
    if values.len() == 1 { format!("hour {}", numbers(values)) } else { format!("the hours {}", numbers(values)) }
}

/// `first`, `last`, `second to last`, `20th`
pub(super) fn nth(number: i32) -> String {
    match number {
        1 => "first".to_owned(),
        2 => "second".to_owned(),
        3 => "third".to_owned(),
        4 => "fourth".to_owned(),
        5 => "fifth".to_owned(),
        -1 => "last".to_owned(),
        ..=-2 => format!("{} to last", nth(-number)),
        _ => {
            let ending = match (number % 10, number % 100) {
                (_, 11..=13) => "th",
                (1, _) => "st",
                (2, _) => "nd",
                (3, _) => "rd",
                _ => "th",
            };
            format!("{number}{ending}")
        }
    }
}

/// `Mon`, or `Monday` if `full`
pub(super) fn weekday(day: Weekday, full: bool) -> &'static str {
    let name = ["Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday"][day as usize];
    if full { name } else { &name[..3] }
}

/// `January, March`
pub(super) fn months(values: &[u32]) -> String {
    let names = [
        "January",
        "February",
        "March",
        "April",
        "May",
        "June",
        "July",
        "August",
        "September",
        "October",
        "November",
        "December",
    ];
    let name = |month: &u32| names.get(usize::try_from(*month).ok()?.checked_sub(1)?).map(|name| (*name).to_owned());
    list(values.iter().filter_map(name))
}
