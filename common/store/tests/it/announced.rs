//! Announcements after a commit come with the committed result: bells for the owner, signals for the tenant's streams.

use domain::account::Method;
use domain::committed::After;
use domain::id::{AccountId, TenantId};
use domain::job::Bell;
use sqlx::PgPool;
use store::audit::Operator;
use store::messages::Draft;
use store::{MIGRATOR, Store, accounts, groups, messages, reminders};

use crate::due::{account, reminder};

fn after(bell: Option<Bell>, tenant: Option<TenantId>) -> After {
    After { bells: bell.map(|bell| (bell, None)).into_iter().collect(), tenants: tenant.into_iter().collect() }
}

/// R107: the result of each change that others must learn of has a type that names them.
#[sqlx::test(migrator = "MIGRATOR")]
async fn a_change_names_who_must_hear_of_it(db: PgPool) {
    let store = Store::from(db.clone());
    let (tenant, id) = account(&db, "connected").await;
    let account = AccountId(id.into());
    let operator = Operator::System("test");
    let to: domain::jid::Jid = "4917012345678".parse().unwrap();
    let draft = Draft { to, text: "hello".to_owned(), expires_at: None };
    let (_, told) = messages::accept(store.of(tenant), account, vec![draft]).await.unwrap().parts();
    assert_eq!(told, after(Some(Bell::Send { account }), None));
    let ((), told) = groups::want_sync(store.of(tenant), account).await.unwrap().parts();
    assert_eq!(told, after(Some(Bell::Pair { account }), None));

    let rests = reminder(&db, (tenant, id), Some("FREQ=DAILY"), 60, 1).await;
    let ((), told) = reminders::pause(store.of(tenant), rests).await.unwrap().parts();
    assert_eq!(told, after(None, Some(tenant)));
    let ((), told) = reminders::resume(store.of(tenant), rests).await.unwrap().parts();
    assert_eq!(told, after(None, Some(tenant)));
    let ((), told) = reminders::delete(store.of(tenant), rests).await.unwrap().parts();
    assert_eq!(told, after(None, Some(tenant)));

    let (_, told) = accounts::unpair(store.of(tenant), account, operator).await.unwrap().parts();
    assert_eq!(told, after(Some(Bell::Unpair { account }), Some(tenant)));
    let (_, told) = accounts::pair(store.of(tenant), account, (Method::Qr, None), operator).await.unwrap().parts();
    assert_eq!(told, after(Some(Bell::Pair { account }), Some(tenant)));
    let (_, told) = accounts::delete(store.of(tenant), account, operator).await.unwrap().parts();
    assert_eq!(told, after(Some(Bell::Unpair { account }), Some(tenant)));
}
