//! The walls of the house: who may import whom, how long a file may be, where SQL, crypto
//! and X.509 may stand. `ARCHITECTURE.md` says why.
#![allow(
    clippy::expect_used,
    clippy::panic,
    clippy::unwrap_used,
    reason = "helpers of a test"
)]

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::{Path, PathBuf},
};

/// Each room, and the rooms that it may import.
const ROOMS: [(&str, &[&str]); 8] = [
    ("proto", &[]),
    ("identity", &["proto"]),
    ("mesh", &["identity", "proto"]),
    ("daemon", &["proto"]),
    ("server", &["mesh", "identity", "daemon", "proto"]),
    ("agent", &["identity", "daemon", "proto"]),
    ("proxy", &["mesh", "identity", "daemon", "proto"]),
    (
        "cli",
        &[
            "server", "agent", "proxy", "mesh", "identity", "daemon", "proto",
        ],
    ),
];

/// The server's floors, from the roof down; a floor may import only what lies below.
const FLOORS: [&[&str]; 4] = [
    &["api"],
    &[
        "agents",
        "registration",
        "bundles",
        "control_plane",
        "ca",
        "attest",
    ],
    &["directory"],
    &["store"],
];

/// Lines of a file without its tests.
const LONGEST_FILE: usize = 600;

#[test]
fn rooms_import_only_what_they_may() {
    for (room, allowed) in ROOMS {
        let manifest = read(&root().join(room).join("Cargo.toml"));
        let dependencies = manifest.split("[dependencies]").nth(1).unwrap_or_default();
        let dependencies = dependencies.split("\n[").next().unwrap_or_default();
        for line in dependencies.lines() {
            let Some(import) = line.strip_prefix("signet-") else {
                continue;
            };
            let import = import.split(['.', ' ']).next().unwrap_or_default();
            assert!(allowed.contains(&import), "{room} must not import {import}");
        }
    }
}

#[test]
fn the_server_imports_downward_only() {
    for (height, floor) in FLOORS.iter().enumerate() {
        for room in *floor {
            let above: Vec<&str> = FLOORS[..height].concat();
            for file in shipped_files(&root().join("server/src").join(room)) {
                let imported = imports(&without_tests(&file));
                let upper = above.iter().find(|upper| imported.contains(**upper));
                assert!(upper.is_none(), "{} imports {upper:?}", file.display());
            }
        }
    }
}

#[test]
fn no_two_modules_of_a_crate_import_one_another_even_in_a_round() {
    for (room, _) in ROOMS {
        let source = root().join(room).join("src");
        let mut graph: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
        for file in shipped_files(&source) {
            let module = module_of(&file, &source);
            let mut imported = imports(&without_tests(&file));
            imported.remove(&module);
            graph.entry(module).or_default().extend(imported);
        }
        // The roots of a crate import what they start.
        for start in ["lib", "main", "bin"] {
            graph.remove(start);
        }
        while let Some(leaf) = leaf(&graph) {
            graph.remove(&leaf);
        }
        let rest: Vec<_> = graph.keys().collect();
        assert!(rest.is_empty(), "{room}: a circle among {rest:?}");
    }
}

/// A module that imports nothing of those that are left.
fn leaf(graph: &BTreeMap<String, BTreeSet<String>>) -> Option<String> {
    let free = |imported: &BTreeSet<String>| !imported.iter().any(|name| graph.contains_key(name));
    let mut modules = graph.iter();
    let found = modules.find(|(_, imported)| free(imported));
    found.map(|(module, _)| module.clone())
}

/// The file or folder at the top of a crate that a file belongs to.
fn module_of(file: &Path, source: &Path) -> String {
    let inside = file.strip_prefix(source).expect("a file of this crate");
    let first = inside.iter().next().expect("a name");
    let name = first.to_string_lossy();
    name.trim_end_matches(".rs").to_owned()
}

