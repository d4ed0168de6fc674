//! `switchboard-demo town`: virtual people who use a cluster that already runs, so that its dashboards show something.
//!
//! Failures are printed and tried again. So a person who breaks the cluster sees the effect on its users as well.

use std::hash::{BuildHasher as _, RandomState};
use std::path::Path;
use std::time::Duration;

use anyhow::bail;
use chrono::{DateTime, DurationRound as _, TimeDelta, Utc};
use clap::Args;
use kit::http::{Http, field};
use kit::{Cluster, Phones, Processes, Settings, reach};
use reqwest::Method;
use serde_json::{Value, json};

use crate::show::step;

const READY_LIMIT: Duration = Duration::from_secs(180);
const PAIR_LIMIT: Duration = Duration::from_secs(60);

/// Where the cluster is, and how lively the town.
#[derive(Args, Clone)]
pub(crate) struct Town {
    /// The api
    #[arg(long, env = "API_URL", default_value = "http://api:8080")]
    api: String,
    /// The simulator
    #[arg(long, env = "SIMULATOR_URL", default_value = "http://simulator:7700")]
    simulator: String,
    /// Accounts, each with a phone and a group
    #[arg(long, env = "TOWN_ACCOUNTS", default_value_t = 12, value_parser = clap::value_parser!(u16).range(1..=2_000))]
    accounts: u16,
    /// Messages that the town sends each second
    #[arg(long, env = "TOWN_SENDS_PER_S", default_value_t = 2, value_parser = clap::value_parser!(u16).range(1..=500))]
    sends_per_s: u16,
}

/// An account, and the addresses that it writes to.
struct Household {
    account: String,
    number: String,
    friend: String,
    group: String,
}

impl Town {
    /// Creates the accounts, and then sends messages until the process is ended.
    pub(crate) async fn live(&self, bin: &Path) -> anyhow::Result<()> {
        let (admin, simulator) = (Http::new(&self.api, None), Http::new(&self.simulator, None));
        step("The api and the simulator answer", async {
            reach("the api", READY_LIMIT, || async { Ok(admin.is_ok("/health").await) }).await?;
            reach("the simulator", READY_LIMIT, || async { Ok(simulator.is_ok("/admin/health").await) }).await
        })
        .await?;
        // reads the variable `DATABASE_URL` of this process
        let programs = Cluster { starter: Processes::of(bin), settings: Settings::default() };
        let admin = programs.command(&["keys", "create", "--admin", "--name", "town"]).await?;
        let admin = Http::new(&self.api, Some(&admin));
        let phones = Phones::new(&format!("{}/admin", self.simulator));
        let tenant = field(&admin.post("/v1/tenants", json!({ "name": "Town" })).await?, "id")?;
        let key = admin.post(&format!("/v1/tenants/{tenant}/keys"), json!({ "name": "town" })).await?;
        let api = Http::new(&self.api, Some(&field(&key, "secret")?));

        // new numbers in each run, from the random seed of the standard library's hash maps
        let draw = RandomState::new().hash_one(0);
        let mut households = Vec::new();
        for number in 0..self.accounts {
            let house = house(draw, number);
            let household = step(&format!("Account {number} moves in"), move_in(&api, &phones, &house)).await?;
            households.push(household);
        }
        println!("{} accounts send {} messages a second from now on", self.accounts, self.sends_per_s);
        self.talk(&api, &phones, &households).await
    }

