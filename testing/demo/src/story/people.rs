//! The virtual people. Each run has new numbers and a new group, so that the demo can be repeated.

use std::hash::{BuildHasher as _, RandomState};

use kit::Phones;

use crate::show::detail;

/// A virtual phone and the name of its owner.
pub(super) struct Person {
    pub(super) name: &'static str,
    pub(super) number: String,
}

pub(crate) struct People {
    /// Distinguishes the names of this run from those of other runs.
    pub(super) tag: String,
    /// The owner of the phone that the account is linked with.
    pub(super) owner: Person,
    /// The first two are in the group with the owner; the last one is not.
    pub(super) others: [Person; 3],
    pub(super) group: String,
    pub(super) group_subject: String,
}

impl People {
    pub(super) async fn invite(phones: &Phones) -> anyhow::Result<Self> {
        // seven digits from the random seed of the standard library's hash maps
        let draw = RandomState::new().hash_one(0) % 9_000_000 + 1_000_000;
        let person = |name, last: u8| Person { name, number: format!("4477{draw}{last}") };
        let owner = person("Olive", 0);
        let others = [person("Ada", 1), person("Ben", 2), person("Cleo", 3)];
        for person in others.iter().chain([&owner]) {
            phones.add(&person.number, person.name).await?;
        }
        let group_subject = format!("Book club {draw}");
        let members = [others[0].number.clone(), others[1].number.clone()];
        let group = phones.group(&group_subject, &owner.number, &members).await?;
        Ok(Self { tag: draw.to_string(), owner, others, group, group_subject })
    }

    pub(super) fn introduce(&self) {
        let [ada, ben, cleo] = &self.others;
        for person in [&self.owner, ada, ben] {
            detail(&format!("{:<6} +{}  in the group {:?}", person.name, person.number, self.group_subject));
        }
        detail(&format!("{:<6} +{}", cleo.name, cleo.number));
    }
}
