//! `signet server entry …`: registration entries, and the block of text that shows one.

mod create;
mod delete;
mod fields;
mod file;
mod filter;
mod show;
mod update;

use std::{fmt::Write as _, io::Write};

use signet_daemon::log::code_name;
use signet_proto::spire::api::types::{Entry, Status};

use super::{Verb, parse};
use crate::output::{Streams, Text, text};

/// The commands of `signet server entry`.
#[derive(Debug, clap::Subcommand)]
pub(crate) enum Command {
    /// Creates registration entries
    Create(Verb<create::Create>),
    /// Displays configured registration entries
    Show(Verb<show::Show>),
    /// Updates registration entries
    Update(Verb<update::Update>),
    /// Deletes registration entries
    Delete(Verb<delete::Delete>),
    /// Counts registration entries
    Count(Verb<show::Count>),
}

impl Command {
    pub(super) fn execute<O: Write, E: Write>(
        self,
        streams: &mut Streams<O, E>,
    ) -> anyhow::Result<bool> {
        match self {
            Self::Create(verb) => verb.execute(streams),
            Self::Show(verb) => verb.execute(streams),
            Self::Update(verb) => verb.execute(streams),
            Self::Delete(verb) => verb.execute(streams),
            Self::Count(verb) => verb.execute(streams),
        }
    }
}

/// One entry of a batch, and what became of it.
struct Outcome<'a> {
    status: Option<&'a Status>,
    entry: Option<&'a Entry>,
}

impl Outcome<'_> {
    /// The code and message of a refusal. An item without a status went well.
    fn refusal(&self) -> Option<&Status> {
        self.status.filter(|status| status.code != 0)
    }
}

/// A batch as text: blocks of what went well, then of what was refused. `verb` is "create"
/// or "update".
fn batch_text<'a>(outcomes: impl Iterator<Item = Outcome<'a>>, verb: &str) -> Text {
    let mut text = Text::default();
    for outcome in outcomes {
        let block = outcome.entry.map(block).unwrap_or_default();
        let Some(status) = outcome.refusal() else {
            text.out.push_str(&block);
            continue;
        };
        let reason = reason(status);
        let _ = writeln!(text.err, "Failed to {verb} the following entry {reason}:");
        text.err.push_str(&block);
        text.failed = Some(format!("failed to {verb} one or more entries"));
    }
    text
}

/// `(code: AlreadyExists, msg: "similar entry already exists")`.
fn reason(status: &Status) -> String {
    let code = code_name(status.code);
    format!("(code: {code}, msg: {:?})", status.message)
}

