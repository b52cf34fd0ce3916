//! The client of java-spiffe.

use std::{
    env, fs,
    path::{Path, PathBuf},
    process::Command,
    sync::OnceLock,
};

use crate::{
    build,
    client::{Client, Held, Told, Withdrawal},
};

pub(crate) fn client() -> &'static Client {
    static CLIENT: OnceLock<Client> = OnceLock::new();
    CLIENT.get_or_init(|| {
        let java = on_path("java");
        let path = class_path();
        // A virtual machine that starts fast and stays small.
        let flags = ["-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-Xmx128m"];
        let mut command = vec![java.clone().into()];
        command.extend(flags.map(Into::into));
        command.extend(["-cp".into(), path.into(), "Client".into()]);
        Client {
            name: "java",
            command,
            executable: java,
            // `watchX509Context` tries again on everything but INVALID_ARGUMENT, and calls
            // `onError` only when it gives up; `DefaultX509Source` keeps its snapshot.
            withdrawal: Withdrawal {
                told: Told::Nothing,
                held: Held::Kept,
            },
        }
    })
}

fn class_path() -> String {
    let output = build::output("java");
    let sources = build::sources("java");
    let files = [
        sources.join("pom.xml"),
        sources.join("src/main/java/Client.java"),
    ];
    build::once(&output, &files, || {
        let repository = format!("-Dmaven.repo.local={}", output.join("repository").display());
        let out = format!("-Dout={}", output.join("out").display());
        build::step(
            "The Java client needs a JDK 17 or later, Maven 3.8 or later, and a Maven repository.",
            Command::new("mvn")
                .args(["--quiet", "--batch-mode", &repository, &out])
                .arg("process-classes")
                .current_dir(sources),
        );
    });
    let out = output.join("out").display().to_string();
    format!("{out}/classes:{out}/lib/*")
}

/// The program itself, behind all links: what an agent sees.
fn on_path(name: &str) -> PathBuf {
    let path = env::var_os("PATH").unwrap_or_default();
    env::split_paths(&path)
        .find_map(|folder: PathBuf| fs::canonicalize(Path::new(&folder).join(name)).ok())
        .unwrap_or_else(|| panic!("The Java client needs {name} on the PATH."))
}
