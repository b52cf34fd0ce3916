//! The walls of the house: who may import whom, how long a file may be, where SQL, crypto
//! and X.509 may stand. `ARCHITECTURE.md` says why.
#![allow(
    clippy::expect_used,
    clippy::panic,
    clippy::unwrap_used,
    reason = "helpers of a test"
)]

mod modules;
mod source;

use source::{all_rust_files, read, root, shipped_files, without_tests};

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
fn lines_have_at_most_a_hundred_columns() {
    for (room, _) in ROOMS {
        for file in shipped_files(&root().join(room).join("src")) {
            for line in without_tests(&file).lines() {
                let fits = line.chars().count() <= WIDEST_LINE || is_one_text(line);
                assert!(fits, "{}: {line}", file.display());
            }
        }
    }
}

/// A text that stands alone in its line is left whole, so that it can be searched for.
fn is_one_text(line: &str) -> bool {
    let (Some((before, rest)), Some((_, after))) = (line.split_once('"'), line.rsplit_once('"'))
    else {
        return false;
    };
    let name = before.trim().trim_end_matches('b').trim_end();
    let is_alone = name.is_empty() || name.ends_with(':');
    is_alone && rest.contains('"') && matches!(after, "" | "," | ";")
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
fn no_parameter_is_a_tuple() {
    for (room, _) in ROOMS {
        for file in shipped_files(&root().join(room)) {
            for parameters in parameters(&without_tests(&file)) {
                let tuple = [": (", ": &(", ": &mut (", ": [(", ": &[(", "<("]
                    .iter()
                    .flat_map(|start| parameters.split(start).skip(1))
                    .any(|rest| !["dyn ", "impl ", ")"].iter().any(|no| rest.starts_with(no)));
                assert!(
                    !tuple,
                    "{}: ({parameters}): give the tuple's parts names, in a struct",
                    file.display()
                );
            }
        }
    }
}

/// What stands in the parentheses behind the name of each function.
fn parameters(code: &str) -> Vec<&str> {
    let functions = code.split("fn ").skip(1);
    functions
        .filter_map(|function| {
            let (_, parameters) = function.split_once('(')?;
            let mut open = 1;
            let end = parameters.find(|character| {
                match character {
                    '(' => open += 1,
                    ')' => open -= 1,
                    _ => {}
                }
                open == 0
            })?;
            parameters.get(..end)
        })
        .collect()
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

/// Fails when one of `words` stands in code outside `folders`.
fn stands_only_in(words: &[&str], folders: &[&str]) {
    for (room, _) in ROOMS {
        for file in shipped_files(&root().join(room).join("src")) {
            if folders
                .iter()
                .any(|folder| file.starts_with(root().join(folder)))
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

/// Lines of a file without its tests.
const LONGEST_FILE: usize = 600;

/// Characters of a line.
const WIDEST_LINE: usize = 100;
