//! A Workload API that says what a test wants it to say, and remembers how it was asked.
//!
//! One tape for the stream of X509-SVIDs: each open stream takes the next act from it, and a
//! stream that has found its end leaves the rest to the one that comes after it.

use std::{
    fs,
    path::PathBuf,
    sync::{Arc, Mutex},
    time::Instant,
};

use signet_proto::{
    WitBundlesRequest, WitBundlesResponse, WitsvidRequest, WitsvidResponse,
    workload::{
        JwtBundlesRequest, JwtBundlesResponse, JwtSvidRequest, JwtSvidResponse,
        ValidateJwtSvidRequest, ValidateJwtSvidResponse, X509BundlesRequest, X509BundlesResponse,
        X509Svid, X509SvidRequest, X509SvidResponse,
        spiffe_workload_api_server::{SpiffeWorkloadApi, SpiffeWorkloadApiServer},
    },
};
use signet_tests::testbed::{Bed, eventually, within};
use tokio::{
    net::{TcpListener, UnixListener},
    runtime::Runtime,
    sync::{Mutex as AsyncMutex, mpsc},
};
use tokio_stream::wrappers::{ReceiverStream, TcpListenerStream, UnixListenerStream};
use tonic::{Code, Request, Response, Status, codegen::http, transport::Server};
use tower::util::MapRequestLayer;

/// One act on the tape.
#[derive(Clone, Debug)]
pub(crate) enum Act {
    Send(X509SvidResponse),
    Fail(Code),
    /// The stream ends as if all had been said.
    End,
}

/// How a call looked.
#[derive(Clone, Debug)]
pub(crate) struct Call {
    pub(crate) path: String,
    /// The values of the header of the Workload Endpoint.
    pub(crate) header: Vec<String>,
    pub(crate) at: Instant,
}

/// What the unary calls answer.
#[derive(Clone, Default)]
pub(crate) struct Jwt {
    pub(crate) svids: JwtSvidResponse,
    pub(crate) bundles: JwtBundlesResponse,
    pub(crate) valid: ValidateJwtSvidResponse,
    pub(crate) fail: Option<Code>,
}

#[derive(Clone)]
struct Script {
    tape: Arc<AsyncMutex<mpsc::UnboundedReceiver<Act>>>,
    calls: Arc<Mutex<Vec<Call>>>,
    jwt: Arc<Mutex<Jwt>>,
    standing: Arc<Mutex<Option<Act>>>,
}

/// The server, on a Unix socket; it ends when it is dropped.
pub(crate) struct Hostile {
    pub(crate) socket: PathBuf,
    runtime: Option<Runtime>,
    script: Script,
    acts: mpsc::UnboundedSender<Act>,
}

impl Hostile {
    pub(crate) fn start(bed: &Bed) -> Self {
        let mut hostile = Self::absent(bed);
        hostile.appear();
        hostile
    }

    /// One that does not listen yet.
    pub(crate) fn absent(bed: &Bed) -> Self {
        let (acts, tape) = mpsc::unbounded_channel();
        let script = Script {
            tape: Arc::new(AsyncMutex::new(tape)),
            calls: Arc::default(),
            jwt: Arc::default(),
            standing: Arc::default(),
        };
        Self {
            socket: bed.path("hostile.sock"),
            runtime: None,
            script,
            acts,
        }
    }

    /// Starts to listen.
    pub(crate) fn appear(&mut self) {
        let runtime = runtime();
        let listener = {
            let _inside = runtime.enter();
            UnixListener::bind(&self.socket).unwrap()
        };
        runtime.spawn(serve(
            self.script.clone(),
            UnixListenerStream::new(listener),
        ));
        self.runtime = Some(runtime);
    }

    /// Cuts every connection and is gone.
    pub(crate) fn vanish(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
        drop(fs::remove_file(&self.socket));
    }

    /// The same script on a TCP port as well; returns its address.
    pub(crate) fn on_tcp(&self, address: &str) -> String {
        let runtime = self.runtime.as_ref().unwrap();
        let listener = runtime.block_on(TcpListener::bind(address)).unwrap();
        let address = listener.local_addr().unwrap();
        runtime.spawn(serve(self.script.clone(), TcpListenerStream::new(listener)));
        format!("tcp://{address}")
    }

    pub(crate) fn endpoint(&self) -> String {
        format!("unix://{}", self.socket.display())
    }

    /// What comes next on the tape.
    pub(crate) fn act(&self, act: Act) {
        self.acts.send(act).unwrap();
    }

    pub(crate) fn send(&self, svids: &[X509Svid]) {
        self.act(Act::Send(message(svids)));
    }

    /// Every stream from now on starts with this, whatever is on the tape.
    pub(crate) fn always(&self, act: Act) {
        *self.script.standing.lock().unwrap() = Some(act);
    }

    pub(crate) fn set_jwt(&self, jwt: Jwt) {
        *self.script.jwt.lock().unwrap() = jwt;
    }

    pub(crate) fn calls(&self) -> Vec<Call> {
        self.script.calls.lock().unwrap().clone()
    }

    /// Waits until there were `count` calls.
    #[track_caller]
    pub(crate) fn was_called(&self, count: usize) -> Vec<Call> {
        eventually(&format!("{count} calls"), || {
            let calls = self.calls();
            (calls.len() >= count).then_some(calls)
        })
    }

