//! Names of users and groups, from whatever the machine's `nsswitch.conf` says.
//!
//! A look-up may go to a directory server, so it runs on a blocking thread only, and its answer,
//! also that there is none, is remembered for some seconds: a workload that fetches often does
//! not read `/etc/passwd` each time.

use std::{
    collections::HashMap,
    fmt,
    sync::{Mutex, PoisonError},
    time::{Duration, SystemTime},
};

use nix::{
    errno::Errno,
    unistd::{Gid, Group, Uid, User},
};

/// Remembered answers of the name service.
#[derive(Debug, Default)]
pub(crate) struct Names {
    remembered: Mutex<HashMap<Number, Answer>>,
}

/// What a name is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Number {
    /// A user.
    User(u32),
    /// A group.
    Group(u32),
}

impl fmt::Display for Number {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::User(uid) => write!(f, "user {uid}"),
            Self::Group(gid) => write!(f, "group {gid}"),
        }
    }
}

impl Names {
    /// The name, or `None` when the name service answers that there is none.
    pub(crate) fn of(&self, number: Number, now: SystemTime) -> Result<Option<String>, Errno> {
        if let Some(answer) = self.remembered(number, now) {
            return Ok(answer);
        }
        let name = number.look_up()?;
        self.remember(number, name.clone(), now);
        Ok(name)
    }

    /// The remembered answer, `None` if the name service has to be asked.
    pub(crate) fn remembered(&self, number: Number, now: SystemTime) -> Option<Option<String>> {
        let answers = self
            .remembered
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        let answer = answers.get(&number)?;
        answer.is_fresh(now).then(|| answer.name.clone())
    }

    fn remember(&self, number: Number, name: Option<String>, now: SystemTime) {
        let mut answers = self
            .remembered
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        if answers.len() >= MOST_REMEMBERED {
            answers.retain(|_, answer| answer.is_fresh(now));
        }
        if answers.len() >= MOST_REMEMBERED {
            answers.clear();
        }
        answers.insert(number, Answer { name, asked: now });
    }
}

#[derive(Debug)]
struct Answer {
    name: Option<String>,
    asked: SystemTime,
}

impl Answer {
    /// A clock that jumped back makes an answer stale, never eternal.
    fn is_fresh(&self, now: SystemTime) -> bool {
        now.duration_since(self.asked).is_ok_and(|age| age < FRESH)
    }
}

impl Number {
    /// The number alone.
    pub(crate) fn get(self) -> u32 {
        match self {
            Self::User(number) | Self::Group(number) => number,
        }
    }

    fn look_up(self) -> Result<Option<String>, Errno> {
        let answer = match self {
            Self::User(uid) => User::from_uid(Uid::from_raw(uid)).map(|user| user.map(|u| u.name)),
            Self::Group(gid) => {
                Group::from_gid(Gid::from_raw(gid)).map(|group| group.map(|g| g.name))
            }
        };
        match answer {
            // getpwuid(3): some sources say "not found" by one of these numbers.
            Err(Errno::ENOENT | Errno::ESRCH | Errno::EBADF | Errno::EPERM) => Ok(None),
            answer => answer,
        }
    }
}

/// How long a new name of a user may go unnoticed.
const FRESH: Duration = Duration::from_secs(30);

/// Users and groups of one node that fetch within the same half minute.
const MOST_REMEMBERED: usize = 4096;

#[cfg(test)]
mod tests {
    use super::*;

    const START: SystemTime = SystemTime::UNIX_EPOCH;

    #[test]
    fn root_has_its_name() {
        let names = Names::default();
        assert_eq!(
            names.of(Number::User(0), START),
            Ok(Some("root".to_owned()))
        );
        assert_eq!(
            names.of(Number::Group(0), START),
            Ok(Some("root".to_owned()))
        );
    }

    #[test]
    fn a_number_without_a_name_is_no_error() {
        let names = Names::default();
        assert_eq!(names.of(Number::User(3_999_999_999), START), Ok(None));
        assert_eq!(names.of(Number::Group(3_999_999_999), START), Ok(None));
    }

    #[test]
    fn an_answer_is_used_again_until_it_is_stale() {
        let names = Names::default();
        names.remember(Number::User(0), Some("stand-in".to_owned()), START);
        let just_before = START + FRESH - Duration::from_nanos(1);
        assert_eq!(
            names.of(Number::User(0), just_before),
            Ok(Some("stand-in".to_owned()))
        );
        assert_eq!(
            names.of(Number::User(0), START + FRESH),
            Ok(Some("root".to_owned()))
        );
    }

    #[test]
    fn a_clock_that_jumps_back_makes_an_answer_stale() {
        let names = Names::default();
        names.remember(Number::User(0), Some("stand-in".to_owned()), START + FRESH);
        assert_eq!(
            names.of(Number::User(0), START),
            Ok(Some("root".to_owned()))
        );
    }

    #[test]
    fn the_number_of_remembered_answers_is_bounded() {
        let names = Names::default();
        for uid in 0..10_000 {
            names.remember(Number::User(uid), None, START);
        }
        assert!(names.remembered.lock().unwrap().len() <= MOST_REMEMBERED);
    }
}
