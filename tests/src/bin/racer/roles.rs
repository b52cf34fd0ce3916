//! What the processes do that the driver starts. Each speaks with the driver over its standard
//! output, which is a socket: a byte there is a cue, the end of it the end of the process.

use std::{
    env,
    io::{self, Read as _, Write as _},
    os::{
        fd::{AsFd as _, AsRawFd as _},
        unix::{net::UnixStream, process::CommandExt as _},
    },
    path::Path,
    process::{self, Command},
};

use nix::sys::socket::{UnixAddr, connect};

use crate::wire::{Answer, Wire};

/// Connects the socket that the driver holds too, so that the kernel takes this process for the
/// peer; then ends, becomes `next`, or leaves the connection to a child.
#[expect(clippy::zombie_processes, reason = "it ends before its child")]
pub(crate) fn attack(socket: &Path, next: &Path) {
    let mut driver = driver();
    let address = UnixAddr::new(socket).unwrap();
    connect(io::stdin().as_raw_fd(), &address).unwrap();
    driver.write_all(CONNECTED).unwrap();
    match cue(&mut driver) {
        Some(BECOME) => panic!("{}", Command::new(next).arg("stay").exec()),
        Some(LEAVE) => {
            let mut child = Command::new(env::current_exe().unwrap());
            child.arg("inherit").spawn().unwrap();
        }
        Some(other) => panic!("no such cue: {other}"),
        None => {}
    }
}

/// Uses the connection of a process that has ended.
pub(crate) fn inherit() {
    let mut driver = driver();
    driver.write_all(&process::id().to_le_bytes()).unwrap();
    if cue(&mut driver).is_none() {
        return;
    }
    let socket = io::stdin().as_fd().try_clone_to_owned().unwrap();
    let mut wire = Wire::new(UnixStream::from(socket));
    wire.hello();
    let request = wire.ask();
    tell(&mut driver, &wire.answer(request));
    cue(&mut driver);
}

/// An honest workload: asks for its identity.
pub(crate) fn fetch(socket: &Path) {
    let mut driver = driver();
    let answer = match UnixStream::connect(socket) {
        Ok(stream) => {
            let mut wire = Wire::new(stream);
            wire.hello();
            let request = wire.ask();
            wire.answer(request)
        }
        Err(_nobody_listens) => Answer::Refused,
    };
    tell(&mut driver, &answer);
    cue(&mut driver);
}

/// Is there.
pub(crate) fn stay() {
    let mut driver = driver();
    driver.write_all(b"refused\n").unwrap();
    cue(&mut driver);
}

fn driver() -> UnixStream {
    UnixStream::from(io::stdout().as_fd().try_clone_to_owned().unwrap())
}

fn cue(driver: &mut UnixStream) -> Option<u8> {
    let mut byte = [0];
    let read = driver.read(&mut byte).unwrap_or(0);
    (read == 1).then_some(byte[0])
}

fn tell(driver: &mut UnixStream, answer: &Answer) {
    let line = match answer {
        Answer::Identities(ids) => ids.join(" "),
        Answer::Refused => "refused".to_owned(),
        Answer::Silence => "silence".to_owned(),
    };
    driver.write_all(format!("{line}\n").as_bytes()).ok();
}

/// What a process says once the kernel knows it as the peer.
pub(crate) const CONNECTED: &[u8] = b".";
/// Tells an attacker to become another program.
pub(crate) const BECOME: u8 = b'x';
/// Tells an attacker to leave its connection to a child, and end.
pub(crate) const LEAVE: u8 = b'c';