    /// Sees to it that no call follows for a while.
    #[track_caller]
    pub(crate) fn is_left_alone(&self, calls: usize, how_long: std::time::Duration) {
        let started = Instant::now();
        within(how_long * 10, "the time to pass", || {
            assert_eq!(self.calls().len(), calls, "{:#?}", self.calls());
            (started.elapsed() >= how_long).then_some(())
        });
    }
}

impl Drop for Hostile {
    fn drop(&mut self) {
        self.vanish();
    }
}

/// A message with these SVIDs and nothing else.
pub(crate) fn message(svids: &[X509Svid]) -> X509SvidResponse {
    X509SvidResponse {
        svids: svids.to_vec(),
        ..X509SvidResponse::default()
    }
}

fn runtime() -> Runtime {
    let mut builder = tokio::runtime::Builder::new_multi_thread();
    builder.worker_threads(1).enable_all().build().unwrap()
}

async fn serve<S, E>(script: Script, incoming: S)
where
    S: tokio_stream::Stream<Item = Result<E, std::io::Error>> + Send + 'static,
    E: tokio::io::AsyncRead
        + tokio::io::AsyncWrite
        + tonic::transport::server::Connected
        + Unpin
        + Send
        + 'static,
{
    let calls = Arc::clone(&script.calls);
    let record = MapRequestLayer::new(move |request: http::Request<tonic::body::Body>| {
        let values = request.headers().get_all("workload.spiffe.io").iter();
        calls.lock().unwrap().push(Call {
            path: request.uri().path().to_owned(),
            header: values
                .map(|value| String::from_utf8_lossy(value.as_bytes()).into_owned())
                .collect(),
            at: Instant::now(),
        });
        request
    });
    let (_reporter, health) = tonic_health::server::health_reporter();
    drop(
        Server::builder()
            .layer(record)
            .add_service(health)
            .add_service(SpiffeWorkloadApiServer::new(script))
            .serve_with_incoming(incoming)
            .await,
    );
}

impl Script {
    async fn next(&self) -> Act {
        let act = self.tape.lock().await.recv().await;
        act.expect("the tape outlives the server")
    }

    fn jwt(&self) -> Result<Jwt, Status> {
        let jwt = self.jwt.lock().unwrap().clone();
        match jwt.fail {
            Some(code) => Err(refusal(code)),
            None => Ok(jwt),
        }
    }
}

fn refusal(code: Code) -> Status {
    Status::new(code, "as the test wants")
}

#[tonic::async_trait]
impl SpiffeWorkloadApi for Script {
    type FetchX509SVIDStream = ReceiverStream<Result<X509SvidResponse, Status>>;
    type FetchX509BundlesStream = ReceiverStream<Result<X509BundlesResponse, Status>>;
    type FetchJWTBundlesStream = ReceiverStream<Result<JwtBundlesResponse, Status>>;
    type FetchWITSVIDStream = ReceiverStream<Result<WitsvidResponse, Status>>;
    type FetchWITBundlesStream = ReceiverStream<Result<WitBundlesResponse, Status>>;

    async fn fetch_x509svid(
        &self,
        _request: Request<X509SvidRequest>,
    ) -> Result<Response<Self::FetchX509SVIDStream>, Status> {
        let standing = self.standing.lock().unwrap().clone();
        let mut act = match standing {
            Some(act) => act,
            None => self.next().await,
        };
        if let Act::Fail(code) = act {
            return Err(refusal(code));
        }
        let (messages, stream) = mpsc::channel(8);
        let script = self.clone();
        tokio::spawn(async move {
            loop {
                let (message, goes_on) = match act {
                    Act::Send(message) => (Ok(message), true),
                    Act::Fail(code) => (Err(refusal(code)), false),
                    Act::End => return,
                };
                if messages.send(message).await.is_err() || !goes_on {
                    return;
                }
                act = tokio::select! {
                    act = script.next() => act,
                    () = messages.closed() => return,
                };
            }
        });
        Ok(Response::new(ReceiverStream::new(stream)))
    }

    async fn fetch_x509_bundles(
        &self,
        _request: Request<X509BundlesRequest>,
    ) -> Result<Response<Self::FetchX509BundlesStream>, Status> {
        Err(refusal(Code::PermissionDenied))
    }

    async fn fetch_jwtsvid(
        &self,
        _request: Request<JwtSvidRequest>,
    ) -> Result<Response<JwtSvidResponse>, Status> {
        Ok(Response::new(self.jwt()?.svids))
    }

    async fn fetch_jwt_bundles(
        &self,
        _request: Request<JwtBundlesRequest>,
    ) -> Result<Response<Self::FetchJWTBundlesStream>, Status> {
        let (messages, stream) = mpsc::channel(1);
        drop(messages.send(Ok(self.jwt()?.bundles)).await);
        Ok(Response::new(ReceiverStream::new(stream)))
    }

    async fn validate_jwtsvid(
        &self,
        _request: Request<ValidateJwtSvidRequest>,
    ) -> Result<Response<ValidateJwtSvidResponse>, Status> {
        Ok(Response::new(self.jwt()?.valid))
    }

    async fn fetch_witsvid(
        &self,
        _request: Request<WitsvidRequest>,
    ) -> Result<Response<Self::FetchWITSVIDStream>, Status> {
        Err(refusal(Code::Unimplemented))
    }

    async fn fetch_wit_bundles(
        &self,
        _request: Request<WitBundlesRequest>,
    ) -> Result<Response<Self::FetchWITBundlesStream>, Status> {
        Err(refusal(Code::Unimplemented))
    }
}
