//! What happened, counted; and the judgement that nobody got what is another's.

use std::fmt;

use crate::wire::Answer;

/// The counts of one way of racing.
#[derive(Debug, Default)]
pub(crate) struct Tally {
    /// Tries.
    pub(crate) tries: usize,
    /// Tries in which the honest twin had the attacker's PID before the attacker's connection was
    /// answered.
    pub(crate) reused: usize,
    /// Attackers who were answered with their own identity, while they lived.
    pub(crate) own: usize,
    /// Attackers who had become another program and were answered as that.
    pub(crate) become_other: usize,
    /// Attackers who were refused.
    pub(crate) refused: usize,
    /// Honest twins who asked.
    pub(crate) honest: usize,
}

impl Tally {
    /// Counts an answer on an attacker's connection. `own` and `other` are what it may be, if
    /// anything.
    pub(crate) fn judge(&mut self, answer: &Answer, own: Option<&str>, other: Option<&str>) {
        let Answer::Identities(ids) = answer else {
            assert_eq!(
                *answer,
                Answer::Refused,
                "no answer on an attacker's connection"
            );
            self.refused += 1;
            return;
        };
        let ids: Vec<&str> = ids.iter().map(String::as_str).collect();
        match ids.as_slice() {
            [id] if Some(*id) == own => self.own += 1,
            [id] if Some(*id) == other => self.become_other += 1,
            wrong => panic!("WRONG IDENTITY: an attacker got {wrong:?}, may get {own:?} {other:?}"),
        }
    }

    pub(crate) fn add(&mut self, other: &Self) {
        self.tries += other.tries;
        self.reused += other.reused;
        self.own += other.own;
        self.become_other += other.become_other;
        self.refused += other.refused;
        self.honest += other.honest;
    }
}

impl fmt::Display for Tally {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "tries={} reused={} own={} become={} refused={} honest={}",
            self.tries, self.reused, self.own, self.become_other, self.refused, self.honest
        )
    }
}
