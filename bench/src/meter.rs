//! What processes use: processor time to the nanosecond, and memory as the kernel counts it.

use std::{
    fs,
    hint::black_box,
    time::{Duration, Instant},
};

use anyhow::Context as _;
use nix::{
    time::{ClockId, clock_getcpuclockid, clock_gettime},
    unistd::Pid,
};

use crate::figure::float;

/// Reads what one process uses.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Meter {
    pid: Pid,
    clock: ClockId,
}

/// A start of counting.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Mark {
    meter: Meter,
    cpu: Duration,
    at: Instant,
}

/// What was used between two moments.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Used {
    /// Of all threads, those that have ended included, in user and kernel mode.
    pub(crate) cpu: Duration,
    pub(crate) wall: Duration,
}

impl Meter {
    pub(crate) fn new(process: u32) -> anyhow::Result<Self> {
        let pid = Pid::from_raw(i32::try_from(process)?);
        let clock = clock_getcpuclockid(pid).context("the processor clock of a process")?;
        Ok(Self { pid, clock })
    }

    /// Starts counting.
    pub(crate) fn mark(self) -> anyhow::Result<Mark> {
        Ok(Mark {
            meter: self,
            cpu: read(self.clock)?,
            at: Instant::now(),
        })
    }

    /// Resident memory in MiB.
    pub(crate) fn resident(self) -> anyhow::Result<f64> {
        self.memory("VmRSS:")
    }

    /// The part of the resident memory that is no file's, in MiB.
    pub(crate) fn anonymous(self) -> anyhow::Result<f64> {
        self.memory("RssAnon:")
    }

    fn memory(self, row: &str) -> anyhow::Result<f64> {
        let status = fs::read_to_string(format!("/proc/{}/status", self.pid))?;
        let line = status.lines().find_map(|line| line.strip_prefix(row));
        let number = line.and_then(|line| line.split_whitespace().next());
        let kib: f64 = number.with_context(|| row.to_owned())?.parse()?;
        Ok(kib / 1024.0)
    }
}

impl Mark {
    /// What has been used since.
    pub(crate) fn used(self) -> anyhow::Result<Used> {
        Ok(Used {
            cpu: read(self.meter.clock)?.saturating_sub(self.cpu),
            wall: self.at.elapsed(),
        })
    }
}

impl Used {
    /// Processor time in microseconds for each of `count` things.
    pub(crate) fn each(self, count: usize) -> f64 {
        self.cpu.as_secs_f64() * 1e6 / float(count)
    }

    /// In percent of one core.
    pub(crate) fn share(self) -> f64 {
        self.cpu.as_secs_f64() * 100.0 / self.wall.as_secs_f64()
    }
}

/// Processor time in microseconds that `work` takes on this thread: the median of several
/// rounds, since whatever else runs on the core disturbs some of them.
pub(crate) fn own_cost<T>(mut work: impl FnMut() -> anyhow::Result<T>) -> anyhow::Result<f64> {
    let mut rounds = Vec::with_capacity(ROUNDS);
    for _ in 0..ROUNDS {
        let before = own_time()?;
        for _ in 0..CALLS {
            black_box(work()?);
        }
        let taken = own_time()?.saturating_sub(before);
        rounds.push(taken.as_secs_f64() * 1e6 / float(CALLS));
    }
    rounds.sort_by(f64::total_cmp);
    Ok(rounds.get(ROUNDS / 2).copied().unwrap_or_default())
}

/// Processor time of this thread so far.
pub(crate) fn own_time() -> anyhow::Result<Duration> {
    read(ClockId::CLOCK_THREAD_CPUTIME_ID)
}

fn read(clock: ClockId) -> anyhow::Result<Duration> {
    Ok(clock_gettime(clock)?.into())
}

const ROUNDS: usize = 21;
const CALLS: usize = 50;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_that_works_is_seen_to_work() {
        let meter = Meter::new(std::process::id()).unwrap();
        let mark = meter.mark().unwrap();
        let cost = own_cost(|| Ok(vec![1_u8; 65_536])).unwrap();
        let used = mark.used().unwrap();
        assert!(cost > 0.0 && used.cpu > Duration::ZERO);
        assert!(meter.resident().unwrap() > meter.anonymous().unwrap() / 2.0);
    }
}
