//! The lines of a thread that writes many: what it says before it waits is written at once.

use std::{cell::Cell, sync::Arc};

use super::sink::Sink;

/// Lines that are not written yet.
#[derive(Debug, Default)]
struct Gathered {
    sink: Option<Arc<Sink>>,
    lines: String,
}

/// From now on, lines of this thread are gathered; it has to call [`write_gathered`] whenever it is
/// about to wait. A warning or an error is written at once, with what came before it, and so is
/// all of it when there is much, or when the thread ends.
pub fn gather() {
    let _ = GATHERED.try_with(|kept| {
        let gathered = kept.take().unwrap_or_default();
        kept.set(Some(gathered));
    });
}

/// Writes what this thread has gathered.
pub fn write_gathered() {
    let _ = GATHERED.try_with(|kept| {
        if let Some(mut gathered) = kept.take() {
            gathered.write();
            kept.set(Some(gathered));
        }
    });
}

/// Writes a line as it is, where the lines of the log go; nowhere without a log. It has to have its
/// line end, and no other.
pub fn line(line: &str) {
    if let Some(log) = super::installed() {
        write(&log.sink, line, false);
    }
}

/// Writes a line, or keeps it if that is what this thread does and it is not `urgent`.
pub(super) fn write(sink: &Arc<Sink>, line: &str, urgent: bool) {
    let gathered = GATHERED.try_with(Cell::take).unwrap_or_default();
    let Some(mut gathered) = gathered else {
        sink.write(line);
        return;
    };
    gathered.add(sink, line);
    if urgent || gathered.lines.len() >= MOST {
        gathered.write();
    }
    let _ = GATHERED.try_with(|kept| kept.set(Some(gathered)));
}

impl Gathered {
    fn add(&mut self, sink: &Arc<Sink>, line: &str) {
        if self.sink.as_ref().is_none_or(|it| !Arc::ptr_eq(it, sink)) {
            self.write();
            self.sink = Some(Arc::clone(sink));
        }
        self.lines.push_str(line);
    }

    fn write(&mut self) {
        if let Some(sink) = self.sink.as_ref().filter(|_| !self.lines.is_empty()) {
            sink.write(&self.lines);
        }
        self.lines.clear();
        self.lines.shrink_to(MOST);
    }
}

impl Drop for Gathered {
    fn drop(&mut self) {
        self.write();
    }
}

thread_local! {
    static GATHERED: Cell<Option<Gathered>> = const { Cell::new(None) };
}

/// As many bytes are written together at most, but for the last line.
const MOST: usize = 16 * 1024;

#[cfg(test)]
mod tests {
    use std::{fs, thread};

    use tracing::{info, warn};

    use super::*;
    use crate::log::{Destination, LogConfig, Manner, build};

    /// What is in the log while a thread of its own does this, and after it.
    fn lines(act: impl FnOnce(&dyn Fn() -> usize) + Send) -> usize {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("log");
        let config = LogConfig {
            destination: Destination::File(path.clone()),
            ..LogConfig::default()
        };
        let (subscriber, _handle) = build(&config, Manner::Ours).unwrap();
        let written = || fs::read_to_string(&path).unwrap().lines().count();
        thread::scope(|scope| {
            let act = || tracing::subscriber::with_default(subscriber, || act(&written));
            // The end of the scope would not wait for what the thread does as it ends.
            scope.spawn(act).join().unwrap();
        });
        written()
    }

    #[test]
    fn a_thread_that_gathers_writes_its_lines_together_before_it_waits() {
        lines(|written| {
            info!("one");
            assert_eq!(written(), 1);
            gather();
            info!("two");
            info!("three");
            assert_eq!(written(), 1);
            write_gathered();
            assert_eq!(written(), 3);
        });
    }

    #[test]
    fn a_warning_does_not_wait_and_neither_does_what_came_before_it() {
        lines(|written| {
            gather();
            info!("one");
            warn!("two");
            assert_eq!(written(), 2);
        });
    }

    #[test]
    fn no_more_is_gathered_than_there_is_room_for() {
        lines(|written| {
            gather();
            let long = "x".repeat(MOST / 4);
            for _ in 0..4 {
                info!("{long}");
            }
            assert_eq!(written(), 4);
        });
    }

    #[test]
    fn a_thread_that_ends_leaves_no_line_behind() {
        let written = lines(|_| {
            gather();
            info!("one");
        });
        assert_eq!(written, 1);
    }
}
