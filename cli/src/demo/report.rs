//! What the demo tells: clear progress on a terminal, plain lines in a pipe.

use std::{
    io::{IsTerminal as _, stdout},
    time::Instant,
};

/// Tells the steps as they happen.
#[derive(Debug)]
pub(super) struct Report {
    colour: bool,
    step: usize,
    started: Instant,
    step_started: Instant,
}

impl Report {
    pub(super) fn start() -> Self {
        let now = Instant::now();
        Self {
            colour: stdout().is_terminal(),
            step: 0,
            started: now,
            step_started: now,
        }
    }

    /// A step begins.
    pub(super) fn step(&mut self, what: &str) {
        self.step += 1;
        self.step_started = Instant::now();
        println!("{}", self.paint(BOLD, &format!("[{}] {what}", self.step)));
    }

    /// A fact of the step.
    pub(super) fn detail(&self, fact: &str) {
        for line in fact.lines() {
            println!("    {line}");
        }
    }

    /// A command that the demo runs, as a person would type it.
    pub(super) fn command(&self, words: &str) {
        println!("    {}", self.paint(DIM, &format!("$ {words}")));
    }

    /// The step has happened.
    pub(super) fn done(&self, what: &str) {
        let mark = self.paint(GREEN, "ok");
        println!(
            "    {mark}: {what} ({} ms)",
            self.step_started.elapsed().as_millis()
        );
    }

    /// The step has not happened.
    pub(super) fn failed(&self) {
        println!("    {}", self.paint(RED, "failed"));
    }

    /// All steps have happened.
    pub(super) fn finish(&self) {
        let seconds = self.started.elapsed().as_secs_f32();
        println!(
            "{}",
            self.paint(
                BOLD,
                &format!("Done: every step happened, in {seconds:.1} s.")
            )
        );
    }

    fn paint(&self, colour: &str, text: &str) -> String {
        if self.colour {
            format!("{colour}{text}{RESET}")
        } else {
            text.to_owned()
        }
    }
}

const BOLD: &str = "\x1b[1m";
const DIM: &str = "\x1b[2m";
const GREEN: &str = "\x1b[32m";
const RED: &str = "\x1b[31m";
const RESET: &str = "\x1b[0m";
