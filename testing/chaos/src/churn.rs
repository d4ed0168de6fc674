//! Accounts that come and go: they unpair, are logged out by their phones or are replaced by new ones, and pair again.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use kit::http::Refused;
use rand::RngExt as _;
use rand::rngs::StdRng;
use reqwest::Method;
use tokio_util::sync::CancellationToken;

use crate::cluster::Cluster;
use crate::ledger::{Book, Ledger};
use crate::pace::{PATIENCE, pause};
use crate::people::Person;

/// How long an account may take to be connected before the pairing is requested again.
const PAIRING: Duration = Duration::from_secs(45);
/// How often a pairing is requested.
const PAIRINGS: usize = 8;
/// How long it may take until a logout on the phone is noticed.
const NOTICING: Duration = Duration::from_secs(90);
/// How often the creation of an account is tried while there is no answer.
const MAKINGS: usize = 4;

/// A status that differs from what the request before had set.
#[derive(Debug)]
struct Wrong(String);

impl fmt::Display for Wrong {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Wrong {}

/// Repeatedly unpairs an account (or lets its phone log it out, or replaces it) and pairs it again.
pub(crate) async fn churn(
    cluster: Arc<Cluster>,
    mut person: Person,
    book: Book,
    mut dice: StdRng,
    stop: CancellationToken,
) {
    let mut paired = true;
    while pause(6.0, &mut dice, &stop).await {
        let way = dice.random_range(0..4);
        if paired {
            let gone = match way {
                0 => log_out(&cluster, &person).await,
                1 => replace(&cluster, &mut person).await,
                _ => unpair(&cluster, &person).await,
            };
            if let Err(error) = gone {
                cluster.journal.say(format_args!("{}: {error:#}", person.label));
                book.note(|ledger| judge(ledger, &person.label, &error));
            }
        }
        // a pairing that has begun is finished, even after the stop, because the faults end soon
        paired = pair(&cluster, &person, &book).await;
        book.note(|ledger| ledger.churned += 1);
    }
    book.note(|ledger| ledger.fickle.push((person.account.clone(), "connected")));
}

/// Pairs the account. Returns whether it is connected.
async fn pair(cluster: &Cluster, person: &Person, book: &Book) -> bool {
    for _ in 0..PAIRINGS {
        match cluster.gateway.pair(&cluster.phones, &person.account, &person.number, PAIRING).await {
            Ok(true) => return true,
            Ok(false) => {}
            Err(error) => {
                cluster.journal.say(format_args!("{} is not paired yet: {error:#}", person.label));
                // the account was connected when the pairing was requested, but has been disconnected since
                let crossed = error.downcast_ref::<Refused>().is_some_and(|refused| refused.status == 409);
                if !crossed {
                    book.note(|ledger| judge(ledger, &person.label, &error));
                }
                tokio::time::sleep(Duration::from_secs(1)).await;
            }
        }
    }
    false
}

/// Pure. Records the kind of a failure. Only a missing answer proves nothing about the gateway.
fn judge(ledger: &mut Ledger, label: &str, error: &anyhow::Error) {
    let words = format!("{label}: {error:#}");
    if error.is::<Wrong>() {
        ledger.wrong.push(words);
    } else if error.is::<Refused>() {
        ledger.refused.push(words);
    } else {
        ledger.open += 1;
    }
}

async fn unpair(cluster: &Cluster, person: &Person) -> anyhow::Result<()> {
    let path = format!("/v1/accounts/{}/unpair", person.account);
    cluster.gateway.demand(Method::POST, &path, None, PATIENCE).await?;
    let status = cluster.gateway.status(&person.account).await?;
    if status != "unpaired" {
        return Err(Wrong(format!("it was unpaired and is {status}")).into());
    }
    Ok(())
}

async fn log_out(cluster: &Cluster, person: &Person) -> anyhow::Result<()> {
    let phone = cluster.phones.call(Method::GET, &format!("/phones/{}", person.number), None).await?;
    let devices = phone["linked_devices"].as_array().cloned().unwrap_or_default();
    if devices.is_empty() {
        return Ok(()); // it was logged out before, and the answer was lost
    }
    for device in devices.iter().filter_map(|device| device["device"].as_u64()) {
        let path = format!("/phones/{}/devices/{device}", person.number);
        match cluster.phones.call(Method::DELETE, &path, None).await {
            // the device has unlinked itself meanwhile
            Err(error) if error.downcast_ref::<Refused>().is_some_and(|refused| refused.status == 404) => {}
            done => drop(done?),
        }
    }
    let start = std::time::Instant::now();
    while cluster.gateway.status(&person.account).await? != "logged_out" {
        if start.elapsed() > NOTICING {
            return Err(Wrong(format!("its phone logged it out {NOTICING:?} ago, and nobody noticed")).into());
        }
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    Ok(())
}

async fn replace(cluster: &Cluster, person: &mut Person) -> anyhow::Result<()> {
    let path = format!("/v1/accounts/{}", person.account);
    let (status, answer) = cluster.gateway.insist(Method::DELETE, &path, None, None, PATIENCE).await?;
    // 404 means that an earlier try succeeded, but its answer was lost
    if status >= 300 && status != 404 {
        return Err(Refused { status, words: format!("DELETE {path}: {answer}") }.into());
    }
    for left in (0..MAKINGS).rev() {
        match cluster.gateway.account(&person.label).await {
            Ok(id) => {
                person.account = id;
                return Ok(());
            }
            Err(error) if left == 0 || error.is::<Refused>() => return Err(error),
            Err(_) => {}
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_missing_answer_is_left_open() {
        let mut ledger = Ledger::default();
        judge(&mut ledger, "a", &Wrong("it is pending".to_owned()).into());
        judge(&mut ledger, "b", &Refused { status: 404, words: "gone".to_owned() }.into());
        judge(&mut ledger, "c", &anyhow::anyhow!("nobody answered"));
        assert_eq!((ledger.wrong.len(), ledger.refused.len(), ledger.open), (1, 1, 1));
    }
}
