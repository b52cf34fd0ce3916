//! Keeps `COVERAGE.md` true: which row is covered by which test, which is not yet, and why.
//!
//! `UPDATE_COVERAGE=1 cargo test -p signet-tests --test conformance coverage` writes it anew.

use std::{
    collections::BTreeMap,
    fmt::Write as _,
    fs,
    path::{Path, PathBuf},
};

/// The areas of the standards, in the order of `rows.tsv`, and their documents.
const AREAS: [(&str, &str); 6] = [
    ("ID", "SPIFFE-ID"),
    ("X509", "X509-SVID"),
    ("JWT", "JWT-SVID"),
    ("BUNDLE", "Trust Domain and Bundle"),
    ("WLEP", "Workload Endpoint"),
    ("WLAPI", "Workload API"),
];

/// A rule of a standard.
struct Row {
    id: String,
    section: String,
    level: String,
    rule: String,
}

/// Why a row counts, or does not.
enum Proof {
    Tests(Vec<String>),
    NotYet(String),
}

#[test]
fn coverage_is_what_the_tests_say() {
    let rows = rows();
    let tests = tests_by_row();
    let mut reasons = reasons();
    for row in tests.keys() {
        assert!(
            rows.iter().any(|known| known.id == *row),
            "a test names {row}, which no standard has"
        );
    }
    let proofs: Vec<(Row, Proof)> = rows
        .into_iter()
        .map(|row| {
            let proof = proof(&row.id, tests.get(&row.id), reasons.remove(&row.id));
            (row, proof)
        })
        .collect();
    assert!(reasons.is_empty(), "reasons for unknown rows: {reasons:?}");
    let wanted = page(&proofs);
    let path = folder().join("COVERAGE.md");
    if std::env::var_os("UPDATE_COVERAGE").is_some() {
        fs::write(&path, &wanted).unwrap();
    }
    assert!(
        fs::read_to_string(&path).unwrap_or_default() == wanted,
        "COVERAGE.md is stale: run `UPDATE_COVERAGE=1 cargo test -p signet-tests --test conformance coverage`"
    );
}

fn proof(row: &str, tests: Option<&Vec<String>>, reason: Option<String>) -> Proof {
    match (tests, reason) {
        (Some(tests), None) => Proof::Tests(tests.clone()),
        (None, Some(reason)) => Proof::NotYet(reason),
        (Some(_), Some(_)) => panic!("{row} has a test and a reason for having none"),
        (None, None) => panic!("{row} has no test and no reason in not_yet.tsv"),
    }
}

fn rows() -> Vec<Row> {
    let text = fs::read_to_string(folder().join("rows.tsv")).unwrap();
    let lines = text.lines().skip(1);
    lines
        .map(|line| {
            let mut cells = line.split('\t').map(str::to_owned);
            let mut cell = || cells.next().expect("five cells");
            let (id, section, level, _binds) = (cell(), cell(), cell(), cell());
            let rule = cell();
            Row {
                id,
                section,
                level,
                rule,
            }
        })
        .collect()
}

fn reasons() -> BTreeMap<String, String> {
    let mut reasons = BTreeMap::new();
    for (area, _) in AREAS {
        let path = folder().join(area.to_lowercase()).join("not_yet.tsv");
        for line in fs::read_to_string(path).unwrap_or_default().lines() {
            let (row, reason) = line.split_once('\t').expect("ROW<tab>reason");
            let twice = reasons.insert(row.to_owned(), reason.to_owned());
            assert!(twice.is_none(), "{row} has two reasons");
        }
    }
    reasons
}

/// The tests of every row, as `file::name`.
fn tests_by_row() -> BTreeMap<String, Vec<String>> {
    let mut found: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for file in rust_files(&folder()) {
        let text = fs::read_to_string(&file).unwrap();
        let module = file.strip_prefix(folder()).unwrap().with_extension("");
        let module = module.display().to_string().replace('/', "::");
        for name in tests_in(&text) {
            for row in rows_of(name) {
                found
                    .entry(row)
                    .or_default()
                    .push(format!("{module}::{name}"));
            }
        }
    }
    found.values_mut().for_each(|tests| tests.sort());
    found
}

/// The names of functions that stand under a test attribute.
fn tests_in(text: &str) -> impl Iterator<Item = &str> {
    let mut under_attribute = false;
    text.lines().filter_map(move |line| {
        let line = line.trim();
        if line.starts_with("#[test]") || line.starts_with("#[tokio::test") {
            under_attribute = true;
            return None;
        }
        let name = line.trim_start_matches("async ").strip_prefix("fn ")?;
        std::mem::take(&mut under_attribute).then(|| name.split('(').next().unwrap_or_default())
    })
}

/// `x509_02_03_…` proves X509-02 and X509-03.
fn rows_of(test: &str) -> Vec<String> {
    let mut parts = test.split('_');
    let area = parts.next().unwrap_or_default().to_uppercase();
    if !AREAS.iter().any(|(known, _)| *known == area) {
        return Vec::new();
    }
    let numbers = parts.take_while(|part| part.len() == 2 && part.parse::<u8>().is_ok());
    numbers.map(|number| format!("{area}-{number}")).collect()
}

fn page(proofs: &[(Row, Proof)]) -> String {
    let mut page = String::from(
        "# Conformance\n\nMade from the tests by `coverage.rs`; do not edit. \
         A test is run by its name: `cargo test -p signet-tests --test conformance x509_35`.\n\n\
         | standard | rows | covered | MUST (NOT) | covered |\n|---|---|---|---|---|\n",
    );
    for (area, document) in AREAS {
        let of_area = || proofs.iter().filter(move |(row, _)| in_area(row, area));
        let covered = |must: bool| {
            let proven = of_area().filter(|(_, proof)| matches!(proof, Proof::Tests(_)));
            proven.filter(|(row, _)| !must || is_must(row)).count()
        };
        let musts = of_area().filter(|(row, _)| is_must(row)).count();
        let (rows, all, must) = (of_area().count(), covered(false), covered(true));
        writeln!(page, "| {document} | {rows} | {all} | {musts} | {must} |").unwrap();
    }
    for (area, document) in AREAS {
        write!(
            page,
            "\n## {document}\n\n| row | § | level | rule | test |\n|---|---|---|---|---|\n"
        )
        .unwrap();
        for (row, proof) in proofs.iter().filter(|(row, _)| in_area(row, area)) {
            let Row {
                id,
                section,
                level,
                rule,
            } = row;
            let proof = match proof {
                Proof::Tests(tests) => format!("`{}`", tests.join("`, `")),
                Proof::NotYet(reason) => format!("**not yet**: {reason}"),
            };
            writeln!(page, "| {id} | {section} | {level} | {rule} | {proof} |").unwrap();
        }
    }
    page
}

fn in_area(row: &Row, area: &str) -> bool {
    row.id.split('-').next() == Some(area)
}

fn is_must(row: &Row) -> bool {
    row.level.starts_with("MUST")
}

fn rust_files(folder: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    for item in fs::read_dir(folder).unwrap() {
        let path = item.unwrap().path();
        if path.is_dir() {
            files.extend(rust_files(&path));
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            files.push(path);
        }
    }
    files.sort();
    files
}

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("conformance")
}
