//! `signet mesh …`: documents before they are in force. What is checked and explained here is
//! read and decided by the same code that runs in the proxy.

mod destination;
mod explain;
mod replay;
mod sources;
mod token;

use std::{fmt::Write as _, io::Write, path::PathBuf};

use signet_mesh::{DocumentError, Model, Source};

use crate::output::{Answer, Exit, Format, Streams, Text, text};

/// The commands of `signet mesh`.
#[derive(Debug, clap::Subcommand)]
pub(crate) enum Command {
    /// Reads documents of every kind and says what is wrong with them, and what is suspicious
    Check(Check),
    /// Says what the documents decide on a request, and which rule decided
    Explain(Box<explain::Explain>),
}

/// Checks files of documents.
#[derive(Debug, clap::Args)]
pub(crate) struct Check {
    /// YAML files, folders of them, or - for standard input
    #[arg(required = true, value_name = "FILES")]
    files: Vec<PathBuf>,
}

impl Command {
    /// Does what the command says.
    pub(crate) fn execute<O: Write, E: Write>(
        self,
        streams: &mut Streams<O, E>,
    ) -> anyhow::Result<Exit> {
        let answer = match self {
            Self::Check(check) => check.answer(),
            Self::Explain(explain) => explain.answer(),
        };
        let exit = answer.as_ref().map_or(Exit::Failed, Answer::exit);
        Ok(match streams.deliver(answer, Format::Pretty, "Error: ")? {
            true => exit,
            false => Exit::Failed,
        })
    }
}

impl Check {
    fn answer(&self) -> anyhow::Result<Answer> {
        let sources = sources::read(&self.files)?;
        let files = sources.len();
        Ok(match model(&sources) {
            Ok(model) => valid(&model, files),
            Err(errors) => refused(&errors),
        })
    }
}

/// The model, if a proxy would put it in force.
fn model(sources: &[Source]) -> Result<Model, Vec<DocumentError>> {
    let model = Model::parse(sources)?;
    let not_carried = model.not_carried();
    match not_carried.is_empty() {
        true => Ok(model),
        false => Err(not_carried),
    }
}

fn valid(model: &Model, files: usize) -> Answer {
    let mut all: usize = 0;
    let mut kinds = Vec::new();
    for (kind, count) in model.documents() {
        all = all.saturating_add(count);
        let noun = text::plural(count, kind.name(), kind.plural());
        kinds.push(format!("{count} {noun}"));
    }
    let (kinds, verb) = (kinds.join(", "), text::plural(all, "is", "are"));
    let file = text::plural(files, "file", "files");
    Answer::plain(format!("{kinds} in {files} {file} {verb} valid.\n")).with_notes(warnings(model))
}

fn warnings(model: &Model) -> String {
    let mut notes = String::new();
    for warning in model.warnings() {
        let _ = writeln!(notes, "warning: {warning}");
    }
    notes
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
        let exit = Command::Check(check).execute(&mut streams).unwrap();
        let good = exit == Exit::Good;
        let text = |bytes| {
            let folder = format!("{}/", folder.path().display());
            String::from_utf8(bytes).unwrap().replace(&folder, "")
        };
        (good, text(streams.out), text(streams.err))
    }

    const POLICY: &str = "apiVersion: security.istio.io/v1\nkind: AuthorizationPolicy\n\
        metadata: { name: orders, namespace: shop }\n\
        spec:\n  rules:\n  - from: [{ source: { principals: [\"example.org/web\"] } }]\n";

    /// A route of `host` that has more keys.
    fn route(host: &str, rest: &str) -> String {
        format!(
            "---\napiVersion: networking.istio.io/v1\nkind: VirtualService\n\
             metadata: {{ name: {host} }}\nspec:\n  hosts: [{host}.test]\n\
             \x20 http:\n  - route: [{{ destination: {{ host: {host}.test }} }}]\n{rest}"
        )
    }

    #[test]
    fn good_documents_are_counted_by_kind() {
        let (good, out, err) = check(POLICY);
        assert!(good, "{err}");
        assert_eq!(out, "1 AuthorizationPolicy in 1 file is valid.\n");
        let (good, out, err) = check(&format!("{POLICY}{}{}", route("a", ""), route("b", "")));
        assert!(good, "{err}");
        assert_eq!(
            out,
            "1 AuthorizationPolicy, 2 VirtualServices in 1 file are valid.\n"
        );
    }

    #[test]
    fn what_no_proxy_would_put_in_force_is_refused_in_order() {
        let rule = "---\napiVersion: networking.istio.io/v1\nkind: DestinationRule\n\
            metadata: { name: a }\nspec:\n  host: a.test\n\
            \x20 trafficPolicy: { loadBalancer: { simple: PASSTHROUGH } }\n";
        let other = rule.replace("a }", "b }").replace("a.test", "b.test");
        let (good, out, err) = check(&format!("{rule}{other}"));
        assert!(!good && out.is_empty(), "{out}");
        let lines: Vec<_> = err.lines().collect();
        assert_eq!(
            lines,
            [
                "a.yaml:2: DestinationRule default/a: loadBalancer.simple PASSTHROUGH is not \
                 carried by proxies yet; remove it",
                "a.yaml:9: DestinationRule default/b: loadBalancer.simple PASSTHROUGH is not \
                 carried by proxies yet; remove it",
                "Error: 2 problems; nothing of this would be loaded",
            ]
        );
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
