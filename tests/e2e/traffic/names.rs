//! Services that are wherever the DNS says: with a resolver that obeys, says nothing, and lies.

use std::{
    collections::HashMap,
    net::{Ipv4Addr, SocketAddr, UdpSocket},
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

use hickory_proto::{
    op::{Message, ResponseCode},
    rr::{RData, Record, RecordType},
};

use super::{Answer, Traffic, connect, routes};
use crate::testbed::{Bed, Proxy, eventually, free_port};

/// What the resolver says of a name.
#[derive(Clone, Debug)]
enum Says {
    /// These addresses of IPv4, for a second.
    At(Vec<Ipv4Addr>),
    /// That there is no such name.
    NoName,
    /// What is no DNS.
    Garbage,
    Silence,
}

/// A resolver that obeys.
struct Resolver {
    address: SocketAddr,
    says: Arc<Mutex<HashMap<String, Says>>>,
}

impl Resolver {
    fn start() -> Self {
        let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
        let address = socket.local_addr().unwrap();
        let says: Arc<Mutex<HashMap<String, Says>>> = Arc::default();
        let told = Arc::clone(&says);
        // It ends with the process of the tests.
        std::thread::spawn(move || {
            let mut bytes = [0; 512];
            loop {
                let (length, from) = socket.recv_from(&mut bytes).unwrap();
                let question = Message::from_vec(&bytes[..length]).unwrap();
                let name = question.queries[0].name().to_string().to_lowercase();
                let says = told.lock().unwrap().get(&name).cloned();
                if let Some(answer) = answer(question, says.unwrap_or(Says::NoName)) {
                    socket.send_to(&answer, from).unwrap();
                }
            }
        });
        Self { address, says }
    }

    fn says(&self, name: &str, says: Says) {
        self.says.lock().unwrap().insert(format!("{name}."), says);
    }

    fn settings(&self) -> String {
        format!(
            "dns: {{ servers: ['{}'], minTtl: 1s, timeout: 200ms }}\n",
            self.address
        )
    }
}

fn answer(question: Message, says: Says) -> Option<Vec<u8>> {
    let query = question.queries[0].clone();
    let mut answer = question.into_response();
    match says {
        Says::At(addresses) if query.query_type() == RecordType::A => {
            let data = addresses.into_iter().map(|it| RData::A(it.into()));
            answer.add_answers(data.map(|it| Record::from_rdata(query.name().clone(), 1, it)));
        }
        Says::At(_) => {}
        Says::NoName => answer.metadata.response_code = ResponseCode::NXDomain,
        Says::Garbage => return Some(vec![0xff; 99]),
        Says::Silence => return None,
    }
    Some(answer.to_vec().unwrap())
}

/// Where nobody listens.
const NOBODY: Ipv4Addr = Ipv4Addr::new(127, 0, 0, 99);

impl Traffic<'_> {
    /// From now on, the endpoints of `shop.test` are the names `one.test` and `two.test`.
    fn by_names(&self, resolution: &str) {
        let documents = std::fs::read_to_string(&self.documents).unwrap();
        let documents = documents
            .replace("resolution: STATIC", &format!("resolution: {resolution}"))
            .replacen("address: 127.0.0.1", "address: one.test", 1)
            .replacen("address: 127.0.0.1", "address: two.test", 1);
        self.says_again("the new model is in force", || self.write(&documents));
    }

    /// Waits until the client's proxy says it once more than before the change.
    #[track_caller]
    fn says_again(&self, text: &str, change: impl FnOnce()) {
        let times = || self.client.process.log().matches(text).count();
        let before = times();
        change();
        eventually(&format!("the log says {text:?} again"), || {
            (times() > before).then_some(())
        });
    }

    /// Asks until the answer is as it should be.
    fn until(&self, good: impl Fn(&Answer) -> bool) {
        let given_up = Instant::now() + Duration::from_secs(20);
        loop {
            let answer = self.get("/");
            if good(&answer) {
                return;
            }
            assert!(Instant::now() < given_up, "{answer:?}");
            std::thread::sleep(Duration::from_millis(50));
        }
    }
}