#[test]
fn an_import_is_seen_in_every_form() {
    let text = "use crate::{\n    api::{self, b},\n    clock,\n};\nuse crate::store::Store;\n\
                // crate::comment::is_none\nlet now = crate::time::now();\n";
    let seen: Vec<String> = imports(text).into_iter().collect();
    assert_eq!(seen, ["api", "clock", "store", "time"]);
}

/// The modules at the top of the crate that a text names, in whatever form.
fn imports(text: &str) -> BTreeSet<String> {
    let code = text
        .lines()
        .filter(|line| !line.trim_start().starts_with("//"));
    let code: String = code.map(|line| format!("{line}\n")).collect();
    let mut names = BTreeSet::new();
    for (at, prefix) in code.match_indices("crate::") {
        let rest = &code[at + prefix.len()..];
        match rest.strip_prefix('{') {
            None => names.extend(identifier(rest)),
            Some(list) => names.extend(listed(list)),
        }
    }
    names
}

/// The first names of the items of a `use` list, up to its closing brace.
fn listed(list: &str) -> BTreeSet<String> {
    let (mut names, mut depth, mut fresh) = (BTreeSet::new(), 0_usize, true);
    for (at, letter) in list.char_indices() {
        match letter {
            '}' if depth == 0 => break,
            '}' => depth -= 1,
            '{' => depth += 1,
            ',' if depth == 0 => fresh = true,
            _ if fresh && depth == 0 && !letter.is_whitespace() => {
                names.extend(identifier(&list[at..]));
                fresh = false;
            }
            _ => {}
        }
    }
    names
}

/// The module that a path begins with; types and functions at the top are no modules.
fn identifier(path: &str) -> Option<String> {
    let is_part = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_';
    let end = path.find(|c| !is_part(c)).unwrap_or(path.len());
    (end > 0 && !path[end..].starts_with(|c: char| c.is_alphanumeric()))
        .then(|| path[..end].to_owned())
}

#[test]
fn every_file_says_what_it_is_for() {
    for file in all_rust_files() {
        assert!(
            read(&file).starts_with("//!"),
            "{} opens without `//!`",
            file.display()
        );
    }
}

#[test]
fn no_file_is_too_long_to_read() {
    for file in all_rust_files() {
        let lines = without_tests(&file).lines().count();
        assert!(
            lines <= LONGEST_FILE,
            "{} has {lines} lines without its tests",
            file.display()
        );
    }
}

#[test]
fn sql_stands_in_the_store_alone() {
    stands_only_in(&["sqlx::", "sqlx::query"], &["server/src/store"]);
}

#[test]
fn the_store_names_its_database_in_one_folder() {
    let source = root().join("server/src");
    // A configuration file says which database it means.
    let may = [source.join("store/sqlite"), source.join("config")];
    for file in shipped_files(&source) {
        if may.iter().any(|folder| file.starts_with(folder)) {
            continue;
        }
        for line in without_tests(&file).lines() {
            // Here it gets the name by which the rest of the store knows it.
            let door = ["mod sqlite;", "use sqlite as database;"].contains(&line);
            let named = line.to_ascii_lowercase().contains("sqlite");
            assert!(door || !named, "{}: {line}", file.display());
        }
    }
}

#[test]
fn crypto_is_named_in_one_place() {
    stands_only_in(
        &["ring::", "aws_lc_rs::", "aws_lc_rs as"],
        &["identity/src/crypto"],
    );
}

#[test]
fn the_server_names_x509_extensions_in_one_file() {
    let words = [
        "BasicConstraints",
        "basicConstraints",
        "ExtendedKeyUsage",
        "SubjectAltName",
    ];
    for file in shipped_files(&root().join("server/src")) {
        if file.ends_with("ca/x509/mod.rs") {
            continue;
        }
        let text = without_tests(&file);
        let code = text
            .lines()
            .filter(|line| !line.trim_start().starts_with("//"));
        for line in code {
            let named = words.iter().find(|word| line.contains(**word));
            assert!(
                named.is_none(),
                "{} names an X.509 extension: {line}",
                file.display()
            );
        }
    }
}

