//! `signet mesh explain --replay`: what candidate documents would make of the requests that an
//! access log recorded, and what of that is other than it was: what is decided on those that came
//! in, and where those go that went out.
//!
//! A log does not hold all that policies may ask for: what depends on the rest cannot be told, and
//! is counted as that. The log is read line by line, whatever its size.

mod course;
mod draw;
mod line;
mod outcome;
mod record;
mod sent;
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

use crate::output::{Answer, Exit, Format, Text, text};
pub(super) use course::Caller;
use line::{LeftOut, Line};
use outcome::Compared;
use record::{Record, Was};
use sent::Sent;
use tally::Tally;

/// By what recorded requests are judged.
pub(super) struct Candidate<'m> {
    /// What the documents say of the workload whose log it is.
    pub(super) called: &'m WorkloadModel,
    /// Its trust domain; that of each caller if it was not said.
    pub(super) own: Option<&'m TrustDomain>,
    /// The port that was called, where a line does not say it: that of its application.
    pub(super) port: Option<u16>,
    /// The same workload where it calls others.
    pub(super) caller: Caller<'m>,
}

/// What documents decide on what came in.
enum Verdict {
    /// It would pass; why.
    Permitted(String),
    /// It would not; why.
    Denied(String),
    /// It depends on what is not recorded; which.
    CannotBeTold(String),
}

/// How the answer is given.
pub(super) struct Report {
    /// How many requests of a kind are shown.
    pub(super) examples: usize,
    /// Whether as text.
    pub(super) format: Format,
}

/// Judges every request of a log, and says by the exit code whether of one something else would
/// become.
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
    let noun = text::plural(changed, "request", "requests");
    let err = match changed {
        0 => String::new(),
        _ => format!("{changed} {noun} would be decided otherwise, or go elsewhere\n"),
    };
    let out = match report.format {
        Format::Pretty => tally.to_string(),
        Format::Json => tally.json()?,
    };
    let answer = Answer::text(Text {
        out,
        err,
        failed: None,
    });
    Ok(match changed {
        0 => answer,
        _ => answer.ending(Exit::Otherwise),
    })
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
        let taken = match Line::read(line) {
            Ok(Line::Came(fields)) => {
                Record::of(&fields, self.port).map(|record| self.compare(&record, tally))
            }
            Ok(Line::Went(fields)) => {
                Sent::of(&fields, self.port).map(|sent| self.follow(&sent, tally))
            }
            Err(why) => Err(why),
        };
        if let Err(why) = taken {
            tally.left_out(why);
        }
    }

    /// What came in.
    fn compare(&self, record: &Record, tally: &mut Tally) {
        let was = || record.was.to_string();
        match (&record.was, self.judge(record)) {
            (_, Verdict::CannotBeTold(why)) => tally.cannot_be_told(record, why),
            (Was::Permitted(_), Verdict::Permitted(_)) | (Was::Denied(_), Verdict::Denied(_)) => {
                tally.same();
            }
            (Was::Denied(_), Verdict::Permitted(why)) => {
                tally.otherwise(record, was(), format!("permitted, {why}"));
            }
            (Was::Permitted(_), Verdict::Denied(why)) => {
                tally.otherwise(record, was(), format!("denied, {why}"));
            }
        }
    }

    /// What went out.
    fn follow(&self, sent: &Sent, tally: &mut Tally) {
        match self.caller.possible(sent).compared(&sent.was) {
            Compared::Same => tally.same(),
            Compared::Otherwise(would_be) => {
                tally.otherwise(sent, sent.was.to_string(), would_be);
            }
            Compared::CannotBeTold(why) => tally.cannot_be_told(sent, why),
            Compared::Drawn(lots) => tally.drawn(sent, &sent.was, lots),
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