const ONLY_FIRST: &str = "  - route: [{ destination: { host: shop.test, subset: v1 } }]
    retries: { attempts: 0 }
";

#[test]
fn an_endpoint_is_where_the_dns_says_and_stays_there_when_the_dns_says_nothing() {
    let bed = Bed::new();
    let resolver = Resolver::start();
    resolver.says("one.test", Says::At(vec![NOBODY]));
    let traffic = Traffic::with_settings(&bed, "", &routes(ONLY_FIRST), &resolver.settings());
    traffic.by_names("DNS");
    let answer = traffic.get("/");
    assert_eq!(answer.status, 503, "{answer:?}");
    assert!(answer.body.contains("cannot be connected to"), "{answer:?}");
    resolver.says("one.test", Says::At(vec![Ipv4Addr::LOCALHOST]));
    traffic.until(|answer| answer.status == 200 && answer.body == "v1");
    for lie in [
        Says::NoName,
        Says::At(Vec::new()),
        Says::Garbage,
        Says::Silence,
    ] {
        traffic.says_again("it is taken to be where it was", || {
            resolver.says("one.test", lie);
        });
        for _ in 0..5 {
            assert_eq!(traffic.get("/").status, 200);
        }
        traffic.says_again("the name is answered for again", || {
            resolver.says("one.test", Says::At(vec![Ipv4Addr::LOCALHOST]));
        });
    }
    resolver.says("one.test", Says::At(vec![NOBODY]));
    traffic.until(|answer| answer.status == 503);
}

#[test]
fn all_addresses_of_a_name_are_endpoints_and_of_round_robin_the_first_that_answers() {
    let bed = Bed::new();
    let resolver = Resolver::start();
    let both = vec![NOBODY, Ipv4Addr::LOCALHOST];
    resolver.says("one.test", Says::At(both));
    let traffic = Traffic::with_settings(&bed, "", &routes(ONLY_FIRST), &resolver.settings());
    traffic.by_names("DNS");
    let answers: Vec<_> = (0..40).map(|_| traffic.get("/").status).collect();
    assert!(
        answers.contains(&200) && answers.contains(&503),
        "{answers:?}"
    );
    // The one whose name is unknown is left out, as there can be one of them only.
    let documents = std::fs::read_to_string(&traffic.documents).unwrap();
    let (before, after) = documents.split_once("  - { address: two.test").unwrap();
    let (_, after) = after.split_once('\n').unwrap();
    let documents = format!("{before}{after}");
    traffic.says_again("the new model is in force", || {
        traffic.write(&documents.replace("resolution: DNS", "resolution: DNS_ROUND_ROBIN"));
    });
    assert!((0..40).all(|_| traffic.get("/").status == 200));
}

#[test]
fn a_name_that_is_nowhere_is_an_answer_that_says_so() {
    let bed = Bed::new();
    let resolver = Resolver::start();
    let traffic = Traffic::with_settings(&bed, "", &routes(ONLY_FIRST), &resolver.settings());
    traffic.by_names("DNS");
    let answer = traffic.get("/");
    assert_eq!(answer.status, 503, "{answer:?}");
    assert!(answer.body.contains("NXDOMAIN"), "{answer:?}");
}

#[test]
fn a_port_that_leads_to_a_name_follows_it() {
    let bed = Bed::new();
    let resolver = Resolver::start();
    resolver.says("one.test", Says::At(vec![Ipv4Addr::LOCALHOST]));
    let mut traffic = Traffic::start(&bed, "");
    let documents = std::fs::read_to_string(&traffic.documents).unwrap();
    let (_, port) = documents.split_once("ports: { http: ").unwrap();
    let (port, _) = port.split_once(' ').unwrap();
    let out = free_port();
    let config = format!(
        "outbound:
  - {{ name: one, listen: '127.0.0.1:{out}', protocol: HTTP, connect: 'one.test:{port}', \
         expect: ['spiffe://example.org/v1'] }}
{}",
        resolver.settings()
    );
    let _fixed = Proxy::start(&traffic._server, &traffic._agent, "fixed", &config);
    traffic.out = out;
    drop(connect(out));
    assert_eq!(traffic.get("/").body, "v1");
}
