//! What all tests of a process share: nothing drops what stands in a `static`, so somebody else
//! clears it away.

use std::{
    mem,
    process::{Command, Stdio},
};

use super::{Bed, Process};

impl Bed {
    /// A bed that stays as long as this test process.
    pub fn shared() -> &'static Self {
        Box::leak(Box::new(Self::new()))
    }

    /// Ends `processes` and removes the directory when this test process is gone, however it goes:
    /// a shell waits for the end of a pipe that only this process holds.
    pub fn ends_with_us(&'static self, processes: &[&Process]) {
        let mut shell = Command::new("sh");
        shell.args(["-c", "read -r _; kill -9 \"$@\"; rm -rf \"$0\""]);
        shell.arg(self.path(""));
        shell.args(processes.iter().map(|process| process.id().to_string()));
        let shell = shell
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        // Never dropped: our end of the pipe closes when we end, and then the shell has its turn.
        mem::forget(shell);
    }
}
