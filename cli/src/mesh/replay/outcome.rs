//! What becomes of a request that goes out: what a log says did, and what documents say could.

use std::fmt;

/// What becomes of a request or connection that goes out.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Outcome {
    /// It goes to this cluster, whatever that makes of it.
    Cluster(String),
    /// No document names what it calls, and it goes there as it is.
    PassedOn,
    /// Its route answers it with this status: a redirect, or a response.
    Answered(u16),
    /// A fault of its route answers it.
    Fault,
    NoRoute,
    /// No document names what it calls, and it is refused.
    Unknown,
    NotCalled,
    /// A policy for the service denies it.
    Denied,
}

/// What documents make of it, and why.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Course {
    pub(super) outcome: Outcome,
    /// What says so.
    pub(super) by: String,
}

/// All that documents may make of it, as far as what is recorded tells.
#[derive(Debug, Default)]
pub(super) struct Possible {
    /// What is drawn by weights and percentages: parts of a million, each outcome once.
    drawn: Vec<(Course, u32)>,
    /// What it is in the place of that if what is not recorded were one way or another.
    others: Vec<Course>,
    /// What would have to be known.
    asks: Option<Asks>,
}

#[derive(Debug)]
enum Asks {
    /// To choose among all that is listed.
    AmongThese(String),
    /// It could be what is not listed, too.
    OrElse(String),
}

/// What comes of the comparison with what was.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Compared {
    Same,
    /// It would be this.
    Otherwise(String),
    /// What would have to be known.
    CannotBeTold(String),
    /// One of several that are drawn, as it was; only many requests say whether as often.
    Drawn(Lots),
}

/// The ways of which something draws one, each with its parts of a million.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Lots {
    /// What says so.
    pub(super) by: String,
    pub(super) ways: Vec<(Outcome, u32)>,
}

impl Possible {
    /// But this.
    pub(super) fn only(outcome: Outcome, by: impl Into<String>) -> Self {
        let mut possible = Self::default();
        let by = by.into();
        possible.draws(Course { outcome, by }, MILLION);
        possible
    }

    /// One of what is drawn.
    pub(super) fn draws(&mut self, course: Course, parts: u32) {
        let mut drawn = self.drawn.iter_mut();
        match drawn.find(|(other, _)| other.outcome == course.outcome) {
            Some((_, sum)) => *sum = sum.saturating_add(parts),
            None if parts > 0 => self.drawn.push((course, parts)),
            None => {}
        }
    }

    /// It could be any of these, too; `asks` is what would have to be known.
    pub(super) fn or(&mut self, others: impl IntoIterator<Item = Course>, asks: String) {
        self.others.extend(others);
        self.asks.get_or_insert(Asks::AmongThese(asks));
    }

    /// It could be anything; `asks` is what would have to be known.
    pub(super) fn or_anything(&mut self, asks: String) {
        self.asks = Some(Asks::OrElse(asks));
    }

    /// All that it could be.
    pub(super) fn into_courses(self) -> impl Iterator<Item = Course> {
        let drawn = self.drawn.into_iter().map(|(course, _)| course);
        drawn.chain(self.others)
    }

    pub(super) fn compared(&self, was: &Outcome) -> Compared {
        let all = self.drawn.iter().map(|(course, _)| course);
        let all: Vec<&Course> = all.chain(&self.others).collect();
        let was_possible = all.iter().any(|it| it.outcome == *was);
        match (&self.asks, was_possible) {
            (Some(Asks::OrElse(what)), _) => Compared::CannotBeTold(what.clone()),
            (_, false) => Compared::Otherwise(one_of(&all)),
            (_, true) if all.iter().all(|it| it.outcome == *was) => Compared::Same,
            (Some(Asks::AmongThese(what)), true) => Compared::CannotBeTold(what.clone()),
            (None, true) => {
                let ways = self.drawn.iter();
                let ways = ways.map(|(course, parts)| (course.outcome.clone(), *parts));
                Compared::Drawn(Lots {
                    by: all.first().map(|it| it.by.clone()).unwrap_or_default(),
                    ways: ways.collect(),
                })
            }
        }
    }
}

fn one_of(courses: &[&Course]) -> String {
    let mut texts: Vec<_> = courses.iter().map(ToString::to_string).collect();
    texts.dedup();
    texts.join(" or ")
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Cluster(name) => f.write_str(name),
            Self::PassedOn => f.write_str("passed on as it is (PassthroughCluster)"),
            Self::Answered(status) => write!(f, "answered {status} by its route"),
            Self::Fault => f.write_str("answered by a fault of its route"),
            Self::NoRoute => f.write_str("refused, nothing routes it (NR)"),
            Self::Unknown => f.write_str("refused, no document names it (BlackHoleCluster)"),
            Self::NotCalled => f.write_str("refused, it cannot be called (NC)"),
            Self::Denied => f.write_str("denied by a policy for the service (403)"),
        }
    }
}

impl fmt::Display for Course {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.outcome, self.by)
    }
}

/// The whole of what is drawn from.
pub(super) const MILLION: u32 = 1_000_000;