#[test]
fn no_test_is_switched_off() {
    let off = concat!("#[", "ignore");
    for file in all_rust_files() {
        assert!(
            !read(&file).contains(off),
            "{} switches a test off",
            file.display()
        );
    }
}

#[test]
fn tests_have_one_name_and_their_shared_help_another() {
    for file in all_rust_files() {
        let name = file.display().to_string();
        let strange = ["_tests.rs", "_tests/", "testkit"];
        let strange = strange.iter().find(|part| name.contains(**part));
        assert!(
            strange.is_none(),
            "{name}: tests beside the code are `tests`, their help is `testing`"
        );
    }
}

#[test]
fn every_room_stands_in_the_architecture_page() {
    let page = read(&root().join("ARCHITECTURE.md"));
    for (room, _) in ROOMS {
        assert!(
            page.contains(&format!("{room}/")),
            "ARCHITECTURE.md does not show {room}/"
        );
    }
}

#[test]
fn every_test_that_the_security_page_names_exists() {
    let sources: String = all_rust_files().iter().map(|file| read(file)).collect();
    let page = read(&root().join("SECURITY.md"));
    // A sentence about behaviour, not the name of a setting.
    let is_test = |word: &&str| {
        let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_';
        word.chars().all(plain) && word.matches('_').count() >= 4
    };
    let named: Vec<&str> = page.split('`').filter(is_test).collect();
    assert!(named.len() > 40, "the page names {} tests", named.len());
    for test in named {
        let exists = sources.contains(&format!("fn {test}("));
        assert!(exists, "SECURITY.md names a test that is not there: {test}");
    }
}

/// Fails when one of `words` stands in code outside `places`.
fn stands_only_in(words: &[&str], places: &[&str]) {
    for (room, _) in ROOMS {
        for file in shipped_files(&root().join(room).join("src")) {
            if places
                .iter()
                .any(|place| file.starts_with(root().join(place)))
            {
                continue;
            }
            for line in without_tests(&file).lines() {
                if line.trim_start().starts_with("//") {
                    continue;
                }
                let named = words.iter().find(|word| names(line, word));
                assert!(named.is_none(), "{}: {line}", file.display());
            }
        }
    }
}

/// Whether `line` has `word` as a path of its own, not as the end of a longer name.
fn names(line: &str, word: &str) -> bool {
    line.match_indices(word).any(|(at, _)| {
        let before = line[..at].chars().next_back();
        !before.is_some_and(|c| c.is_alphanumeric() || c == '_')
    })
}

fn all_rust_files() -> Vec<PathBuf> {
    let rooms = ROOMS
        .iter()
        .map(|(room, _)| *room)
        .chain(["tests", "bench"]);
    rooms
        .flat_map(|room| rust_files(&root().join(room)))
        .collect()
}

/// Without the files that hold tests alone.
fn shipped_files(folder: &Path) -> Vec<PathBuf> {
    let mut files = rust_files(folder);
    files.retain(|file| {
        let name = file
            .file_stem()
            .and_then(|name| name.to_str())
            .unwrap_or_default();
        let in_tests = file.iter().any(|part| part == "tests");
        !in_tests && !matches!(name, "tests" | "testing")
    });
    files
}

fn rust_files(folder: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    let Ok(listing) = fs::read_dir(folder) else {
        return files;
    };
    for item in listing {
        let path = item.expect("a folder that can be listed").path();
        if path.is_dir() {
            files.extend(rust_files(&path));
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            files.push(path);
        }
    }
    files
}

fn without_tests(file: &Path) -> String {
    let text = read(file);
    let code = text
        .split("#[cfg(test)]\nmod tests {")
        .next()
        .unwrap_or_default();
    code.to_owned()
}

fn read(file: &Path) -> String {
    fs::read_to_string(file).unwrap_or_else(|error| panic!("{}: {error}", file.display()))
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .parent()
        .expect("the workspace")
        .to_owned()
}
