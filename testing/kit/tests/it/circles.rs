//! Finds circles of files. Within a crate, no file may use another file that uses it, directly or through others. A file that
//! uses an item of a `mod.rs` uses that `mod.rs`. A `mod.rs` may declare, re-export and call its own children: that does not
//! count as a use.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use petgraph::algo::tarjan_scc;
use petgraph::graphmap::DiGraphMap;
use syn::visit::Visit;
use syn::{Attribute, ItemMod, ItemUse, UseTree};

const CRATES: [&str; 15] = [
    "api",
    "common/bells",
    "common/domain",
    "common/posting",
    "common/process",
    "common/schedule",
    "common/store",
    "scheduler",
    "simulator",
    "testing/bench",
    "testing/chaos",
    "testing/demo",
    "testing/e2e",
    "testing/kit",
    "worker",
];

/// A file's place in its crate, such as `["session", "actor"]`. It is empty for `lib.rs`.
type Module = Vec<String>;

/// The files of a crate.
fn modules(src: &Path) -> BTreeMap<Module, PathBuf> {
    let mut found = BTreeMap::new();
    let mut folders = vec![src.to_path_buf()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                let place = path.strip_prefix(src).unwrap().with_extension("");
                let mut module: Module = place.iter().map(|part| part.to_string_lossy().into_owned()).collect();
                if matches!(module.last().map(String::as_str), Some("mod")) || module == ["lib"] {
                    module.pop();
                }
                found.insert(module, path);
            }
        }
    }
    found
}

/// The paths that a file names, as they are written there. Tests are left out.
#[derive(Default)]
struct Paths(Vec<Vec<String>>);

fn is_test(attributes: &[Attribute]) -> bool {
    attributes.iter().any(|attribute| {
        attribute.path().is_ident("cfg") && attribute.parse_args::<syn::Path>().is_ok_and(|path| path.is_ident("test"))
    })
}

impl<'a> Visit<'a> for Paths {
    fn visit_item_mod(&mut self, module: &'a ItemMod) {
        if !is_test(&module.attrs) {
            syn::visit::visit_item_mod(self, module);
        }
    }

    fn visit_item_use(&mut self, used: &'a ItemUse) {
        let mut open = vec![(Vec::new(), &used.tree)];
        while let Some((mut before, tree)) = open.pop() {
            match tree {
                UseTree::Path(path) => {
                    before.push(path.ident.to_string());
                    open.push((before, &path.tree));
                }
                UseTree::Group(group) => open.extend(group.items.iter().map(|tree| (before.clone(), tree))),
                UseTree::Name(name) => {
                    before.push(name.ident.to_string());
                    self.0.push(before);
                }
                UseTree::Rename(rename) => {
                    before.push(rename.ident.to_string());
                    self.0.push(before);
                }
                UseTree::Glob(_) => self.0.push(before),
            }
        }
    }

    fn visit_visibility(&mut self, _: &'a syn::Visibility) {}

    fn visit_path(&mut self, path: &'a syn::Path) {
        self.0.push(path.segments.iter().map(|segment| segment.ident.to_string()).collect());
        syn::visit::visit_path(self, path);
    }
}

/// Returns the module that a path in the file `here` leads to.
fn target(here: &Module, path: &[String], modules: &BTreeMap<Module, PathBuf>) -> Option<Module> {
    let mut place = match path.first()?.as_str() {
        "crate" => Vec::new(),
        "self" => here.clone(),
        "super" => here.split_last()?.1.to_vec(),
        child => {
            let child = [here.as_slice(), &[child.to_owned()]].concat();
            if path.len() < 2 || !modules.contains_key(&child) {
                return None; // another crate, or a name of this file
            }
            child
        }
    };
    for part in &path[1..] {
        if part == "super" {
            place.pop();
        } else {
            place.push(part.clone());
        }
    }
    while !modules.contains_key(&place) {
        place.pop()?;
    }
    Some(place)
}

fn circles(krate: &Path) -> Vec<BTreeSet<String>> {
    let modules = modules(&krate.join("src"));
    let names: BTreeMap<&Module, String> = modules.keys().map(|module| (module, module.join("::"))).collect();
    let mut uses: DiGraphMap<&str, ()> = DiGraphMap::new();
    for (module, path) in &modules {
        let mut paths = Paths::default();
        paths.visit_file(&syn::parse_file(&fs::read_to_string(path).unwrap()).unwrap());
        for used in paths.0.iter().filter_map(|path| target(module, path, &modules)) {
            if used != *module {
                uses.add_edge(&names[module], &names[&used], ());
            }
        }
    }
    let circles = tarjan_scc(&uses).into_iter().filter(|files| files.len() > 1);
    circles.map(|files| files.into_iter().map(str::to_owned).collect()).collect()
}

/// R102: no file of a crate uses another file that uses it.
#[test]
fn there_is_no_circle_of_files() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).ancestors().nth(2).unwrap();
    let found: Vec<_> = CRATES.into_iter().map(|name| (name, circles(&root.join(name)))).collect();
    let found: Vec<_> = found.into_iter().filter(|(_, circles)| !circles.is_empty()).collect();
    assert!(found.is_empty(), "{found:#?}");
}
