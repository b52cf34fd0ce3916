//! Programs of other people's Go modules, as `go/go.mod` and `go/go.sum` pin them.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
    sync::OnceLock,
    time::Duration,
};

use crate::testbed;

/// The program of that name; all of them are built by whoever asks first.
pub(crate) fn program(name: &str) -> PathBuf {
    static PROGRAMS: OnceLock<PathBuf> = OnceLock::new();
    PROGRAMS.get_or_init(build).join(name)
}

fn build() -> PathBuf {
    let executable = std::env::current_exe().unwrap();
    let folder = executable.ancestors().nth(3).unwrap().join("suites");
    let programs = folder.join("bin");
    fs::create_dir_all(&programs).unwrap();
    let mut command = Command::new("go");
    command
        .args(["build", "-o"])
        .arg(programs.join(""))
        .arg("tool")
        .current_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join("suites/go"))
        .env("GOPATH", folder.join("path"))
        .env("GOCACHE", folder.join("cache"))
        .env("GOFLAGS", "-mod=readonly -modcacherw -buildvcs=false");
    let needs = "These suites need Go 1.24 or later and a Go module proxy (or a filled cache).";
    let output = testbed::output(&mut command, BUILD)
        .unwrap_or_else(|error| panic!("{needs}\n{command:?}: {error}"));
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{needs}\n{command:?}: {said}");
    programs
}

/// Long enough to fetch and build them over a slow line.
const BUILD: Duration = Duration::from_secs(900);
