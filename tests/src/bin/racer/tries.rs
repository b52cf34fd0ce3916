//! The ways to race, one try each.
//!
//! The driver makes a socket, the attacker connects it, and both hold it: the kernel names the
//! attacker as the peer, and the driver asks and reads whatever becomes of the attacker. That is
//! the strongest form of handing a descriptor over.

use std::{
    fs,
    os::{fd::OwnedFd, unix::net::UnixStream},
    path::PathBuf,
    process::Stdio,
    thread,
    time::{Duration, Instant},
};

use nix::{
    sys::{
        socket::{AddressFamily, SockFlag, SockType, socket},
        wait::waitpid,
    },
    unistd::Pid,
};

use crate::{
    actor::{Actor, Starter},
    plan::Program,
    roles::{BECOME, CONNECTED, LEAVE},
    tally::Tally,
    wire::{Answer, Wire},
};

/// What all tries share.
pub(crate) struct Stage {
    pub(crate) socket: PathBuf,
    pub(crate) starter: Starter,
    pub(crate) twins: Vec<Program>,
}

/// One worker's tries of one way.
pub(crate) struct Racer<'a> {
    pub(crate) stage: &'a Stage,
    pub(crate) attacker: &'a Program,
    pub(crate) tally: Tally,
    /// How long after its request an attacker ends: it follows the moment at which the agent
    /// makes up its mind, so that the tries gather around that moment.
    delay: Duration,
    /// How long before its request an attacker begins to become another program.
    lead: Duration,
}

/// An attacker that has connected.
pub(crate) struct Attack {
    actor: Actor,
    wire: Wire,
}

/// An attacker that ended before the agent looked, and the twin with its PID.
pub(crate) struct Replaced {
    wire: Wire,
    request: u8,
    twin: Actor,
}

impl<'a> Racer<'a> {
    pub(crate) fn new(stage: &'a Stage, attacker: &'a Program) -> Self {
        Self {
            stage,
            attacker,
            tally: Tally::default(),
            delay: Duration::from_millis(2),
            lead: Duration::from_micros(500),
        }
    }

    /// The attacker ends, and the twin has its PID, before the agent accepts: it is stopped.
    pub(crate) fn before_accept(&mut self) -> Replaced {
        let mut attack = self.attack();
        attack.wire.hello();
        let request = attack.wire.ask();
        let twin = self.replace(attack.actor.end(), Fetch::No);
        Replaced {
            wire: attack.wire,
            request,
            twin,
        }
    }

    /// The agent goes on; what does it make of it?
    pub(crate) fn after_accept(&mut self, mut replaced: Replaced) {
        let answer = replaced.wire.answer(replaced.request);
        self.tally.judge(&answer, None, None);
        replaced.twin.end();
    }

    /// The attacker ends, and the twin has its PID, between the accept and the request.
    pub(crate) fn before_request(&mut self) {
        let mut attack = self.attack();
        attack.wire.hello();
        attack.wire.heard();
        let twin = self.replace(attack.actor.end(), self.turn_to_fetch());
        let request = attack.wire.ask();
        let answer = attack.wire.answer(request);
        self.tally.judge(&answer, None, None);
        self.part(twin);
    }

    /// The attacker ends, and the twin has its PID, while the agent looks.
    pub(crate) fn during_look_up(&mut self) {
        self.spoil_digest();
        let mut attack = self.attack();
        attack.wire.hello();
        attack.wire.heard();
        let request = attack.wire.ask();
        rest(self.delay);
        let twin = self.replace(attack.actor.end(), self.turn_to_fetch());
        let answer = attack.wire.answer(request);
        self.tally.judge(&answer, Some(&self.attacker.id), None);
        self.follow(&answer);
        self.part(twin);
    }

    /// The attacker becomes a twin's program while the agent looks, and asks again as that.
    pub(crate) fn exec(&mut self) {
        self.spoil_digest();
        let mut attack = self.attack();
        let next = self.twin();
        // Who may run a program as its user is that program, for all that the kernel can say. But
        // to run the program of another user makes nobody that user.
        let other = (!next.changes_user).then_some(next.id.as_str());
        attack.wire.hello();
        attack.wire.heard();
        // Half of the tries change as the look-up begins, earlier still where the agent takes them
        // for unchanged; half as it ends.
        let early = (self.tally.tries / self.stage.twins.len()).is_multiple_of(2);
        let request = if early {
            attack.actor.cue(BECOME);
            rest(self.lead);
            attack.wire.ask()
        } else {
            let request = attack.wire.ask();
            rest(self.delay);
            attack.actor.cue(BECOME);
            request
        };
        let answer = attack.wire.answer(request);
        self.tally.judge(&answer, Some(&self.attacker.id), other);
        match early {
            true => self.lead(&answer),
            false => self.follow(&answer),
        }
        attack.actor.line();
        let again = attack.wire.ask();
        let answer = attack.wire.answer(again);
        self.tally.judge(&answer, None, other);
        attack.actor.end();
    }

