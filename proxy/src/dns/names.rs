//! The names that somebody needs, each looked up by one task for all threads.

use std::{
    collections::HashMap,
    net::{IpAddr, Ipv6Addr, UdpSocket},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use signet_mesh::{LookedUp, LookupPace, NameNews};
use tokio::{
    runtime::Handle,
    sync::{Semaphore, watch},
    time::sleep,
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use tracing::{debug, info, warn};

use super::{
    Known, Lookup,
    resolver::{Resolver, Said},
};
use crate::config::Dns;

/// What is known of each name that somebody needs.
type Needed = HashMap<Arc<str>, watch::Sender<Known>>;

/// The names that somebody needs.
#[derive(Clone, Debug)]
pub(crate) struct Names(pub(super) Arc<Inner>);

/// What looks them up.
#[derive(Debug)]
pub(super) struct Inner {
    resolver: Resolver,
    pace: LookupPace,
    /// Where names are looked up, whichever thread needs them.
    runtime: Handle,
    tasks: TaskTracker,
    stop: CancellationToken,
    /// How many may be looked up at a time.
    room: Semaphore,
    needed: Mutex<Needed>,
}

impl Names {
    /// None is needed yet. They will be looked up on the runtime that this is called on.
    pub(crate) fn new(config: &Dns) -> Self {
        Self(Arc::new(Inner {
            resolver: Resolver::new(config),
            pace: LookupPace {
                min_ttl: config.min_ttl,
                max_ttl: config.max_ttl,
            },
            runtime: Handle::current(),
            tasks: TaskTracker::new(),
            stop: CancellationToken::new(),
            room: Semaphore::new(AT_ONCE),
            needed: Mutex::default(),
        }))
    }

    /// Looks up until `shutdown`.
    pub(crate) async fn run(self, shutdown: CancellationToken) {
        shutdown.cancelled().await;
        self.0.stop.cancel();
        self.0.tasks.close();
        self.0.tasks.wait().await;
    }

    /// A port of the host that has this name, which is in lower case; it is looked up as long as
    /// somebody has it.
    pub(crate) fn follow(&self, name: &str, port: u16) -> Lookup {
        let mut needed = self.0.lock();
        if let Some((name, known)) = needed.get_key_value(name) {
            return Lookup {
                name: Arc::clone(name),
                port,
                known: known.subscribe(),
            };
        }
        let name: Arc<str> = name.into();
        let (sender, known) = watch::channel(Known::Nothing);
        needed.insert(Arc::clone(&name), sender.clone());
        drop(needed);
        let looking = Arc::clone(&self.0).look_up(Arc::clone(&name), sender);
        self.0.tasks.spawn_on(looking, &self.0.runtime);
        Lookup { name, port, known }
    }
}

impl Inner {
    /// Looks a name up, again and again, until nobody needs it.
    pub(super) async fn look_up(self: Arc<Self>, name: Arc<str>, known: watch::Sender<Known>) {
        let mut looked_up = LookedUp::default();
        let looking = async {
            loop {
                let wait = self.once(&name, &mut looked_up, &known).await;
                tokio::select! {
                    () = sleep(wait) => {}
                    () = known.closed() => if self.forget(&name) {
                        return;
                    }
                }
            }
        };
        self.stop.run_until_cancelled(looking).await.unwrap_or(())
    }

    /// How long to wait after this.
    async fn once(
        &self,
        name: &Arc<str>,
        looked_up: &mut LookedUp,
        known: &watch::Sender<Known>,
    ) -> std::time::Duration {
        let room = self.room.acquire().await;
        let Said { answer, why } = self.resolver.ask(name).await;
        drop(room);
        let after = looked_up.take(answer, self.pace, fastrand::u64(..));
        let addresses = reachable(looked_up.addresses());
        match after.news {
            Some(NameNews::Lost) => say_lost(name, &addresses, &why),
            Some(NameNews::Back) => info!(%name, "the name is answered for again"),
            Some(NameNews::Changed) => debug!(%name, ?addresses, "the name has other addresses"),
            None => {}
        }
        let now = match addresses.is_empty() {
            true => Known::Nowhere(why),
            false => Known::At(addresses.into()),
        };
        known.send_if_modified(|known| {
            let changed = *known != now;
            // Why a name is nowhere is no reason to look at it again.
            let is_news =
                changed && !matches!((&*known, &now), (Known::Nowhere(_), Known::Nowhere(_)));
            *known = now;
            is_news
        });
        after.wait
    }

    /// Forgets a name that nobody needs any more; whether that is so.
    fn forget(&self, name: &str) -> bool {
        let mut needed = self.lock();
        let is_needed = needed.get(name).is_some_and(|it| it.receiver_count() > 0);
        if !is_needed {
            needed.remove(name);
        }
        !is_needed
    }

    pub(super) fn lock(&self) -> MutexGuard<'_, Needed> {
        self.needed.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn say_lost(name: &Arc<str>, addresses: &[IpAddr], why: &Arc<str>) {
    match addresses {
        [] => {
            warn!(%name, %why, "the name cannot be resolved; every call of it fails until it can")
        }
        kept => warn!(
            %name, %why, ?kept,
            "the name cannot be resolved any more; it is taken to be where it was"
        ),
    }
}

/// Without those of IPv6 to which this host has no way, if there are others: half of all calls
/// would fail.
fn reachable(addresses: Vec<IpAddr>) -> Vec<IpAddr> {
    if !(addresses.iter().any(IpAddr::is_ipv4) && addresses.iter().any(IpAddr::is_ipv6)) {
        return addresses;
    }
    let reachable = addresses
        .into_iter()
        .filter(|it| it.is_ipv4() || has_way(*it));
    reachable.collect()
}

/// Whether the kernel knows a way there. Nothing is sent.
fn has_way(address: IpAddr) -> bool {
    let socket = UdpSocket::bind((Ipv6Addr::UNSPECIFIED, 0));
    socket
        .and_then(|socket| socket.connect((address, DISCARD)))
        .is_ok()
}

/// As many questions at a time as do not trouble a resolver.
const AT_ONCE: usize = 64;
/// RFC 863; any port would do.
const DISCARD: u16 = 9;
