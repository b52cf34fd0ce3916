//! The ports that the proxy has, and where each of them leads: opened from the configuration, and
//! again from the one that replaces it.

use std::{
    fmt, io,
    net::{Shutdown, SocketAddr, TcpListener},
    sync::Arc,
};

use anyhow::Context as _;
use signet_daemon::socket::{Handed, Inheritance};
use socket2::SockRef;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use tracing::{debug, error, info};

use crate::{
    cluster::Health,
    config::{Config, Forward, Inbound, InterceptionMode, Outbound},
    latest::change,
    listen,
};

/// The ports in force; every thread follows them.
pub(crate) type SharedPorts = watch::Receiver<Arc<Ports>>;

/// All ports, open.
#[derive(Debug)]
pub(crate) struct Ports {
    pub(crate) inbound: Vec<Open<Inbound>>,
    pub(crate) outbound: Vec<Open<Outbound>>,
}

/// A port whose sockets are open.
#[derive(Debug)]
pub(crate) struct Open<C> {
    pub(crate) config: C,
    /// One for each thread, or more: a thread has every one that is left over when they are dealt.
    pub(crate) sockets: Arc<Vec<TcpListener>>,
    /// Of its cluster.
    pub(crate) health: Arc<Health>,
}

/// What a port's configuration says of every port.
pub(crate) trait PortConfig: fmt::Debug + Clone + PartialEq {
    /// `inbound` or `outbound`.
    const DIRECTION: &'static str;

    /// The name in logs.
    fn name(&self) -> &str;

    /// Where it listens.
    fn listen(&self) -> SocketAddr;

    /// How connections come there that were to go elsewhere.
    fn interception(&self) -> InterceptionMode;
}

/// Brings the ports in line with the configuration.
#[derive(Debug)]
pub(crate) struct Follower {
    config: watch::Receiver<Arc<Config>>,
    /// Those that run: another number takes effect with a restart.
    threads: usize,
    ports: watch::Sender<Arc<Ports>>,
}

impl Follower {
    /// Opens every port, or goes on with what another process listened on.
    ///
    /// # Errors
    /// An address that cannot be listened on, with the port's name.
    pub(crate) fn start(
        mut config: watch::Receiver<Arc<Config>>,
        inheritance: &mut Inheritance,
    ) -> anyhow::Result<(Self, SharedPorts)> {
        let first = Arc::clone(&config.borrow_and_update());
        let ports = Ports::open(&first, first.threads, None, inheritance)?;
        let (ports, shared) = watch::channel(Arc::new(ports));
        let follower = Self {
            config,
            threads: first.threads,
            ports,
        };
        Ok((follower, shared))
    }

    /// Follows the configuration until `shutdown`. One whose ports cannot be opened changes none;
    /// from `drain` on, when nothing is accepted any more, none does. With `leave` the ports are
    /// another process's.
    pub(crate) async fn run(
        mut self,
        shutdown: CancellationToken,
        drain: CancellationToken,
        leave: CancellationToken,
    ) {
        let following = async {
            loop {
                tokio::select! {
                    () = drain.cancelled() => break,
                    () = change(&mut self.config) => self.follow(),
                }
            }
            leave.cancelled().await;
            self.ports.send_replace(Arc::new(Ports::none()));
            shutdown.cancelled().await;
        };
        shutdown.run_until_cancelled(following).await.unwrap_or(())
    }

    fn follow(&mut self) {
        let config = Arc::clone(&self.config.borrow_and_update());
        let before = Arc::clone(&self.ports.borrow());
        let nothing = &mut Inheritance::default();
        match Ports::open(&config, self.threads, Some(&before), nothing) {
            Ok(ports) if ports.is_same_as(&before) => {}
            Ok(ports) => {
                info!(
                    inbound = ports.inbound.len(),
                    outbound = ports.outbound.len(),
                    "the ports are those of the configuration that was read again"
                );
                self.ports.send_replace(Arc::new(ports));
            }
            Err(error) => error!(
                error = format!("{error:#}"),
                "the ports stay as they were: one that the configuration asks for cannot be opened"
            ),
        }
    }
}

