//! Builds the clients, each once, into `target/interop`.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
    time::Duration,
};

use crate::testbed;

/// Where the sources of a client are.
pub(crate) fn sources(language: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("interop")
        .join(language)
}

/// Where a client's program, and what it is built from, is kept.
pub(crate) fn output(language: &str) -> PathBuf {
    let executable = std::env::current_exe().unwrap();
    let target = executable.ancestors().nth(3).unwrap();
    let output = target.join("interop").join(language);
    fs::create_dir_all(&output).unwrap();
    output
}

/// Runs a step of a build; if it fails, so does every test that needs the client.
pub(crate) fn step(needs: &str, command: &mut Command) {
    let output = testbed::output(command, BUILD)
        .unwrap_or_else(|error| panic!("{needs}\n{command:?}: {error}"));
    assert!(
        output.status.success(),
        "{needs}\n{command:?}: {}\n{}{}",
        output.status,
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
}

/// Builds unless what is there was made of the same `files`.
pub(crate) fn once(output: &Path, files: &[PathBuf], build: impl FnOnce()) {
    let stamp = output.join("built-from");
    let now: String = files
        .iter()
        .map(|file| fs::read_to_string(file).unwrap())
        .collect();
    if fs::read_to_string(&stamp).is_ok_and(|then| then == now) {
        return;
    }
    build();
    fs::write(stamp, now).unwrap();
}

/// Long enough to fetch what a client is built from over a slow line.
const BUILD: Duration = Duration::from_secs(900);