/// One entry; only what is set has a line, and a blank line ends it.
fn block(entry: &Entry) -> String {
    let mut block = String::new();
    let mut line = |label: &str, value: &str| {
        let _ = writeln!(block, "{label:<24}: {value}");
    };
    line(
        "Entry ID",
        if entry.id.is_empty() {
            "(none)"
        } else {
            &entry.id
        },
    );
    line("SPIFFE ID", &parse::id_text(entry.spiffe_id.as_ref()));
    line("Parent ID", &parse::id_text(entry.parent_id.as_ref()));
    line("Revision", &entry.revision_number.to_string());
    if entry.downstream {
        line("Downstream", "true");
    }
    line("X509-SVID TTL", &ttl(entry.x509_svid_ttl));
    line("JWT-SVID TTL", &ttl(entry.jwt_svid_ttl));
    if entry.expires_at != 0 {
        line("Expiration time", &text::unix_time(entry.expires_at));
    }
    for selector in &entry.selectors {
        line(
            "Selector",
            &format!("{}:{}", selector.r#type, selector.value),
        );
    }
    for trust_domain in &entry.federates_with {
        line("FederatesWith", trust_domain);
    }
    for name in &entry.dns_names {
        line("DNS name", name);
    }
    for (label, is_set) in flags(entry) {
        if is_set {
            line(label, "true");
        }
        if label == "StoreSvid" && !entry.hint.is_empty() {
            line("Hint", &entry.hint);
        }
    }
    block.push('\n');
    block
}

/// The rare flags in their order; the hint stands after the second.
fn flags(entry: &Entry) -> [(&'static str, bool); 4] {
    let attributes = entry.additional_attributes.unwrap_or_default();
    [
        ("Admin", entry.admin),
        ("StoreSvid", entry.store_svid),
        (
            "DisableX509SvidPrefetch",
            attributes.disable_x509_svid_prefetch,
        ),
        ("JwtSvidIncludeJti", attributes.jwt_svid_include_jti),
    ]
}

fn ttl(seconds: i32) -> String {
    match seconds {
        0 => "default".to_owned(),
        seconds => seconds.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use signet_proto::spire::api::types::entry::AdditionalAttributes;

    use super::*;

    fn plain() -> Entry {
        Entry {
            spiffe_id: Some(parse::spiffe_id("spiffe://example.org/workload").unwrap()),
            parent_id: Some(parse::spiffe_id("spiffe://example.org/spire/server").unwrap()),
            selectors: parse::selectors(&["unix:uid:1".to_owned()]).unwrap(),
            ..Entry::default()
        }
    }

    fn full() -> Entry {
        Entry {
            id: "entry-id".to_owned(),
            selectors: parse::selectors(&["zebra:zebra:2000".to_owned(), "alpha:a".to_owned()])
                .unwrap(),
            x509_svid_ttl: 60,
            jwt_svid_ttl: 30,
            federates_with: vec!["spiffe://domaina.test".to_owned()],
            admin: true,
            downstream: true,
            store_svid: true,
            expires_at: 1_552_410_266,
            dns_names: vec!["unu1000".to_owned(), "ung1000".to_owned()],
            revision_number: 3,
            hint: "internal".to_owned(),
            additional_attributes: Some(AdditionalAttributes {
                disable_x509_svid_prefetch: true,
                jwt_svid_include_jti: true,
            }),
            ..plain()
        }
    }

    #[test]
    fn a_full_entry_shows_every_line_in_order() {
        assert_eq!(
            block(&full()),
            "\
Entry ID                : entry-id
SPIFFE ID               : spiffe://example.org/workload
Parent ID               : spiffe://example.org/spire/server
Revision                : 3
Downstream              : true
X509-SVID TTL           : 60
JWT-SVID TTL            : 30
Expiration time         : 2019-03-12 17:04:26 +0000 UTC
Selector                : zebra:zebra:2000
Selector                : alpha:a
FederatesWith           : spiffe://domaina.test
DNS name                : unu1000
DNS name                : ung1000
Admin                   : true
StoreSvid               : true
Hint                    : internal
DisableX509SvidPrefetch : true
JwtSvidIncludeJti       : true

"
        );
    }

    #[test]
    fn a_hint_stands_alone_too() {
        let entry = Entry {
            hint: "internal".to_owned(),
            ..plain()
        };
        assert!(
            block(&entry).ends_with("unix:uid:1\nHint                    : internal\n\n"),
            "{}",
            block(&entry)
        );
    }

    #[test]
    fn what_was_refused_goes_to_standard_error_with_its_reason() {
        let refused = Status {
            code: 6,
            message: "similar entry already exists".to_owned(),
        };
        let (good, bad) = (full(), plain());
        let outcomes = [
            Outcome {
                status: Some(&refused),
                entry: Some(&bad),
            },
            Outcome {
                status: None,
                entry: Some(&good),
            },
        ];
        let text = batch_text(outcomes.into_iter(), "create");
        assert_eq!(text.out, block(&good));
        assert_eq!(
            text.err,
            "\
Failed to create the following entry (code: AlreadyExists, msg: \"similar entry already exists\"):
Entry ID                : (none)
SPIFFE ID               : spiffe://example.org/workload
Parent ID               : spiffe://example.org/spire/server
Revision                : 0
X509-SVID TTL           : default
JWT-SVID TTL            : default
Selector                : unix:uid:1

"
        );
        assert_eq!(
            text.failed.as_deref(),
            Some("failed to create one or more entries")
        );
    }
}
