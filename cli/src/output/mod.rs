//! What a verb has to say, for people and for scripts, and how it is printed.
//!
//! Both formats are other people's interfaces: the text is parsed with `grep` and `awk`, the
//! JSON with `jq`. So a verb builds its whole answer first, and nothing is printed before it
//! is complete.

pub(crate) mod json;
pub(crate) mod text;

use std::{
    io::{self, Write},
    process::ExitCode,
};

use anyhow::Context as _;
use prost::Message;
use serde::Serialize;

/// The value of `-output`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Format {
    /// Text for people.
    #[default]
    #[value(alias = "prettyprint")]
    Pretty,
    /// One line of JSON.
    Json,
}

/// How a command ends.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) enum Exit {
    /// It did what it was told, and there is nothing else to say: 0.
    #[default]
    Good,
    /// It could not, or the answer is no: 1.
    Failed,
    /// It did what it was told, and found that something would change: 2.
    Otherwise,
}

/// A verb's answer.
#[derive(Debug, Default)]
pub(crate) struct Answer {
    /// One JSON document per message; none when the text is the answer in both formats.
    documents: Vec<String>,
    text: Text,
    /// Remarks for standard error in both formats.
    notes: String,
    exit: Exit,
}

/// The text form of an answer.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Text {
    /// For standard output.
    pub(crate) out: String,
    /// For standard error.
    pub(crate) err: String,
    /// Why the command as a whole failed although the server answered. JSON carries the
    /// status of each item instead, and exits with 0 as it always has.
    pub(crate) failed: Option<String>,
}

impl Text {
    /// An answer that is all good news.
    pub(crate) fn out(out: impl Into<String>) -> Self {
        Self {
            out: out.into(),
            ..Self::default()
        }
    }
}

impl Answer {
    /// Good news that reads the same in both formats.
    pub(crate) fn plain(out: impl Into<String>) -> Self {
        Self::text(Text::out(out))
    }

    /// An answer that has no JSON form.
    pub(crate) fn text(text: Text) -> Self {
        Self {
            text,
            ..Self::default()
        }
    }

    /// A message of the protobuf type `name`, beside its text.
    pub(crate) fn message(message: &impl Message, name: &str, text: Text) -> anyhow::Result<Self> {
        Ok(Self {
            documents: vec![json::document(message, name)?],
            text,
            ..Self::default()
        })
    }

    /// A value that no protobuf message describes, beside its text.
    pub(crate) fn value(value: &impl Serialize, text: Text) -> anyhow::Result<Self> {
        let document = serde_json::to_string(value).context("the answer as JSON")?;
        Ok(Self {
            documents: vec![document],
            text,
            ..Self::default()
        })
    }

    /// Adds a second message: the answer becomes a JSON array.
    pub(crate) fn and(mut self, message: &impl Message, name: &str) -> anyhow::Result<Self> {
        self.documents.push(json::document(message, name)?);
        Ok(self)
    }

    /// It ends the command so.
    pub(crate) fn ending(mut self, exit: Exit) -> Self {
        self.exit = exit;
        self
    }

    /// How it ends the command, once it is delivered.
    pub(crate) fn exit(&self) -> Exit {
        self.exit
    }

    /// Adds a remark for standard error.
    pub(crate) fn with_notes(mut self, notes: String) -> Self {
        self.notes = notes;
        self
    }
}

/// Standard output and standard error, or two buffers in a test.
#[derive(Debug)]
pub(crate) struct Streams<O, E> {
    /// Standard output.
    pub(crate) out: O,
    /// Standard error.
    pub(crate) err: E,
}

impl From<bool> for Exit {
    fn from(good: bool) -> Self {
        match good {
            true => Self::Good,
            false => Self::Failed,
        }
    }
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        match exit {
            Exit::Good => Self::SUCCESS,
            Exit::Failed => Self::FAILURE,
            Exit::Otherwise => Self::from(2),
        }
    }
}