    async fn talk(&self, api: &Http, phones: &Phones, households: &[Household]) -> anyhow::Result<()> {
        let mut beat = tokio::time::interval(Duration::from_secs(1) / u32::from(self.sends_per_s));
        beat.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        for (number, household) in households.iter().cycle().enumerate() {
            beat.tick().await;
            // each fourth message goes to the group; after each third one the friend answers
            let to = if number % 4 == 3 { &household.group } else { &household.friend };
            let path = format!("/v1/accounts/{}/messages", household.account);
            if let Err(error) = api.post(&path, json!({ "to": to, "text": format!("Message {number}") })).await {
                println!("✗ not accepted: {error:#}");
            }
            if number % 3 == 2 {
                let path = format!("/phones/{}/send", household.friend);
                let answer = json!({ "to": household.number, "text": format!("Answer {number}") });
                if let Err(error) = phones.call(Method::POST, &path, Some(answer)).await {
                    println!("✗ not answered: {error:#}");
                }
            }
        }
        bail!("a town without households")
    }
}

/// The beginning of a household's numbers: British numbers of twelve digits. The last digit is the person's.
fn house(draw: u64, number: u16) -> String {
    format!("447{}{:04}", draw % 9_000 + 1_000, number % 10_000)
}

/// Creates phones, a group, a linked account, and a reminder every five minutes.
async fn move_in(api: &Http, phones: &Phones, house: &str) -> anyhow::Result<Household> {
    let (owner, friend) = (format!("{house}1"), format!("{house}2"));
    for (phone, name) in [(&owner, "Olive"), (&friend, "Ada")] {
        phones.add(phone, name).await?;
    }
    let group = phones.group("The street", &owner, std::slice::from_ref(&friend)).await?;

    let account = field(&api.post("/v1/accounts", json!({ "label": format!("House {house}") })).await?, "id")?;
    let path = format!("/v1/accounts/{account}");
    api.post(&format!("{path}/pair"), json!({ "method": "qr" })).await?;
    let code = reach("a QR code", PAIR_LIMIT, || async {
        let code = api.get_text(&format!("{path}/qr?format=text")).await?;
        Ok(code.ok_or_else(|| "no code yet".to_owned()))
    })
    .await?;
    phones.scan(&owner, &code).await?.success()?;
    reach("the account to be connected", PAIR_LIMIT, || async {
        let now = api.get(&path).await?;
        Ok(if now["status"] == "connected" { Ok(()) } else { Err(now.to_string()) })
    })
    .await?;

    #[expect(
        clippy::disallowed_methods,
        reason = "the town lives by the wall clock; the rule is tested with chosen times"
    )]
    let now = Utc::now();
    api.post("/v1/reminders", street(&account, &group, now)).await?;
    Ok(Household { account, number: owner, friend, group })
}

/// A reminder to a group every five minutes, from the next full five minutes on.
fn street(account: &str, group: &str, now: DateTime<Utc>) -> Value {
    let start = now.duration_trunc(TimeDelta::minutes(5)).unwrap_or(now) + TimeDelta::minutes(5);
    json!({
        "name": "The street", "account_id": account, "messages": ["Every five minutes"], "targets": [group],
        "start": start.format("%Y-%m-%dT%H:%M").to_string(), "timezone": "UTC", "rrule": "FREQ=MINUTELY;INTERVAL=5",
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// R06: the api refuses a reminder that begins in the past. So the town's reminder begins at the next full five
    /// minutes, on any day.
    #[test]
    fn the_street_begins_ahead() {
        for now in ["2026-11-28T05:20:00Z", "2026-11-28T05:24:59.9Z", "2031-12-31T23:58:00Z"] {
            let now: DateTime<Utc> = now.parse().unwrap();
            let start = street("a", "g", now)["start"].as_str().unwrap().to_owned();
            let start: DateTime<Utc> = format!("{start}:00Z").parse().unwrap();
            assert!(start > now && start - now <= TimeDelta::minutes(5), "{now}: {start}");
        }
    }

    /// The api refuses numbers that are too long or too short for their country.
    #[test]
    fn numbers_have_the_length_of_their_country() {
        for (draw, number) in [(0, 0), (u64::MAX, u16::MAX), (8_999, 9_999)] {
            let person = format!("{}1", house(draw, number));
            assert_eq!(person.len(), 12, "{person}");
        }
    }
}
