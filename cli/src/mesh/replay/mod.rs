//! `signet mesh explain --replay`: what candidate documents would decide on the requests that an
//! access log recorded, and what of that is other than it was.
//!
//! A log does not hold all that policies may ask for: what depends on the rest cannot be told, and
//! is counted as that. The log is read line by line, whatever its size.

mod record;
mod tally;

use std::{
    fs::File,
    io::{BufRead, BufReader, Read as _, stdin},
    net::{IpAddr, Ipv4Addr},
    path::Path,
};

use anyhow::Context as _;
use http::HeaderMap;
use signet_identity::TrustDomain;
use signet_mesh::{Http, MtlsMode, RecordedDecision, Request, WorkloadModel};

use crate::output::{Answer, Format, Text, text};
use record::{LeftOut, Record};
use tally::{Tally, Verdict};

/// By what recorded requests are judged.
pub(super) struct Candidate<'m> {
    /// What the documents say of the workload whose log it is.
    pub(super) called: &'m WorkloadModel,
    /// Its trust domain; that of each caller if it was not said.
    pub(super) own: Option<&'m TrustDomain>,
    /// The port of its application, where a line does not say it.
    pub(super) port: Option<u16>,
}

/// How the answer is given.
pub(super) struct Report {
    /// How many requests of a kind are shown.
    pub(super) examples: usize,
    /// Whether as text.
    pub(super) format: Format,
}

/// Judges every request of a log; it fails if one would be decided otherwise.
pub(super) fn replay(
    log: &Path,
    candidate: &Candidate<'_>,
    report: &Report,
) -> anyhow::Result<Answer> {
    let mut tally = Tally::new(report.examples);
    let unreadable = || format!("--replay {}", log.display());
    if log.to_str() == Some("-") {
        read(stdin().lock(), candidate, &mut tally).with_context(unreadable)?;
    } else {
        let file = File::open(log).with_context(unreadable)?;
        read(BufReader::new(file), candidate, &mut tally).with_context(unreadable)?;
    }
    let changed = tally.changed();
    let out = match report.format {
        Format::Pretty => tally.to_string(),
        Format::Json => tally.json()?,
    };
    let noun = text::plural(changed, "request", "requests");
    Ok(Answer::text(Text {
        out,
        err: String::new(),
        failed: (changed > 0).then(|| format!("{changed} {noun} would be decided otherwise")),
    }))
}

fn read(
    mut log: impl BufRead,
    candidate: &Candidate<'_>,
    tally: &mut Tally,
) -> std::io::Result<()> {
    let mut line = Vec::new();
    loop {
        line.clear();
        let read = log
            .by_ref()
            .take(LONGEST_LINE)
            .read_until(b'\n', &mut line)?;
        if read == 0 {
            return Ok(());
        }
        if line.last() != Some(&b'\n') && u64::try_from(read).is_ok_and(|it| it == LONGEST_LINE) {
            log.skip_until(b'\n')?;
            tally.left_out(LeftOut::TooLong);
            continue;
        }
        match str::from_utf8(&line).map(str::trim_end) {
            Ok("") => {}
            Ok(line) => candidate.take(line, tally),
            Err(_) => tally.left_out(LeftOut::NotUnderstood),
        }
    }
}

impl Candidate<'_> {
    fn take(&self, line: &str, tally: &mut Tally) {
        match Record::read(line, self.port) {
            Ok(record) => tally.judged(&record, self.judge(&record)),
            Err(why) => tally.left_out(why),
        }
    }

    fn judge(&self, record: &Record) -> Verdict {
        let decided = self.called.peer_authentication.decided(record.port);
        match (decided.mode, &record.peer) {
            (MtlsMode::Strict, None) => {
                return Verdict::Denied(format!("plaintext is not taken: the port is {decided}"));
            }
            (MtlsMode::Disable, Some(_)) => {
                return Verdict::Denied(format!("mutual TLS is not taken: the port is {decided}"));
            }
            (MtlsMode::Strict, Some(_)) | (MtlsMode::Disable, None) | (MtlsMode::Permissive, _) => {
            }
        }
        let headers = HeaderMap::new();
        let http = record.http.as_ref().map(|http| Http {
            method: &http.method,
            path: &http.path,
            host: &http.host,
            headers: &headers,
            token: None,
        });
        let source = record.peer.as_ref();
        let request = Request {
            trust_domain: self.own.or_else(|| source.map(|id| id.trust_domain())),
            source,
            source_ip: record.source_ip,
            remote_ip: None,
            destination_ip: NOWHERE,
            destination_port: record.port,
            sni: None,
            http,
        };
        match self.called.policy.decide_recorded(&request) {
            RecordedDecision::Permitted(None) => {
                Verdict::Permitted("no ALLOW policy restricts the workload".to_owned())
            }
            RecordedDecision::Permitted(Some(rule)) => Verdict::Permitted(format!("by {rule}")),
            RecordedDecision::Denied(None) => Verdict::Denied("no ALLOW policy matches".to_owned()),
            RecordedDecision::Denied(Some(rule)) => Verdict::Denied(format!("by {rule}")),
            RecordedDecision::CannotBeTold(open) => {
                Verdict::CannotBeTold(format!("{} asks for {}", open.rule, open.condition))
            }
        }
    }
}

/// No line of a proxy is nearly as long.
const LONGEST_LINE: u64 = 1 << 20;

/// What no condition is asked about: where a connection came to is not recorded.
const NOWHERE: IpAddr = IpAddr::V4(Ipv4Addr::UNSPECIFIED);

#[cfg(test)]
mod tests;