impl<O: Write, E: Write> Streams<O, E> {
    /// Prints an answer or an error; true is exit code 0. `prefix` goes before an error.
    pub(crate) fn deliver(
        &mut self,
        answer: anyhow::Result<Answer>,
        format: Format,
        prefix: &str,
    ) -> io::Result<bool> {
        let answer = match answer {
            Ok(answer) => answer,
            Err(error) => {
                writeln!(self.err, "{prefix}{}", reason(&error))?;
                return Ok(false);
            }
        };
        self.err.write_all(answer.notes.as_bytes())?;
        if format == Format::Json && !answer.documents.is_empty() {
            writeln!(self.out, "{}", joined(&answer.documents))?;
            return Ok(true);
        }
        self.out.write_all(answer.text.out.as_bytes())?;
        self.out.flush()?;
        self.err.write_all(answer.text.err.as_bytes())?;
        match answer.text.failed {
            None => Ok(true),
            Some(reason) => {
                writeln!(self.err, "{prefix}{reason}")?;
                Ok(false)
            }
        }
    }
}

/// An error and its causes in one line; a cause that its effect already spelled out is not
/// said twice.
pub(crate) fn reason(error: &anyhow::Error) -> String {
    let mut line = String::new();
    for cause in error.chain() {
        let cause = cause.to_string();
        if line.is_empty() {
            line = cause;
        } else if !line.ends_with(&cause) {
            line.push_str(": ");
            line.push_str(&cause);
        }
    }
    line
}

fn joined(documents: &[String]) -> String {
    match documents {
        [only] => only.clone(),
        several => format!("[{}]", several.join(",")),
    }
}

#[cfg(test)]
mod tests {
    use signet_proto::spire::api::types;

    use super::*;

    fn printed(answer: anyhow::Result<Answer>, format: Format) -> (bool, String, String) {
        let mut streams = Streams {
            out: Vec::new(),
            err: Vec::new(),
        };
        let good = streams.deliver(answer, format, "Error: ").unwrap();
        let text = |bytes| String::from_utf8(bytes).unwrap();
        (good, text(streams.out), text(streams.err))
    }

    fn token() -> types::JoinToken {
        types::JoinToken {
            value: "abc".to_owned(),
            expires_at: 600,
        }
    }

    #[test]
    fn an_error_is_a_line_on_standard_error_in_both_formats() {
        for format in [Format::Pretty, Format::Json] {
            let error = Err(anyhow::anyhow!("no \"such\" entry"));
            assert_eq!(
                printed(error, format),
                (
                    false,
                    String::new(),
                    "Error: no \"such\" entry\n".to_owned()
                )
            );
        }
    }

    #[test]
    fn causes_are_in_one_line_and_none_is_said_twice() {
        let cause = anyhow::anyhow!("permission denied");
        let error = cause
            .context("cannot read a.json: permission denied")
            .context("entries");
        assert_eq!(
            reason(&error),
            "entries: cannot read a.json: permission denied"
        );
    }

    #[test]
    fn one_message_is_a_document_and_two_are_an_array() {
        let name = "spire.api.types.JoinToken";
        let one = || Answer::message(&token(), name, Text::default()).unwrap();
        let document = r#"{"expires_at":"600","value":"abc"}"#;
        assert_eq!(printed(Ok(one()), Format::Json).1, format!("{document}\n"));
        let two = one().and(&token(), name);
        assert_eq!(
            printed(two, Format::Json).1,
            format!("[{document},{document}]\n")
        );
    }

    #[test]
    fn an_answer_whose_items_failed_fails_as_text_only() {
        let answer = || {
            let text = Text {
                out: "done\n".to_owned(),
                err: "one was refused\n".to_owned(),
                failed: Some("failed to do one or more".to_owned()),
            };
            Answer::message(&token(), "spire.api.types.JoinToken", text)
        };
        assert_eq!(
            printed(answer(), Format::Pretty),
            (
                false,
                "done\n".to_owned(),
                "one was refused\nError: failed to do one or more\n".to_owned()
            )
        );
        assert!(printed(answer(), Format::Json).0);
    }

    #[test]
    fn a_plain_answer_is_the_same_in_both_formats() {
        for format in [Format::Pretty, Format::Json] {
            let answer = Answer::plain("written\n").with_notes("capped\n".to_owned());
            assert_eq!(
                printed(Ok(answer), format),
                (true, "written\n".to_owned(), "capped\n".to_owned())
            );
        }
    }
}
