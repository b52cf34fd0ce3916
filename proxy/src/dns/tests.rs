//! Names that are looked up with a resolver that obeys, lies, and hangs. Time stands still but for
//! what is waited for, so that a TTL of minutes is over at once.

use std::{
    collections::HashMap,
    net::{IpAddr, SocketAddr},
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use hickory_resolver::proto::{
    op::{Message, ResponseCode},
    rr::{RData, Record, RecordType},
};
use tokio::{
    net::UdpSocket,
    time::{Instant, sleep},
};
use tokio_util::task::TaskTracker;

use super::*;
use crate::{config::Dns, testing::lines};

/// What a resolver says of a name.
#[derive(Clone, Debug)]
enum Says {
    /// These addresses, for so many seconds.
    At(Vec<IpAddr>, u32),
    Code(ResponseCode),
    /// No DNS at all.
    Garbage,
    /// An answer to a question of somebody else.
    Another,
    Silence,
}

/// A resolver that says of every name what it is told to say.
#[derive(Clone, Debug)]
struct Server {
    address: SocketAddr,
    says: Arc<Mutex<HashMap<String, Says>>>,
    asked: Arc<AtomicUsize>,
}

impl Server {
    async fn start(name: &str, says: Says) -> Self {
        let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
        let server = Self {
            address: socket.local_addr().unwrap(),
            says: Arc::default(),
            asked: Arc::default(),
        };
        server.says(name, says);
        let answering = server.clone();
        TaskTracker::new().spawn(async move {
            let mut bytes = [0; 512];
            loop {
                let (length, from) = socket.recv_from(&mut bytes).await.unwrap();
                if let Some(answer) = answering.answer(&bytes[..length]) {
                    socket.send_to(&answer, from).await.unwrap();
                }
            }
        });
        server
    }

    fn says(&self, name: &str, says: Says) {
        self.says.lock().unwrap().insert(format!("{name}."), says);
    }

    fn answer(&self, question: &[u8]) -> Option<Vec<u8>> {
        let mut message = Message::from_vec(question).unwrap();
        let query = message.queries[0].clone();
        if query.query_type() == RecordType::A {
            self.asked.fetch_add(1, Ordering::Relaxed);
        }
        let says = self.says.lock().unwrap();
        let says = says.get(&query.name().to_string().to_lowercase());
        message = message.into_response();
        match says.cloned().unwrap_or(Says::Code(ResponseCode::NXDomain)) {
            Says::At(addresses, ttl) => {
                let data = addresses.into_iter().map(RData::from);
                let data = data.filter(|it| it.record_type() == query.query_type());
                message
                    .add_answers(data.map(|it| Record::from_rdata(query.name().clone(), ttl, it)));
            }
            Says::Code(code) => message.metadata.response_code = code,
            Says::Garbage => return Some(vec![0xff; 40]),
            Says::Another => message.metadata.id = message.metadata.id.wrapping_add(1),
            Says::Silence => return None,
        }
        Some(message.to_vec().unwrap())
    }

    fn names(&self) -> Names {
        Names::new(&Dns {
            servers: vec![self.address],
            ..Dns::default()
        })
    }

    fn asked(&self) -> usize {
        self.asked.load(Ordering::Relaxed)
    }
}

fn ip(last: u8) -> IpAddr {
    [192, 0, 2, last].into()
}

fn at(last: &[u8], ttl: u32) -> Says {
    Says::At(last.iter().map(|it| ip(*it)).collect(), ttl)
}

fn sockets(last: &[u8]) -> Vec<SocketAddr> {
    last.iter().map(|it| SocketAddr::new(ip(*it), 80)).collect()
}

/// Waits until the name is elsewhere, and says where.
async fn elsewhere(lookup: &Lookup) -> Option<Vec<SocketAddr>> {
    let mut known = lookup.known.clone();
    known.mark_unchanged();
    known.changed().await.unwrap();
    lookup.endpoints()
}

#[tokio::test(start_paused = true)]
async fn whoever_calls_a_name_first_waits_for_its_addresses_and_nobody_after() {
    let server = Server::start("shop.test", at(&[2, 1], 60)).await;
    let lookup = server.names().follow("shop.test", 80);
    assert_eq!(lookup.endpoints(), None);
    assert_eq!(lookup.addresses().await.unwrap(), sockets(&[2, 1]));
    assert!(lookup.is_stale());
    assert_eq!(lookup.endpoints().unwrap(), sockets(&[1, 2]));
}

#[tokio::test(start_paused = true)]
async fn a_name_is_looked_up_once_for_all_and_again_when_its_ttl_is_over() {
    let server = Server::start("shop.test", at(&[1], 60)).await;
    let names = server.names();
    let lookups = [80, 80, 443].map(|port| names.follow("shop.test", port));
    lookups[2].addresses().await.unwrap();
    assert_eq!(server.asked(), 1);
    server.says("shop.test", at(&[1, 3], 60));
    let started = Instant::now();
    let known = elsewhere(&lookups[0]).await;
    assert_eq!(known.unwrap(), sockets(&[1, 3]));
    assert_eq!(started.elapsed().as_secs(), 60);
    assert_eq!(server.asked(), 2);
}

#[tokio::test(start_paused = true)]
async fn a_ttl_of_nothing_and_one_of_years_are_both_bounded() {
    for (ttl, wait) in [(0, 5), (u32::MAX, 300)] {
        let server = Server::start("shop.test", at(&[1], ttl)).await;
        let lookup = server.names().follow("shop.test", 80);
        lookup.addresses().await.unwrap();
        server.says("shop.test", at(&[2], ttl));
        let started = Instant::now();
        elsewhere(&lookup).await;
        assert_eq!(started.elapsed().as_secs(), wait);
    }
}

#[tokio::test(start_paused = true)]
async fn what_a_resolver_does_not_say_any_more_stays_known_and_is_said_once() {
    let bad = [
        at(&[], 60),
        Says::Code(ResponseCode::NXDomain),
        Says::Code(ResponseCode::ServFail),
        Says::Code(ResponseCode::Refused),
        Says::Garbage,
        Says::Another,
        Says::Silence,
        Says::At(vec![[0, 0, 0, 0].into()], 60),
    ];
    for says in bad {
        let said = format!("{says:?}");
        let server = Server::start("shop.test", at(&[1], 60)).await;
        let (sender, known) = watch::channel(Known::Nothing);
        let looking = server.names().0.look_up("shop.test".into(), sender);
        let lookup = Lookup {
            name: "shop.test".into(),
            port: 80,
            known,
        };
        let checks = async {
            lookup.addresses().await.unwrap();
            server.says("shop.test", says);
            sleep(Duration::from_secs(600)).await;
            assert_eq!(lookup.endpoints().unwrap(), sockets(&[1]), "{said}");
            server.says("shop.test", at(&[4], 60));
            let mut known = lookup.known.clone();
            known.mark_unchanged();
            known.changed().await.unwrap();
            assert_eq!(lookup.endpoints().unwrap(), sockets(&[4]), "{said}");
        };
        let (told, ()) = lines(async {
            tokio::select! {
                () = looking => panic!("it is needed"),
                () = checks => {}
            }
        })
        .await;
        let lost = told.matches("cannot be resolved any more").count();
        assert_eq!(lost, 1, "{said}: {told}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_resolver_that_hangs_costs_the_first_caller_a_bounded_time_and_a_reason() {
    let server = Server::start("shop.test", Says::Silence).await;
    let lookup = server.names().follow("shop.test", 80);
    let started = Instant::now();
    lookup.addresses().await.unwrap_err();
    assert!(started.elapsed() <= Duration::from_secs(10));
    server.says("shop.test", at(&[1], 60));
    assert_eq!(elsewhere(&lookup).await.unwrap(), sockets(&[1]));
}

#[tokio::test(start_paused = true)]
async fn a_name_that_is_nowhere_says_why() {
    let server = Server::start("shop.test", at(&[], 60)).await;
    let names = server.names();
    let why = names.follow("other.test", 80).addresses().await;
    assert!(why.unwrap_err().contains("NXDOMAIN"));
    let why = names.follow("shop.test", 80).addresses().await;
    assert!(why.unwrap_err().contains("no address"));
}

#[tokio::test(start_paused = true)]
async fn a_name_that_nobody_needs_is_not_looked_up_any_more() {
    let server = Server::start("shop.test", at(&[1], 60)).await;
    let names = server.names();
    let lookup = names.follow("shop.test", 80);
    lookup.addresses().await.unwrap();
    drop(lookup);
    sleep(Duration::from_secs(1_000)).await;
    assert_eq!(server.asked(), 1);
    assert!(names.0.lock().is_empty());
    names.follow("shop.test", 80).addresses().await.unwrap();
    assert_eq!(server.asked(), 2);
}

#[tokio::test(start_paused = true)]
async fn the_hosts_file_of_the_system_is_heeded() {
    let server = Server::start("shop.test", at(&[1], 60)).await;
    let lookup = server.names().follow("localhost", 80);
    let addresses = lookup.addresses().await.unwrap();
    assert!(addresses.iter().all(|it| it.ip().is_loopback()));
}
