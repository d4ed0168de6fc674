//! The SQL that `docs/operate.md` gives to operators, as printed there, on the real schema (R60).

use std::fmt::Write as _;

use domain::id::{AccountId, TenantId};
use sqlx::{AssertSqlSafe, PgPool, Row as _};
use store::runs;
use store::{Fence, MIGRATOR, Store, outbox};

const PAGE: &str = include_str!("../../../../docs/operate.md");

/// The blocks of SQL below a heading, or of the whole page.
fn blocks(heading: Option<&str>) -> Vec<String> {
    let page = heading.map_or(PAGE, |heading| {
        let (_, below) = PAGE.split_once(&format!("\n## {heading}\n")).expect("the heading is there");
        below.split("\n## ").next().unwrap()
    });
    page.split("```sql\n").skip(1).map(|rest| rest.split("\n```").next().unwrap().to_owned()).collect()
}

/// Runs the SQL with psql's variables filled in.
async fn run(db: &PgPool, sql: &str, tenant: TenantId) -> Result<(), sqlx::Error> {
    let mut filled = String::new();
    write!(filled, "{}", sql.replace(":'tenant'", &format!("'{tenant}'"))).unwrap();
    assert!(!filled.contains(":'"), "a variable that nobody fills in: {filled}");
    sqlx::raw_sql(AssertSqlSafe(filled)).execute(db).await.map(drop)
}

/// R60: each block runs, even if nothing is stored yet.
#[sqlx::test(migrator = "MIGRATOR")]
async fn each_block_runs(db: PgPool) {
    let all = blocks(None);
    assert!(all.len() >= 4, "{all:?}");
    for block in all {
        run(&db, &block, TenantId::new()).await.unwrap_or_else(|error| panic!("{error}: {block}"));
    }
}

/// R60: "Stop all sending" stops a tenant's sending: nothing that is queued, due or running goes out any more. Another
/// tenant's messages go out.
#[sqlx::test(migrator = "MIGRATOR")]
async fn what_is_queued_is_taken_back(db: PgPool) {
    let store = Store::from(db.clone());
    let mut accounts = Vec::new();
    for _ in 0..2 {
        let (tenant, account) = (TenantId::new(), AccountId::new());
        let fill = format!(
            "INSERT INTO tenants (id, name) VALUES ('{tenant}', 'Acme');
             INSERT INTO accounts (id, tenant_id, label) VALUES ('{account}', '{tenant}', 'Ada');
             INSERT INTO messages (id, tenant_id, account_id, chat, body, whatsapp_id) VALUES
                 (gen_random_uuid(), '{tenant}', '{account}', '447700900123@s.whatsapp.net', 'hello', 'A'),
                 (gen_random_uuid(), '{tenant}', '{account}', '447700900124@s.whatsapp.net', 'hello', 'B');
             INSERT INTO reminders (id, tenant_id, account_id, name, timezone, start_local, next_fire_at)
                 VALUES ('{account}', '{tenant}', '{account}', 'Stand-up', 'UTC', now() AT TIME ZONE 'UTC', now());
             INSERT INTO runs (id, tenant_id, reminder_id, account_id, reminder_name, account_label, version, fire_at, bodies)
                 VALUES ('{account}', '{tenant}', '{account}', '{account}', 'Stand-up', 'Ada', 1, now() - interval '1 day', '{{hello}}');
             INSERT INTO run_targets (tenant_id, run_id, position, chat) VALUES ('{tenant}', '{account}', 0, '447700900125@s.whatsapp.net');"
        );
        sqlx::raw_sql(AssertSqlSafe(fill)).execute(&db).await.unwrap();
        accounts.push((tenant, account));
    }
    let [(tenant, account), (_, other)] = accounts[..] else { unreachable!() };
    let [block] = &blocks(Some("Stop all sending"))[..] else { panic!("one block") };
    run(&db, block, tenant).await.unwrap();

    for (account, left) in [(account, 0), (other, 2)] {
        assert_eq!(outbox::waiting(store.under(Fence { account, epoch: 0 }), 10).await.unwrap().len(), left);
    }
    let firing = runs::fire_due(store.for_all_tenants(), 10).await.unwrap().quietly();
    assert_eq!(firing.due, 1, "the other tenant's");
    let run = sqlx::query("SELECT r.status, t.state FROM runs r JOIN run_targets t ON t.run_id = r.id WHERE r.id = $1");
    let run = run.bind(account).fetch_one(&db).await.unwrap();
    assert_eq!((run.get::<&str, _>(0), run.get::<&str, _>(1)), ("canceled", "skipped"));
}
