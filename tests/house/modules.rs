//! Who imports whom inside a crate: downward only, and never in a round.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::{Path, PathBuf},
};

use super::{
    ROOMS,
    source::{read, root, shipped_files, without_tests},
};

/// The modules of a crate that stand above one another.
struct Floors {
    room: &'static str,
    /// From the roof down; a floor may import only what lies below, or beside it.
    floors: &'static [&'static [&'static str]],
}

const FLOORS: [Floors; 4] = [
    Floors {
        room: "server",
        floors: &[
            &["api"],
            &["agents", "registration", "bundles", "ca", "attest"],
            &["directory"],
            &["store"],
        ],
    },
    Floors {
        room: "agent",
        floors: &[
            &["config"],
            &["api", "node", "sync", "disk_cache"],
            &["rotation", "status"],
            &["cache"],
            &["upstream", "storage", "workload"],
        ],
    },
    Floors {
        room: "proxy",
        floors: &[
            &["worker", "admin", "hand_over"],
            &["inbound", "outbound"],
            &["forward"],
            &["route"],
            &["http", "accept", "port"],
            &["listener", "ports", "relay"],
            &["cluster"],
            &["pool", "reauthorize"],
            &["admission", "source", "identity", "dns"],
            &["body", "overload"],
            &["config", "flow", "outside"],
            &["metrics", "trace"],
        ],
    },
    Floors {
        room: "mesh",
        floors: &[
            &["model", "balance"],
            &[
                "authorization",
                "destination",
                "peer_authentication",
                "request_authentication",
                "route",
                "service",
                "telemetry",
            ],
            &["object"],
            &["read"],
            &["breaker", "cidr", "path", "pattern", "problem"],
        ],
    },
];

#[test]
fn what_stands_on_floors_imports_downward_only() {
    for Floors { room, floors } in FLOORS {
        let files = files(room);
        for (height, floor) in floors.iter().enumerate() {
            let above: Vec<&str> = floors[..height].concat();
            for module in *floor {
                let mut of_module = files.iter().filter(|file| file.module == *module);
                assert!(
                    of_module.clone().next().is_some(),
                    "{room} has no {module}; remove it from its floor"
                );
                let broken = of_module.find_map(|file| {
                    let upper = above.iter().find(|upper| file.imported.contains(**upper));
                    upper.map(|upper| format!("{} imports {upper}", file.path.display()))
                });
                assert_eq!(broken, None);
            }
        }
    }
}

/// What two kinds need stands below them.
#[test]
fn no_kind_of_document_imports_another() {
    let kinds = [
        "authorization",
        "destination",
        "peer_authentication",
        "request_authentication",
        "route",
        "service",
        "telemetry",
    ];
    for file in files("mesh") {
        let mut others = kinds.iter().filter(|kind| **kind != file.module);
        let broken = others
            .find(|other| kinds.contains(&file.module.as_str()) && file.imported.contains(**other));
        assert_eq!(broken, None, "{}", file.path.display());
    }
}

#[test]
fn no_two_modules_of_a_crate_import_one_another_even_in_a_round() {
    for (room, _) in ROOMS {
        let rest = in_a_round(files(room));
        assert!(rest.is_empty(), "{room}: a circle among {rest:?}");
    }
}

#[test]
fn no_two_files_of_a_folder_import_one_another_even_in_a_round() {
    let sources = ROOMS.iter().map(|(room, _)| root().join(room).join("src"));
    let folders = sources.flat_map(|source| {
        let folders = folders(&source);
        folders.into_iter().map(move |folder| {
            let inside = folder
                .strip_prefix(&source)
                .expect("a folder of this crate");
            let modules = inside.iter().map(|name| name.to_string_lossy());
            (modules.collect::<Vec<_>>().join("::"), folder.clone())
        })
    });
    let circles = folders.map(|(module, folder)| {
        let within = |code: &str| within(code, &module);
        let rest = in_a_round(files_of(&folder, &folder.join("mod.rs"), within));
        (folder, rest)
    });
    let circles: Vec<_> = circles.filter(|(_, rest)| !rest.is_empty()).collect();
    assert!(circles.is_empty(), "circles: {circles:#?}");
}

/// The modules that are left when those that import none of the others are taken away, again and
/// again.
fn in_a_round(files: Vec<File>) -> Vec<String> {
    let mut graph: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for mut file in files {
        file.imported.remove(&file.module);
        graph.entry(file.module).or_default().extend(file.imported);
    }
    // The roots of a crate, and of a folder, import what they start.
    for start in ["lib", "main", "bin", "mod"] {
        graph.remove(start);
    }
    while let Some(leaf) = leaf(&graph) {
        graph.remove(&leaf);
    }
    graph.into_keys().collect()
}

/// A module that imports nothing of those that are left.
fn leaf(graph: &BTreeMap<String, BTreeSet<String>>) -> Option<String> {
    let free = |imported: &BTreeSet<String>| !imported.iter().any(|name| graph.contains_key(name));
    let mut modules = graph.iter();
    let found = modules.find(|(_, imported)| free(imported));
    found.map(|(module, _)| module.clone())
}

/// What one file imports of its own crate.
struct File {
    path: PathBuf,
    /// The file or folder at the top of the crate, or of the folder, that it belongs to.
    module: String,
    /// The modules at the top of the same.
    imported: BTreeSet<String>,
}

fn files(room: &str) -> Vec<File> {
    let source = root().join(room).join("src");
    files_of(&source, &source.join("lib.rs"), str::to_owned)
}

/// The files of a crate or a folder, whose root is `root`; `prepare` is done to each text.
fn files_of(source: &Path, root: &Path, prepare: impl Fn(&str) -> String) -> Vec<File> {
    let brought = if root.exists() {
        brought(&code(&read(root)))
    } else {
        BTreeMap::new()
    };
    let file = |path: PathBuf| {
        let inside = path.strip_prefix(source).expect("a file of this folder");
        let text = from_the_root(&prepare(&code(&without_tests(&path))), depth(inside));
        let first = inside.iter().next().expect("a name").to_string_lossy();
        let module = first.trim_end_matches(".rs").to_owned();
        File {
            module,
            imported: imports(&text, &brought),
            path,
        }
    };
    shipped_files(source).into_iter().map(file).collect()
}

/// A text in which the root is this folder's module: what it names from the crate's is elsewhere,
/// but for what leads back here.
fn within(code: &str, module: &str) -> String {
    let here = format!("crate::{module}::");
    let trees = code.split("use ").skip(1);
    let trees = trees.filter_map(|statement| statement.split(';').next());
    let paths = trees.flat_map(paths);
    let back: String = paths
        .filter_map(|path| Some(format!("\ncrate::{}", path.strip_prefix(&here)?)))
        .collect();
    code.replace("crate::", "elsewhere::") + &back
}

/// Every folder below this one.
fn folders(source: &Path) -> BTreeSet<PathBuf> {
    let files = shipped_files(source);
    let folders = files.iter().filter_map(|file| file.parent());
    let below = folders.filter(|folder| *folder != source);
    below.map(Path::to_owned).collect()
}

/// How many modules a file is inside of.
fn depth(inside: &Path) -> usize {
    let components = inside.iter().count();
    let root = ["lib.rs", "main.rs", "mod.rs"];
    match root.iter().any(|name| inside.ends_with(name)) {
        true => components - 1,
        false => components,
    }
}

/// The text with `super::` that leads to the root of the crate written as `crate::`.
fn from_the_root(code: &str, depth: usize) -> String {
    match depth {
        0 => code.to_owned(),
        depth => code.replace(&"super::".repeat(depth), "crate::"),
    }
}

/// Without comments.
fn code(text: &str) -> String {
    let lines = text.lines();
    let code = lines.filter(|line| !line.trim_start().starts_with("//"));
    code.map(|line| format!("{line}\n")).collect()
}

/// The modules at the top of the crate that a text names, in whatever form. `brought` says which
/// module a name at the root comes from.
fn imports(code: &str, brought: &BTreeMap<String, String>) -> BTreeSet<String> {
    let paths = code.match_indices("crate::").flat_map(|(at, prefix)| {
        let rest = &code[at + prefix.len()..];
        match rest.strip_prefix('{') {
            None => vec![identifier(rest)],
            Some(list) => items(list).into_iter().map(identifier).collect(),
        }
    });
    let module = |name: &str| brought.get(name).map_or(name, String::as_str).to_owned();
    paths.filter(|name| !name.is_empty()).map(module).collect()
}

/// The module behind each name that the root of a crate takes from one, by `use` or `pub use`.
fn brought(lib: &str) -> BTreeMap<String, String> {
    let mut brought = BTreeMap::new();
    for statement in lib.split("use ").skip(1) {
        let tree = statement.split(';').next().unwrap_or_default();
        for path in paths(tree) {
            let path = path.trim_start_matches("self::");
            let Some((module, rest)) = path.split_once("::") else {
                continue;
            };
            let name = rest.rsplit("::").next().unwrap_or_default();
            let name = name.rsplit(" as ").next().unwrap_or_default();
            brought.insert(name.to_owned(), module.to_owned());
        }
    }
    brought
}

/// Every path of a `use` tree, from its root to its leaf.
fn paths(tree: &str) -> Vec<String> {
    match tree.split_once('{') {
        None => vec![tree.trim().to_owned()],
        Some((prefix, list)) => items(list)
            .into_iter()
            .flat_map(|item| paths(&format!("{}{item}", prefix.trim())))
            .collect(),
    }
}

/// The items of a `use` list, up to its closing brace.
fn items(list: &str) -> Vec<&str> {
    let (mut items, mut depth, mut start) = (Vec::new(), 0_usize, 0);
    for (at, letter) in list.char_indices() {
        match letter {
            '{' => depth += 1,
            '}' if depth > 0 => depth -= 1,
            ',' | '}' if depth == 0 => {
                items.push(list[start..at].trim());
                start = at + 1;
                if letter == '}' {
                    break;
                }
            }
            _ => {}
        }
    }
    items.retain(|item| !item.is_empty());
    items
}

/// The first name of a path.
fn identifier(path: &str) -> &str {
    let end = path.find(|c: char| !c.is_alphanumeric() && c != '_');
    &path[..end.unwrap_or(path.len())]
}

#[test]
fn an_import_is_seen_in_every_form() {
    let text = "use crate::{\n    api::{self, b},\n    clock,\n};\nuse crate::store::Store;\n\
                // crate::comment::is_none\nlet now = crate::time::now();\n\
                use super::wide;\nuse crate::Config;\n";
    let lib = "mod config;\npub use self::config::{Config, file::File as Written};\n";
    let brought = brought(lib);
    assert_eq!(brought["Written"], "config");
    let seen = imports(&from_the_root(&code(text), 1), &brought);
    let seen: Vec<&str> = seen.iter().map(String::as_str).collect();
    assert_eq!(seen, ["api", "clock", "config", "store", "time", "wide"]);
    let deeper = from_the_root("use super::super::ca;\nuse super::beside;", 2);
    assert_eq!(
        imports(&deeper, &brought),
        BTreeSet::from(["ca".to_owned()])
    );
}

#[test]
fn an_import_from_beside_is_seen_in_every_form() {
    let text = "use super::door;\nuse crate::{\n    api::{admin::Admin, status},\n    cache,\n};\n";
    let seen = imports(&from_the_root(&within(text, "api"), 1), &BTreeMap::new());
    let seen: Vec<&str> = seen.iter().map(String::as_str).collect();
    assert_eq!(seen, ["admin", "door", "status"]);
}
