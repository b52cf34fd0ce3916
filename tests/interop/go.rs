//! The client of go-spiffe.

use std::{path::PathBuf, process::Command, sync::OnceLock};

use crate::{
    build,
    client::{Client, Held, Told, Withdrawal},
};

pub(crate) fn client() -> &'static Client {
    static CLIENT: OnceLock<Client> = OnceLock::new();
    CLIENT.get_or_init(|| {
        let program = program();
        Client {
            name: "go",
            command: vec![program.clone().into()],
            executable: program,
            // `WatchX509Context` hands every error to its watcher and tries again; `X509Source`
            // keeps "the last update".
            withdrawal: Withdrawal {
                told: Told::AnError,
                held: Held::Kept,
            },
        }
    })
}

fn program() -> PathBuf {
    let output = build::output("go");
    let program = output.join("client");
    build::step(
        "The Go client needs Go 1.24 or later and a Go module proxy (or a filled module cache).",
        Command::new("go")
            .args(["build", "-o"])
            .arg(&program)
            .arg(".")
            .current_dir(build::sources("go"))
            .env("GOPATH", output.join("path"))
            .env("GOCACHE", output.join("cache"))
            .env("GOFLAGS", "-mod=readonly -modcacherw -buildvcs=false"),
    );
    program
}