    /// The attacker leaves its connection to a child and ends; the twin has its PID.
    pub(crate) fn inherit(&mut self) {
        let mut attack = self.attack();
        attack.actor.cue(LEAVE);
        let heir = attack.actor.names_child();
        let twin = self.replace(attack.actor.ended(), self.turn_to_fetch());
        attack.actor.cue(LEAVE);
        let answer = match attack.actor.line().as_str() {
            "refused" => Answer::Refused,
            "silence" => Answer::Silence,
            ids => Answer::Identities(ids.split(' ').map(str::to_owned).collect()),
        };
        self.tally.judge(&answer, None, None);
        drop(attack);
        // Elsewhere than in a namespace of our own, it is not ours to wait for.
        waitpid(heir, None).ok();
        self.part(twin);
    }

    fn attack(&mut self) -> Attack {
        self.tally.tries += 1;
        let flags = SockFlag::SOCK_CLOEXEC;
        let ours = socket(AddressFamily::Unix, SockType::Stream, flags, None).unwrap();
        let theirs: OwnedFd = ours.try_clone().unwrap();
        let socket = self.stage.socket.to_str().unwrap();
        let next = self.twin().path.to_str().unwrap();
        let role = ["attack", socket, next];
        let starter = &self.stage.starter;
        let mut actor = starter.start(self.attacker, &role, theirs.into(), None);
        actor.says(CONNECTED);
        Attack {
            actor,
            wire: Wire::new(UnixStream::from(ours)),
        }
    }

    /// Gives a twin the PID that became free.
    fn replace(&mut self, pid: Pid, fetch: Fetch) -> Actor {
        let socket = self.stage.socket.to_str().unwrap();
        let role: &[&str] = match fetch {
            Fetch::Yes => &["fetch", socket],
            Fetch::No => &["stay"],
        };
        let starter = &self.stage.starter;
        let mut twin = starter.start(self.twin(), role, Stdio::null(), Some(pid));
        if twin.pid == pid {
            self.tally.reused += 1;
        }
        match fetch {
            Fetch::Yes => self.tally.honest += 1,
            // It is that program from the moment that it speaks.
            Fetch::No => drop(twin.line()),
        }
        twin
    }

    /// Ends a twin, who has got its own identity if it asked for one.
    fn part(&self, mut twin: Actor) {
        if self.turn_to_fetch() == Fetch::Yes {
            assert_eq!(
                twin.line(),
                self.twin().id,
                "an honest twin got another answer"
            );
        }
        twin.end();
    }

    fn twin(&self) -> &'a Program {
        let twins = &self.stage.twins;
        &twins[self.tally.tries % twins.len()]
    }

    fn turn_to_fetch(&self) -> Fetch {
        match (self.tally.tries / self.stage.twins.len()).is_multiple_of(FETCHES) {
            true => Fetch::Yes,
            false => Fetch::No,
        }
    }

    /// A file that changed a moment ago is hashed again: that makes the look long.
    fn spoil_digest(&self) {
        let permissions = fs::metadata(&self.attacker.path).unwrap().permissions();
        fs::set_permissions(&self.attacker.path, permissions).unwrap();
    }

    fn follow(&mut self, answer: &Answer) {
        let factor = if self.is_own(answer) { 0.9 } else { 1.12 };
        self.delay = self.delay.mul_f64(factor).clamp(SHORTEST, LONGEST);
    }

    fn lead(&mut self, answer: &Answer) {
        let factor = if self.is_own(answer) { 1.05 } else { 0.95 };
        self.lead = self.lead.mul_f64(factor).clamp(SHORTEST, LONGEST);
    }

    fn is_own(&self, answer: &Answer) -> bool {
        matches!(answer, Answer::Identities(ids) if *ids == [self.attacker.id.as_str()])
    }
}

/// Whether a twin asks for its identity or is only there.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Fetch {
    Yes,
    No,
}

/// Sleeps cost some tens of microseconds by themselves.
fn rest(time: Duration) {
    let started = Instant::now();
    if time > SHORT {
        thread::sleep(time - SHORT);
    }
    while started.elapsed() < time {
        std::hint::spin_loop();
    }
}

const SHORT: Duration = Duration::from_micros(80);
const SHORTEST: Duration = Duration::from_micros(1);
const LONGEST: Duration = Duration::from_millis(100);
/// One twin in so many asks.
const FETCHES: usize = 4;
