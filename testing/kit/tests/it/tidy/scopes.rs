//! A type says whose rows a call may touch (`common/store/src/scope.rs`). Few places may ask for the rows of more than one tenant.

use syn::visit::{self, Visit};
use syn::{FnArg, ImplItemFn, ItemFn, ItemMod, Signature, Type, Visibility};

use super::{code_with, sources};

/// R64: the api opens the rows of all tenants only for admins, for identifying a caller, and for the operator's commands. Handlers get
/// the rows of their caller.
#[test]
fn handlers_reach_no_rows_but_their_callers() {
    for (word, homes) in [
        (
            "for_all_tenants(",
            ["api/src/auth.rs", "api/src/auth/rows.rs", "api/src/key_cache.rs", "api/src/commands/"].as_slice(),
        ),
        (".under(", &[]),
        (".tenants()", &["api/src/auth.rs"]),
        ("Store::from(", &["api/src/lib.rs"]),
        ("PgPool", &["api/src/lib.rs"]),
        ("PgConnection", &[]),
        ("connect_lazily(", &["api/src/commands/"]),
    ] {
        for (name, text) in sources().into_iter().filter(|(name, _)| name.starts_with("api/src/")) {
            let lines = code_with(&text, word);
            let is_home = homes.iter().any(|home| name.starts_with(home));
            assert!(is_home || lines.is_empty(), "{name} has `{word}`, whose homes are {homes:?}: {lines:?}");
        }
    }
}

/// Public functions of the store that take a pool, a connection or a tenant's id: file and function (`*`: all). All but the last two
/// touch no tenant's rows.
const WITHOUT_A_SCOPE: [(&str, &str); 17] = [
    // the rows of workers and schedulers
    ("workers/mod.rs", "*"),
    ("workers/name.rs", "*"),
    ("admin.rs", "workers"),
    ("signs.rs", "scheduler_lives"),
    ("signs.rs", "scheduler_stops"),
    ("signs.rs", "prune_schedulers"),
    // rows of the installation
    ("settings.rs", "*"),
    ("era.rs", "*"),
    // the server itself: connections, its clock, its schema, the sizes of its tables
    ("pool.rs", "*"),
    ("server.rs", "*"),
    ("measure.rs", "clock_offset"),
    ("measure.rs", "schema"),
    ("measure.rs", "table_bytes"),
    ("pings.rs", "*"),
    // a notification says only that something is due
    ("reminders/wake.rs", "listen"),
    // lists all tenants, and one tenant's rows if an operator asks for them
    ("admin.rs", "accounts"),
    // part of the caller's transaction; each event contains its tenant
    ("events/write.rs", "write"),
];

/// The public functions of a file that take a pool, a connection or a tenant's id.
#[derive(Default)]
struct Unscoped(Vec<String>);

impl Unscoped {
    fn look(&mut self, visibility: &Visibility, signature: &Signature) {
        let takes = |word: &str| {
            signature.inputs.iter().any(|input| matches!(input, FnArg::Typed(input) if names(&input.ty, word)))
        };
        let touches_rows = signature.asyncness.is_some() || takes("PgPool") || takes("PgConnection");
        let is_public = matches!(visibility, Visibility::Public(_));
        if is_public && touches_rows && ["PgPool", "PgConnection", "TenantId"].into_iter().any(takes) {
            self.0.push(signature.ident.to_string());
        }
    }
}

/// Whether a type has this name, or contains a type of this name.
fn names(of: &Type, word: &str) -> bool {
    struct Named<'a>(&'a str, bool);
    impl<'ast> Visit<'ast> for Named<'_> {
        fn visit_ident(&mut self, ident: &'ast syn::Ident) {
            self.1 |= ident == self.0;
        }
    }
    let mut named = Named(word, false);
    named.visit_type(of);
    named.1
}

impl<'ast> Visit<'ast> for Unscoped {
    fn visit_item_mod(&mut self, module: &'ast ItemMod) {
        if module.ident != "tests" {
            visit::visit_item_mod(self, module);
        }
    }

    fn visit_item_fn(&mut self, function: &'ast ItemFn) {
        self.look(&function.vis, &function.sig);
    }

    fn visit_impl_item_fn(&mut self, function: &'ast ImplItemFn) {
        self.look(&function.vis, &function.sig);
    }
}

/// R64: a function of the store on tenants' rows takes the type that says whose rows. The exceptions are listed.
#[test]
fn rows_of_tenants_are_reached_by_scope_alone() {
    let mut seen = std::collections::BTreeSet::new();
    for (name, text) in sources() {
        let Some(file) = name.strip_prefix("common/store/src/") else { continue };
        if file == "scope.rs" {
            continue; // this file defines the types
        }
        let mut unscoped = Unscoped::default();
        unscoped.visit_file(&syn::parse_file(&text).unwrap());
        for function in unscoped.0 {
            let known = WITHOUT_A_SCOPE.iter().find(|(home, known)| *home == file && ["*", &function].contains(known));
            let known = known.unwrap_or_else(|| panic!("{file}: `{function}` takes no scope, such as `Of<'_>`"));
            seen.insert(*known);
        }
    }
    let idle: Vec<_> = WITHOUT_A_SCOPE.iter().filter(|known| !seen.contains(*known)).collect();
    assert!(idle.is_empty(), "these take a scope by now: {idle:?}");
}
