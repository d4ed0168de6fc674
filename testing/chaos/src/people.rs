//! The participants: accounts with their phones, the people that they write to, and groups.

use std::sync::Arc;
use std::time::Duration;

use anyhow::bail;
use futures::StreamExt as _;
use rand::RngExt as _;
use rand::rngs::StdRng;

use crate::cluster::Cluster;

/// The number of simultaneous pairings at the start.
const AT_ONCE: usize = 8;
/// How long one pairing may take at the start.
const PAIRING: Duration = Duration::from_secs(60);
/// The number of members of a group, besides the account that owns it.
const MEMBERS: usize = 4;

/// A chat of an account.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Chat {
    /// A number or a group's address.
    pub(crate) to: String,
    /// The numbers of those who see its messages.
    pub(crate) readers: Vec<String>,
}

/// An account and its phone.
#[derive(Debug, Clone)]
pub(crate) struct Person {
    pub(crate) label: String,
    pub(crate) number: String,
    pub(crate) account: String,
    pub(crate) chats: Vec<Chat>,
}

/// All participants.
pub(crate) struct People {
    /// Accounts that stay linked for the whole run, and send.
    pub(crate) steady: Vec<Person>,
    /// Accounts that unpair, are logged out, and pair again.
    pub(crate) fickle: Vec<Person>,
}

impl People {
    /// Creates phones (at least `phones`), groups and accounts, and pairs every account.
    pub(crate) async fn gather(
        cluster: &Arc<Cluster>,
        steady: usize,
        fickle: usize,
        phones: usize,
        dice: &mut StdRng,
    ) -> anyhow::Result<Self> {
        let number = |n: usize| format!("1555{n:07}");
        let accounts = steady + fickle;
        let all = phones.max(accounts + 20);
        for n in 0..all {
            cluster.phones.add(&number(n), &format!("Phone {n}")).await?;
        }
        let mut people = Vec::new();
        for n in 0..accounts {
            let stranger = |dice: &mut StdRng| number(dice.random_range(accounts..all));
            let (friend, members) = (stranger(dice), (0..MEMBERS).map(|_| stranger(dice)).collect::<Vec<_>>());
            let group = cluster.phones.group(&format!("Group {n}"), &number(n), &members).await?;
            let mut readers = members;
            readers.sort();
            readers.dedup();
            let chats = vec![Chat { to: friend.clone(), readers: vec![friend] }, Chat { to: group, readers }];
            people.push(Person { label: format!("Account {n}"), number: number(n), account: String::new(), chats });
        }
        let paired = futures::stream::iter(people.into_iter().map(|person| link(cluster, person))).buffered(AT_ONCE);
        let mut steady_ones: Vec<Person> =
            paired.collect::<Vec<_>>().await.into_iter().collect::<anyhow::Result<_>>()?;
        let fickle = steady_ones.split_off(steady);
        Ok(Self { steady: steady_ones, fickle })
    }
}

async fn link(cluster: &Arc<Cluster>, mut person: Person) -> anyhow::Result<Person> {
    person.account = cluster.gateway.account(&person.label).await?;
    if !cluster.gateway.pair(&cluster.phones, &person.account, &person.number, PAIRING).await? {
        bail!("{} could not be paired before anything went wrong", person.label);
    }
    Ok(person)
}
