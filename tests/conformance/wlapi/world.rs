//! A server and an agent that several tests look at, and the calls that they make.
//!
//! The callers are this test's own process, which the entries know by the path of its program,
//! and copies of `signet` at other paths.

use std::{
    fs,
    path::Path,
    sync::{Arc, Mutex, PoisonError, Weak},
};

use signet_proto::workload::{
    X509SvidRequest, X509SvidResponse, spiffe_workload_api_client::SpiffeWorkloadApiClient,
};
use signet_tests::testbed::{Agent, Bed, Options, Server, eventually, grpc};
use tonic::{Code, Response, Status, Streaming, transport::Channel};

use super::domain::Domain;

pub(crate) type Client = SpiffeWorkloadApiClient<Channel>;

/// A server and an agent, which end with the last test that holds them.
pub(crate) struct World {
    pub(crate) server: Server<'static>,
    pub(crate) agent: Agent<'static>,
    pub(crate) bed: &'static Bed,
}

impl World {
    /// A world without entries.
    pub(crate) fn new() -> Self {
        Self::with(&Options::default())
    }

    pub(crate) fn with(options: &Options<'_>) -> Self {
        let bed: &'static Bed = Box::leak(Box::new(Bed::new()));
        let server = Server::start_with(bed, options);
        let agent = Agent::join(&server);
        Self { server, agent, bed }
    }

    /// A client of the Workload API, on a connection of its own.
    pub(crate) fn client(&self) -> Client {
        grpc::workload_api(self.agent.socket.clone())
    }

    pub(crate) fn channel(&self) -> Channel {
        grpc::over_unix(self.agent.socket.clone())
    }

    /// An entry for this test's process.
    #[track_caller]
    pub(crate) fn mine(&self, path: &str, flags: &[&str]) -> String {
        let id = format!("spiffe://example.org{path}");
        self.server.entry(&self.agent.id, &id, &me(), flags)
    }

    /// Stores the bundle of another trust domain.
    #[track_caller]
    pub(crate) fn set_bundle(&self, id: &str, document: &str) {
        let path = self.bed.write("foreign.json", document);
        let path = path.to_str().unwrap();
        self.server
            .run(&[
                "bundle", "set", "--format", "spiffe", "--id", id, "--path", path,
            ])
            .ok();
    }

    #[track_caller]
    pub(crate) fn delete_entry(&self, entry: &str) {
        self.server
            .run(&["entry", "delete", "--entry-id", entry])
            .ok();
    }
}

impl Drop for World {
    fn drop(&mut self) {
        self.agent.process.kill();
        self.server.process.kill();
        // The bed is never dropped: its directory goes here.
        drop(fs::remove_dir_all(self.bed.path("")));
    }
}

/// A world whose entries give this process the identities `/w` (hint `internal`, federates with
/// `other.org`), `/w2` and `/w3`, and a duplicate of the hint.
pub(crate) struct Registered {
    pub(crate) world: World,
    pub(crate) other: Domain,
}

impl Registered {
    /// The one that runs, or a new one.
    pub(crate) fn shared() -> Arc<Self> {
        static RUNNING: Mutex<Weak<Registered>> = Mutex::new(Weak::new());
        shared(&RUNNING, Self::new)
    }

    fn new() -> Self {
        let (world, other) = (World::new(), Domain::new("other.org"));
        world.set_bundle(&other.id(), &other.document());
        let federated = [
            "--hint",
            "internal",
            "--federates-with",
            "spiffe://other.org",
        ];
        world.mine("/w", &federated);
        world.mine("/w2", &[]);
        world.mine("/w3", &[]);
        world.mine("/duplicate", &["--hint", "internal"]);
        eventually("all entries are served", || {
            let message = super::block_on(async { first(world.client()).await }).ok()?;
            let whole = message.svids.len() == 3 && !message.federated_bundles.is_empty();
            whole.then_some(())
        });
        Self { world, other }
    }
}

/// A world in which nobody has an identity.
pub(crate) fn empty() -> Arc<World> {
    static RUNNING: Mutex<Weak<World>> = Mutex::new(Weak::new());
    shared(&RUNNING, World::new)
}

fn shared<T>(running: &Mutex<Weak<T>>, start: impl FnOnce() -> T) -> Arc<T> {
    let mut running = running.lock().unwrap_or_else(PoisonError::into_inner);
    running.upgrade().unwrap_or_else(|| {
        let world = Arc::new(start());
        *running = Arc::downgrade(&world);
        world
    })
}

/// The selector of this test's program.
pub(crate) fn me() -> String {
    selector_of(&std::env::current_exe().unwrap())
}

pub(crate) fn selector_of(program: &Path) -> String {
    format!("unix:path:{}", fs::canonicalize(program).unwrap().display())
}

/// The first message of a new stream of X509-SVIDs.
pub(crate) async fn first(mut client: Client) -> Result<X509SvidResponse, Status> {
    next(
        client
            .fetch_x509svid(grpc::workload(X509SvidRequest {}))
            .await,
    )
    .await
}

/// The first message of any stream.
pub(crate) async fn next<T>(answer: Result<Response<Streaming<T>>, Status>) -> Result<T, Status> {
    let message = answer?.into_inner().message().await?;
    message.ok_or_else(|| Status::new(Code::Unknown, "the stream ended"))
}

/// The code of a refusal, or OK.
pub(crate) fn code<T>(answer: &Result<T, Status>) -> Code {
    answer.as_ref().err().map_or(Code::Ok, Status::code)
}

pub(crate) fn ids(message: &X509SvidResponse) -> Vec<&str> {
    let svids = message.svids.iter();
    svids.map(|svid| svid.spiffe_id.as_str()).collect()
}
