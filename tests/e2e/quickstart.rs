//! The README's manual path, command by command, as a newcomer types it.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use crate::testbed::{Bed, signet};

#[test]
fn every_command_of_the_readme_works_as_written() {
    let bed = Bed::new();
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    copy(
        &root.join("deploy/quickstart"),
        &bed.path("deploy/quickstart"),
    );
    let script = script(&fs::read_to_string(root.join("README.md")).unwrap());
    // The build is this one; the rest is typed as it stands.
    let script = script.replace("cargo build --release\n", "");
    let path = format!(
        "{}:{}",
        signet().parent().unwrap().display(),
        std::env::var("PATH").unwrap()
    );
    let script = format!("set -e\ntrap 'kill $(jobs -p)' EXIT\n{script}");
    let mut shell = Command::new("timeout");
    shell.args(["60", "bash", "-c", &script]).env("PATH", path);
    let run = bed.run(&mut shell);
    let logs: String = ["server", "agent", "proxy"]
        .iter()
        .filter_map(|name| {
            fs::read_to_string(bed.path(&format!("deploy/quickstart/data/{name}.log"))).ok()
        })
        .collect();
    let printed = format!("{}{}\n{logs}", run.stdout, run.stderr);
    assert_eq!(run.code, Some(0), "{printed}");
    for expected in [
        "Entry ID",
        "Received 1 svid",
        "token(spiffe://example.org/web)",
        "kind: AuthorizationPolicy",
        "no ALLOW policy matched",
        "request id:",
    ] {
        assert!(
            run.stdout.contains(expected),
            "{expected:?} is not in: {printed}"
        );
    }
}

/// The `sh` blocks between the marks, one after the other.
fn script(readme: &str) -> String {
    let part = readme
        .split("<!-- quickstart: begin -->")
        .nth(1)
        .expect("the mark");
    let part = part
        .split("<!-- quickstart: end -->")
        .next()
        .expect("the other mark");
    let blocks = part
        .split("```sh\n")
        .skip(1)
        .filter_map(|block| block.split("```").next());
    blocks.collect()
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for item in fs::read_dir(from).unwrap() {
        let path: PathBuf = item.unwrap().path();
        let target = to.join(path.file_name().unwrap());
        if path.ends_with("data") {
            continue;
        }
        if path.is_dir() {
            copy(&path, &target);
        } else {
            fs::copy(&path, target).unwrap();
        }
    }
}