impl Ports {
    /// Opens what `before` has not open already.
    fn open(
        config: &Config,
        threads: usize,
        before: Option<&Self>,
        inheritance: &mut Inheritance,
    ) -> anyhow::Result<Self> {
        let mut sockets = |listen| {
            let held = before.and_then(|before| before.sockets(listen));
            match held {
                Some(held) => Ok(held),
                None => listening(listen, threads, inheritance),
            }
        };
        Ok(Self {
            inbound: open(
                &config.inbound,
                before.map(|before| &before.inbound),
                &mut sockets,
            )?,
            outbound: open(
                &config.outbound,
                before.map(|before| &before.outbound),
                &mut sockets,
            )?,
        })
    }

    /// Those of a process that has left them to another.
    fn none() -> Self {
        Self {
            inbound: Vec::new(),
            outbound: Vec::new(),
        }
    }

    /// All sockets, for the next process. One whose port the system chose is nobody else's.
    ///
    /// # Errors
    /// No descriptor is left.
    pub(crate) fn handed(&self) -> io::Result<Vec<Handed>> {
        self.listening()
            .filter(|(listen, _)| listen.port() != 0)
            .map(|(listen, sockets)| Handed::tcp(listen, sockets))
            .collect()
    }

    /// The sockets that listen on this address already, for whichever port.
    fn sockets(&self, listen: SocketAddr) -> Option<Arc<Vec<TcpListener>>> {
        self.listening()
            .find(|(other, _)| *other == listen && listen.port() != 0)
            .map(|(_, sockets)| Arc::clone(sockets))
    }

    /// The sockets of all ports, by where they listen.
    fn listening(&self) -> impl Iterator<Item = (SocketAddr, &Arc<Vec<TcpListener>>)> {
        let inbound = self.inbound.iter();
        let inbound = inbound.map(|open| (open.config.listen, &open.sockets));
        let outbound = self.outbound.iter();
        let outbound = outbound.map(|open| (open.config.listen, &open.sockets));
        inbound.chain(outbound)
    }

    /// Lets nobody connect any more: what no thread accepts would wait in the system's queue.
    pub(crate) fn close(&self) {
        for socket in self.listening().flat_map(|(_, sockets)| sockets.iter()) {
            if let Err(error) = SockRef::from(socket).shutdown(Shutdown::Both) {
                let error = &error as &dyn std::error::Error;
                debug!(error, "a port cannot be closed");
            }
        }
    }

    fn is_same_as(&self, other: &Self) -> bool {
        same(&self.inbound, &other.inbound) && same(&self.outbound, &other.outbound)
    }
}

fn open<C: PortConfig>(
    configs: &[C],
    before: Option<&Vec<Open<C>>>,
    sockets: &mut impl FnMut(SocketAddr) -> anyhow::Result<Arc<Vec<TcpListener>>>,
) -> anyhow::Result<Vec<Open<C>>> {
    let mut open = |config: &C| {
        let same = before.and_then(|before| before.iter().find(|open| open.config == *config));
        let sockets = match same {
            Some(open) => Arc::clone(&open.sockets),
            None => sockets(config.listen())
                .with_context(|| format!("{} `{}`", C::DIRECTION, config.name()))?,
        };
        listen::intercept(&sockets, config.interception())
            .with_context(|| format!("{} `{}`", C::DIRECTION, config.name()))?;
        Ok(Open {
            config: config.clone(),
            sockets,
            health: match same {
                Some(open) => Arc::clone(&open.health),
                None => Arc::new(Health::new(config.name())),
            },
        })
    };
    configs.iter().map(&mut open).collect()
}

/// Sockets that listen on `address`, one for each thread: those of another process, or new ones.
fn listening(
    address: SocketAddr,
    threads: usize,
    inheritance: &mut Inheritance,
) -> anyhow::Result<Arc<Vec<TcpListener>>> {
    let inherited = inheritance.tcp(address);
    let inherited = inherited.context("what was handed over cannot be used")?;
    let sockets = match inherited {
        Some(inherited) => listen::go_on(address, inherited, threads)?,
        None => listen::open(address, threads)?,
    };
    Ok(Arc::new(sockets))
}

fn same<C: PortConfig>(a: &[Open<C>], b: &[Open<C>]) -> bool {
    a.len() == b.len() && a.iter().zip(b).all(|(a, b)| a.config == b.config)
}

impl PortConfig for Inbound {
    const DIRECTION: &'static str = "inbound";

