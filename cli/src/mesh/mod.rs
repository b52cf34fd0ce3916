//! `signet mesh …`: policies before they are in force. What is checked and explained here is
//! read and decided by the same code that runs in the proxy.

mod destination;
mod explain;
mod sources;

use std::{fmt::Write as _, io::Write, path::PathBuf};

use signet_mesh::{DocumentError, Policies};

use crate::output::{Answer, Format, Streams, Text, text};

/// The commands of `signet mesh`.
#[derive(Debug, clap::Subcommand)]
pub(crate) enum Command {
    /// Reads policies and says what is wrong with them, and what is suspicious
    Check(Check),
    /// Says what the policies decide on a request, and which rule decided
    Explain(Box<explain::Explain>),
}

/// Checks files of policies.
#[derive(Debug, clap::Args)]
pub(crate) struct Check {
    /// YAML files, folders of them, or - for standard input
    #[arg(required = true, value_name = "FILES")]
    files: Vec<PathBuf>,
}

impl Command {
    /// Does what the command says; true is exit code 0.
    pub(crate) fn execute<O: Write, E: Write>(
        self,
        streams: &mut Streams<O, E>,
    ) -> anyhow::Result<bool> {
        let answer = match self {
            Self::Check(check) => check.answer(),
            Self::Explain(explain) => explain.answer(),
        };
        Ok(streams.deliver(answer, Format::Pretty, "Error: ")?)
    }
}

impl Check {
    fn answer(&self) -> anyhow::Result<Answer> {
        let sources = sources::read(&self.files)?;
        let files = sources.len();
        Ok(match Policies::parse(&sources) {
            Ok(policies) => valid(&policies, files),
            Err(errors) => refused(&errors),
        })
    }
}

fn valid(policies: &Policies, files: usize) -> Answer {
    let mut notes = String::new();
    for warning in policies.warnings() {
        let _ = writeln!(notes, "warning: {warning}");
    }
    let count = policies.names().count();
    let (noun, verb) = (
        text::plural(count, "policy", "policies"),
        text::plural(count, "is", "are"),
    );
    let file = text::plural(files, "file", "files");
    Answer::plain(format!("{count} {noun} in {files} {file} {verb} valid.\n")).with_notes(notes)
}

/// All errors at once, each on a line that begins with its location.
fn refused(errors: &[DocumentError]) -> Answer {
    let mut err = String::new();
    for error in errors {
        let _ = writeln!(err, "{error}");
    }
    let count = errors.len();
    let noun = text::plural(count, "problem", "problems");
    Answer::text(Text {
        out: String::new(),
        err,
        failed: Some(format!("{count} {noun}; nothing of this would be loaded")),
    })
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    fn check(text: &str) -> (bool, String, String) {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("a.yaml"), text).unwrap();
        fs::write(folder.path().join("notes.txt"), "not yaml: [").unwrap();
        let check = Check {
            files: vec![folder.path().to_owned()],
        };
        let mut streams = Streams {
            out: Vec::new(),
            err: Vec::new(),
        };
        let good = Command::Check(check).execute(&mut streams).unwrap();
        let text = |bytes| {
            let folder = format!("{}/", folder.path().display());
            String::from_utf8(bytes).unwrap().replace(&folder, "")
        };
        (good, text(streams.out), text(streams.err))
    }

    #[test]
    fn good_policies_are_counted() {
        let (good, out, err) = check(
            "apiVersion: security.istio.io/v1\nkind: AuthorizationPolicy\n\
             metadata: { name: orders, namespace: shop }\n\
             spec:\n  rules:\n  - from: [{ source: { principals: [\"example.org/web\"] } }]\n",
        );
        assert!(good, "{err}");
        assert_eq!(out, "1 policy in 1 file is valid.\n");
    }

    #[test]
    fn a_bad_policy_is_named_with_file_and_line() {
        let (good, out, err) = check(
            "apiVersion: security.istio.io/v1\nkind: AuthorizationPolicy\n\
             metadata: { name: orders, namespace: shop }\n\
             spec:\n  acton: DENY\n",
        );
        assert!(!good && out.is_empty());
        assert!(err.starts_with("a.yaml:5: "), "{err}");
        assert!(
            err.ends_with("Error: 1 problem; nothing of this would be loaded\n"),
            "{err}"
        );
    }
}
