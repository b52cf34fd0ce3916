//! The driver: starts the agent, lets every way of racing run, and says what happened.

use std::{
    fs::{self, File},
    path::Path,
    process::{Command, Stdio},
    sync::atomic::{AtomicUsize, Ordering},
    thread,
    time::{Duration, Instant},
};

use nix::{
    sys::{
        signal::{Signal, kill},
        wait::{WaitPidFlag, WaitStatus, waitpid},
    },
    unistd::Pid,
};

use crate::{
    actor::Starter,
    plan::{Plan, Program},
    tally::Tally,
    tries::{Racer, Stage},
};

/// Drives the plan; a wrong identity ends it by a panic.
pub(crate) fn drive(plan: &Path) -> i32 {
    let plan = Plan::read(plan);
    let stage = Stage {
        socket: plan.socket.clone(),
        starter: Starter::new(plan.choose_pids),
        twins: plan.twins.clone(),
    };
    let kept = start_agent(&plan, &stage.starter);
    let agent = kept.0;
    for program in plan.attackers.iter().chain(&plan.twins) {
        wait_for(&stage, program);
    }
    let descriptors = open_files(agent);
    println!("ready descriptors={descriptors}");
    for (way, count) in &plan.tries {
        let started = Instant::now();
        let tally = match way.as_str() {
            "before-accept" => stopped(&stage, &plan.attackers[0], agent, *count),
            other => side_by_side(&stage, &plan.attackers, step(other), *count),
        };
        println!("{way} {tally} ms={}", started.elapsed().as_millis());
    }
    let left = settled(agent, descriptors);
    println!("done descriptors={left}");
    let alive = waitpid(agent, Some(WaitPidFlag::WNOHANG)).unwrap() == WaitStatus::StillAlive;
    i32::from(!alive)
}

/// The agent; it ends with the race.
struct Agent(Pid);

impl Drop for Agent {
    fn drop(&mut self) {
        kill(self.0, Signal::SIGKILL).ok();
        waitpid(self.0, None).ok();
    }
}

fn start_agent(plan: &Plan, starter: &Starter) -> Agent {
    let log = File::create(&plan.log).unwrap();
    let mut command = Command::new(&plan.agent[0]);
    command.args(&plan.agent[1..]).stdin(Stdio::null());
    command.stdout(log.try_clone().unwrap()).stderr(log);
    Agent(starter.spawn(&mut command, None))
}

/// Waits until a program gets its identity.
fn wait_for(stage: &Stage, program: &Program) {
    let started = Instant::now();
    let role = ["fetch", stage.socket.to_str().unwrap()];
    loop {
        if stage.socket.exists() {
            let mut actor = stage.starter.start(program, &role, Stdio::null(), None);
            let line = actor.line();
            actor.end();
            if line == program.id {
                return;
            }
        }
        assert!(started.elapsed() < PATIENCE, "{} is not served", program.id);
        thread::sleep(Duration::from_millis(50));
    }
}

/// Stops the agent, lets a few attackers be replaced, lets the agent go on, and looks.
fn stopped(stage: &Stage, attacker: &Program, agent: Pid, count: usize) -> Tally {
    let mut racer = Racer::new(stage, attacker);
    while racer.tally.tries < count {
        kill(agent, Signal::SIGSTOP).unwrap();
        let status = waitpid(agent, Some(WaitPidFlag::WUNTRACED)).unwrap();
        assert_eq!(status, WaitStatus::Stopped(agent, Signal::SIGSTOP));
        let batch = BATCH.min(count - racer.tally.tries);
        let replaced: Vec<_> = (0..batch).map(|_| racer.before_accept()).collect();
        kill(agent, Signal::SIGCONT).unwrap();
        for replaced in replaced {
            racer.after_accept(replaced);
        }
    }
    racer.tally
}

type Step = fn(&mut Racer<'_>);

fn step(way: &str) -> Step {
    match way {
        "before-request" => |racer| racer.before_request(),
        "during-look-up" => |racer| racer.during_look_up(),
        "exec" => |racer| racer.exec(),
        "inherit" => |racer| racer.inherit(),
        other => panic!("no such way: {other}"),
    }
}

/// One worker for each attacker, until `count` tries are made.
fn side_by_side(stage: &Stage, attackers: &[Program], step: Step, count: usize) -> Tally {
    let left = AtomicUsize::new(count);
    let more = || {
        left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| {
            left.checked_sub(1)
        })
        .is_ok()
    };
    let mut sum = Tally::default();
    thread::scope(|scope| {
        let workers: Vec<_> = attackers
            .iter()
            .map(|attacker| {
                scope.spawn(|| {
                    let mut racer = Racer::new(stage, attacker);
                    while more() {
                        step(&mut racer);
                    }
                    racer.tally
                })
            })
            .collect();
        for worker in workers {
            sum.add(&worker.join().expect("a worker saw what must not be"));
        }
    });
    sum
}

/// How many files the agent holds, once the connections of the tries are closed.
fn settled(agent: Pid, before: usize) -> usize {
    let started = Instant::now();
    while open_files(agent) > before && started.elapsed() < PATIENCE {
        thread::sleep(Duration::from_millis(50));
    }
    open_files(agent)
}

fn open_files(agent: Pid) -> usize {
    fs::read_dir(format!("/proc/{agent}/fd")).unwrap().count()
}

/// Attackers at a time who meet a stopped agent.
const BATCH: usize = 16;
const PATIENCE: Duration = Duration::from_secs(60);
