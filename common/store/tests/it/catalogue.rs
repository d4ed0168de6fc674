//! The schema in Postgres's catalogue: which table has whose rows, and that they are deleted with their tenant.

use sqlx::PgPool;
use store::MIGRATOR;

/// Tables that contain nothing of a tenant.
const OF_THE_HOUSE: [&str; 6] = ["_sqlx_migrations", "event_era", "schedulers", "settings", "tenants", "workers"];
/// Tables of an account. Only its owner or a claim reaches the rows, by the account's id, and they are deleted with it.
const OF_AN_ACCOUNT: [&str; 5] = ["credentials", "hand_overs", "leases", "pairings", "passkeys"];
/// Tables in which a row without a tenant belongs to the operator: admin keys, the audit trail, and stored answers.
const OF_THE_PLATFORM_TOO: [&str; 3] = ["answers", "api_keys", "audit"];
/// Parts of a row that has an index by tenant. They are only reached through that row.
const PARTS: [&str; 3] = ["reminder_messages", "reminder_targets", "run_targets"];
/// Tables whose rows stay when their tenant is deleted: the operator keeps the audit trail (R95).
const OUTLIVES: [&str; 1] = ["audit"];

struct Table {
    name: String,
    is_not_null: Option<bool>,
    leads_an_index: bool,
    goes_with_the_tenant: bool,
    goes_with_the_account: bool,
}

/// R105: every table with tenants' rows has the tenant in each row, has an index that begins with it, and loses the
/// rows with the tenant.
#[sqlx::test(migrator = "MIGRATOR")]
async fn every_row_of_a_tenant_says_so_and_goes_with_it(db: PgPool) {
    let found: Vec<(String, Option<bool>, bool, bool, bool)> = sqlx::query_as(
        "SELECT c.relname::text,
                (SELECT a.attnotnull FROM pg_attribute a WHERE a.attrelid = c.oid AND a.attname = 'tenant_id'),
                EXISTS (SELECT FROM pg_index i JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum = i.indkey[0]
                        WHERE i.indrelid = c.oid AND a.attname = 'tenant_id'),
                EXISTS (SELECT FROM pg_constraint k JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum = ANY (k.conkey)
                        WHERE k.conrelid = c.oid AND k.contype = 'f' AND k.confdeltype = 'c' AND a.attname = 'tenant_id'),
                EXISTS (SELECT FROM pg_constraint k JOIN pg_class r ON r.oid = k.confrelid
                        WHERE k.conrelid = c.oid AND k.contype = 'f' AND k.confdeltype = 'c' AND r.relname = 'accounts')
         FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
         WHERE n.nspname = 'public' AND c.relkind IN ('r', 'p') ORDER BY c.relname",
    )
    .fetch_all(&db)
    .await
    .unwrap();
    let tables = found.into_iter().map(|(name, is_not_null, leads_an_index, with_tenant, with_account)| Table {
        name,
        is_not_null,
        leads_an_index,
        goes_with_the_tenant: with_tenant,
        goes_with_the_account: with_account,
    });
    let mut seen = 0;
    for table in tables {
        let (name, is) = (table.name.as_str(), |list: &[&str]| list.contains(&table.name.as_str()));
        seen += 1;
        if is(&OF_THE_HOUSE) {
            assert_eq!(table.is_not_null, None, "{name} is a table of the house, and has a tenant");
            continue;
        }
        if is(&OF_AN_ACCOUNT) {
            assert!(table.goes_with_the_account, "{name} does not go with its account");
            continue;
        }
        assert!(table.is_not_null.is_some(), "{name}: whose rows are they?");
        assert!(table.is_not_null == Some(true) || is(&OF_THE_PLATFORM_TOO), "{name} may have a row of nobody");
        assert!(table.leads_an_index || is(&PARTS), "{name} has no index that begins with the tenant");
        assert!(table.goes_with_the_tenant || is(&OUTLIVES), "{name} keeps rows of a tenant that is gone");
    }
    assert!(seen >= 25, "{seen} tables");
}