    fn name(&self) -> &str {
        &self.name
    }

    fn interception(&self) -> InterceptionMode {
        match &self.forward {
            Forward::Original { mode, .. } => *mode,
            Forward::To { .. } | Forward::Tunnels => InterceptionMode::Redirect,
        }
    }

    fn listen(&self) -> SocketAddr {
        self.listen
    }
}

impl PortConfig for Outbound {
    const DIRECTION: &'static str = "outbound";

    fn name(&self) -> &str {
        &self.name
    }

    fn interception(&self) -> InterceptionMode {
        InterceptionMode::Redirect
    }

    fn listen(&self) -> SocketAddr {
        self.listen
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{PortProtocol, Protocol, RunFlags, Target};

    /// A configuration with these ports, each `name=address`.
    fn config(ports: &[(&str, SocketAddr)]) -> Arc<Config> {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("proxy.yaml");
        let port = |(name, listen): &(&str, SocketAddr)| {
            format!(
                "  - {{ name: {name}, listen: '{listen}', protocol: TCP, connect: 'a.test:1', \
                 expect: ['spiffe://example.org/a'] }}\n"
            )
        };
        let ports: String = ports.iter().map(port).collect();
        let text = format!("workloadApi: unix:///run/agent.sock\noutbound:\n{ports}");
        std::fs::write(&path, text).unwrap();
        let flags = RunFlags {
            config: path,
            socket_path: None,
            log_level: None,
            log_format: None,
            log_file: None,
            take_over: false,
        };
        Arc::new(Config::load(&flags).unwrap())
    }

    fn free() -> SocketAddr {
        let unused = TcpListener::bind("127.0.0.1:0").unwrap();
        unused.local_addr().unwrap()
    }

    fn names(ports: &SharedPorts) -> Vec<String> {
        let ports = ports.borrow();
        ports
            .outbound
            .iter()
            .map(|open| open.config.name.clone())
            .collect()
    }

    #[test]
    fn ports_come_and_go_with_the_configuration_and_those_that_stay_keep_their_sockets() {
        let (a, b, c) = (free(), free(), free());
        let (sender, current) = watch::channel(config(&[("a", a), ("b", b)]));
        let (mut follower, ports) = Follower::start(current, &mut Inheritance::default()).unwrap();
        let first = Arc::clone(&ports.borrow().outbound[0].sockets);
        sender.send_replace(config(&[("a", a), ("c", c)]));
        follower.follow();
        assert_eq!(names(&ports), ["a", "c"]);
        assert!(Arc::ptr_eq(&first, &ports.borrow().outbound[0].sockets));
        TcpListener::bind(b).expect("the removed port is free again");
    }

    #[test]
    fn a_port_that_cannot_be_opened_leaves_all_as_they_were() {
        let (a, held) = (free(), TcpListener::bind("127.0.0.1:0").unwrap());
        let (sender, current) = watch::channel(config(&[("a", a)]));
        let (mut follower, ports) = Follower::start(current, &mut Inheritance::default()).unwrap();
        sender.send_replace(config(&[("b", free()), ("c", held.local_addr().unwrap())]));
        follower.follow();
        assert_eq!(names(&ports), ["a"]);
    }

    #[test]
    fn what_did_not_change_is_not_announced() {
        let first = config(&[("a", free())]);
        let (sender, current) = watch::channel(Arc::clone(&first));
        let (mut follower, mut ports) =
            Follower::start(current, &mut Inheritance::default()).unwrap();
        ports.mark_unchanged();
        sender.send_replace(first);
        follower.follow();
        assert!(!ports.has_changed().unwrap());
    }

    #[test]
    fn a_port_that_only_leads_elsewhere_is_the_same_port() {
        let port = |connect: u16, policy_port| Inbound {
            name: "web".to_owned(),
            listen: "127.0.0.1:80".parse().unwrap(),
            protocol: PortProtocol::Known(Protocol::Http),
            forward: Forward::To {
                target: Target::Tcp(SocketAddr::from(([127, 0, 0, 1], connect))),
                policy_port,
            },
        };
        let is_same = <crate::inbound::Port as crate::port::Port>::is_same;
        assert!(is_same(&port(1, 80), &port(2, 80)));
        assert!(!is_same(&port(1, 80), &port(1, 81)));
    }
}
