//! The client of the Python packages `spiffe` and `spiffe-tls`.

use std::{path::PathBuf, process::Command, sync::OnceLock};

use crate::{
    build,
    client::{Client, Held, Told, Withdrawal},
};

pub(crate) fn client() -> &'static Client {
    static CLIENT: OnceLock<Client> = OnceLock::new();
    CLIENT.get_or_init(|| {
        let python = interpreter();
        let script = build::sources("python").join("client.py");
        Client {
            name: "python",
            command: vec![python.clone().into(), script.into()],
            executable: python,
            // `stream_x509_contexts` tries again on everything but CANCELLED and
            // INVALID_ARGUMENT, and calls `on_error` only when it gives up; `X509Source` keeps
            // what it has until then.
            withdrawal: Withdrawal {
                told: Told::Nothing,
                held: Held::Kept,
            },
        }
    })
}

/// An interpreter with the packages, of a path of its own: a copy, not a link, so that an agent
/// tells it from every other program in Python.
fn interpreter() -> PathBuf {
    let output = build::output("python");
    let requirements = build::sources("python").join("requirements.txt");
    let python = output.join("venv/bin/python3");
    build::once(&output, std::slice::from_ref(&requirements), || {
        build::step(
            "The Python client needs Python 3.10 or later with the module venv.",
            Command::new("python3")
                .args(["-m", "venv", "--clear", "--copies"])
                .arg(output.join("venv")),
        );
        build::step(
            "The Python client needs its packages from PyPI.",
            Command::new(&python)
                .args(["-m", "pip", "install", "--quiet", "--requirement"])
                .arg(&requirements),
        );
    });
    python
}
