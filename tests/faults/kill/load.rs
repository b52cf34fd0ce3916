//! What goes on while processes are killed: entries come and go, workloads fetch SVIDs, requests
//! go through two proxies.

use std::{
    env,
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, SystemTime},
};

use signet_identity::{
    trust::{Trust, Usage},
    workload_api::X509Context,
};
use signet_proto::{
    spire::api::types,
    workload::{JwtSvidRequest, X509SvidRequest, X509SvidResponse},
};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
    task::JoinSet,
    time::{sleep, timeout},
};
use tokio_stream::StreamExt as _;
use tonic::{Code, Status};

use super::{
    client::{AUDIENCE, Admin, soon, spiffe_id, whole},
    ledger::{Ledger, State},
};
use crate::testbed::grpc;

/// The clients, and what they have seen.
#[derive(Clone)]
pub(super) struct Load {
    pub(super) ledger: Arc<Ledger>,
    pub(super) seen: Arc<Seen>,
}

/// Calls that succeeded.
#[derive(Default, Debug)]
pub(super) struct Seen {
    pub(super) x509: AtomicU64,
    pub(super) jwt: AtomicU64,
    pub(super) requests: AtomicU64,
    next: AtomicU64,
}

impl Load {
    pub(super) fn new() -> Self {
        Self {
            ledger: Arc::default(),
            seen: Arc::default(),
        }
    }

    /// Starts all clients; they end with the set. `parent` is the agent whose Workload API is at `socket`.
    pub(super) fn start(
        &self,
        admin: &Admin,
        parent: &str,
        socket: &Path,
        port: u16,
    ) -> JoinSet<()> {
        let mut clients = JoinSet::new();
        for _ in 0..WRITERS {
            clients.spawn(write(self.clone(), admin.clone(), parent.to_owned()));
        }
        clients.spawn(fetch_x509(self.clone(), socket.to_owned()));
        clients.spawn(fetch_jwt(self.clone(), socket.to_owned()));
        clients.spawn(request(self.clone(), port));
        clients
    }
}

/// Creates entries and deletes the oldest of them, for ever.
async fn write(load: Load, admin: Admin, parent: String) {
    let mut own = std::collections::VecDeque::new();
    loop {
        let number = load.seen.next.fetch_add(1, Ordering::Relaxed);
        // An entry whose creation was not acknowledged may be there or not.
        match admin.create(entry(&parent, number)).await {
            Ok(id) => {
                load.ledger.note(number, State::Created(id.clone()));
                own.push_back((number, id));
            }
            Err(away) => rest(&away).await,
        }
        if own.len() < KEPT {
            continue;
        }
        let Some((number, id)) = own.pop_front() else {
            continue;
        };
        load.ledger.note(number, State::Deleting);
        match admin.delete(&id).await {
            Ok(()) => load.ledger.note(number, State::Deleted),
            Err(away) => rest(&away).await,
        }
    }
}

/// A server that is away is asked again; one that is there does not refuse.
async fn rest(error: &Status) {
    let refusals = [
        Code::InvalidArgument,
        Code::NotFound,
        Code::AlreadyExists,
        Code::Internal,
    ];
    assert!(!refusals.contains(&error.code()), "{error}");
    sleep(PAUSE).await;
}

/// An entry of the load. One in eight is the agent's, and is signed for; nobody has its selector.
fn entry(parent: &str, number: u64) -> types::Entry {
    let parent = match number % 8 {
        0 => whole(parent),
        _ => spiffe_id("/elsewhere"),
    };
    types::Entry {
        spiffe_id: Some(spiffe_id(&format!("/load/{number}"))),
        parent_id: Some(parent),
        selectors: vec![types::Selector {
            r#type: "unix".to_owned(),
            value: "uid:4000000".to_owned(),
        }],
        ..types::Entry::default()
    }
}

/// The selector that this test's process has, and the proxies have not.
pub(super) fn myself() -> String {
    format!("unix:path:{}", env::current_exe().unwrap().display())
}

/// An entry for this test itself.
pub(super) fn my_entry(parent: &str, path: &str) -> types::Entry {
    let selector = myself();
    let (kind, value) = selector.split_once(':').unwrap();
    types::Entry {
        spiffe_id: Some(spiffe_id(path)),
        parent_id: Some(whole(parent)),
        selectors: vec![types::Selector {
            r#type: kind.to_owned(),
            value: value.to_owned(),
        }],
        ..types::Entry::default()
    }
}

async fn fetch_x509(load: Load, socket: PathBuf) {
    loop {
        if let Ok(answer) = first_svids(&socket).await {
            check(&answer);
            load.seen.x509.fetch_add(1, Ordering::Relaxed);
        }
        sleep(PAUSE).await;
    }
}

/// The first answer to a workload.
async fn first_svids(socket: &Path) -> Result<X509SvidResponse, Status> {
    let mut client = grpc::workload_api(socket.to_owned());
    let request = grpc::workload(X509SvidRequest {});
    let mut stream = soon(client.fetch_x509svid(request)).await?;
    let first = timeout(Duration::from_secs(10), stream.next()).await;
    match first.map_err(|_late| Status::unavailable("late"))? {
        Some(answer) => answer,
        None => Err(Status::unavailable("the stream ended")),
    }
}

/// Whether this test is given an identity.
pub(super) async fn serves(socket: &Path, id: &str) -> Result<(), Status> {
    let answer = first_svids(socket).await?;
    let found = answer.svids.iter().any(|svid| svid.spiffe_id == id);
    found
        .then_some(())
        .ok_or_else(|| Status::not_found("not yet"))
}

/// What a workload is given fits together at every moment.
fn check(answer: &X509SvidResponse) {
    for svid in X509Context::read(answer).unwrap().svids() {
        let identity = &svid.identity;
        Trust::new([&svid.bundle])
            .verify(identity.chain(), Usage::Client, SystemTime::now())
            .unwrap_or_else(|error| panic!("{}: {error}", identity.id()));
    }
}

async fn fetch_jwt(load: Load, socket: PathBuf) {
    loop {
        let mut client = grpc::workload_api(socket.clone());
        let request = JwtSvidRequest {
            audience: vec![AUDIENCE.to_owned()],
            spiffe_id: String::new(),
        };
        if soon(client.fetch_jwtsvid(grpc::workload(request)))
            .await
            .is_ok()
        {
            load.seen.jwt.fetch_add(1, Ordering::Relaxed);
        }
        sleep(PAUSE).await;
    }
}

async fn request(load: Load, port: u16) {
    loop {
        if passes(port).await.is_ok() {
            load.seen.requests.fetch_add(1, Ordering::Relaxed);
        }
        sleep(PAUSE).await;
    }
}

/// Whether a request goes through both proxies.
pub(super) async fn passes(port: u16) -> Result<(), Status> {
    let ask = async {
        let mut stream = TcpStream::connect(("127.0.0.1", port)).await.ok()?;
        let request = b"GET /hello HTTP/1.1\r\nhost: shop\r\nconnection: close\r\n\r\n";
        stream.write_all(request).await.ok()?;
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).await.ok()?;
        Some(answer.starts_with(b"HTTP/1.1 200"))
    };
    match timeout(Duration::from_secs(10), ask).await {
        Ok(Some(true)) => Ok(()),
        Ok(Some(false) | None) | Err(_) => Err(Status::unavailable("not yet")),
    }
}

const WRITERS: usize = 3;
/// Entries of one writer at a time.
const KEPT: usize = 20;
const PAUSE: Duration = Duration::from_millis(20);
