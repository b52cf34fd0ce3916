//! One server, agent and proxy for all tests of tokens and bundles. Each test brings trust domains
//! of its own, with which the workload, which is this process, federates.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{
        OnceLock,
        atomic::{AtomicU32, Ordering},
    },
    time::Duration,
};

use base64::{Engine as _, prelude::BASE64_STANDARD};
use serde_json::Value;
use signet_proto::{
    spire::api::{
        server::bundle::v1::{AppendBundleRequest, bundle_client::BundleClient},
        types,
    },
    workload::{
        JwtBundlesRequest, JwtBundlesResponse, JwtSvid, JwtSvidRequest, ValidateJwtSvidRequest,
        ValidateJwtSvidResponse, X509BundlesRequest, X509BundlesResponse,
        spiffe_workload_api_client::SpiffeWorkloadApiClient,
    },
};
use signet_tests::testbed::{Agent, Bed, Proxy, Run, Server, eventually, grpc, my_user};
use tokio::{runtime::Runtime, time::timeout};
use tonic::{Code, Status, Streaming, transport::Channel};

use super::forge::{Key, document};
use crate::bundle::gate::{Gate, application};

/// What runs, and who is in it.
pub(crate) struct World {
    pub(crate) bed: &'static Bed,
    pub(crate) server: Server<'static>,
    pub(crate) agent: Agent<'static>,
    pub(crate) forge: Forge,
    /// A key that this process added to the own bundle of `example.org`.
    pub(crate) own: Key,
    pub(crate) gate: Gate,
    pub(crate) runtime: Runtime,
    _proxy: Proxy,
}

/// The keys of `forge.test`: one for each kind that JWT-SVIDs may be signed with, and two of
/// others.
pub(crate) struct Forge {
    pub(crate) p256: Key,
    pub(crate) p384: Key,
    pub(crate) p521: Key,
    pub(crate) rsa: Key,
    pub(crate) ed25519: Key,
    pub(crate) secp256k1: Key,
}

pub(crate) const FORGE: &str = "forge.test";

impl World {
    pub(crate) fn shared() -> &'static Self {
        static WORLD: OnceLock<World> = OnceLock::new();
        WORLD.get_or_init(Self::start)
    }

    fn start() -> Self {
        let bed = Bed::shared();
        let server = Server::start(bed);
        let agent = Agent::join(&server);
        server.entry(&agent.id, "spiffe://example.org/web", &my_user(), &[]);
        agent.serves("spiffe://example.org/web");
        let (gate, config) = Gate::config(&server, application());
        let proxy = Proxy::start(&server, &agent, "gate", &config);
        bed.ends_with_us(&[&server.process, &agent.process, &proxy.process]);
        let world = Self {
            bed,
            server,
            agent,
            forge: Forge::new(),
            own: Key::p256("own-of-the-test"),
            gate,
            runtime: Runtime::new().unwrap(),
            _proxy: proxy,
        };
        world.append(&world.own);
        world.federate(FORGE, &document(1, &world.forge.entries()));
        world
    }

    /// Adds a key to the own bundle, as a server beside this one does.
    fn append(&self, key: &Key) {
        let request = AppendBundleRequest {
            jwt_authorities: vec![types::JwtKey {
                public_key: key.spki(),
                key_id: key.kid.to_owned(),
                expires_at: 0,
                tainted: false,
            }],
            ..AppendBundleRequest::default()
        };
        let socket = self.server.socket.clone();
        self.runtime.block_on(async {
            let mut client = BundleClient::new(grpc::over_unix(socket));
            client.append_bundle(request).await.unwrap();
        });
        self.has("example.org", key.kid);
    }

    /// Stores the bundle of `domain` and makes it the workload's business.
    #[track_caller]
    pub(crate) fn federate(&self, domain: &str, document: &Value) {
        self.set(domain, &document.to_string()).ok();
        let id = format!("spiffe://example.org/with/{domain}");
        let flags = ["--federates-with", domain];
        self.server.entry(&self.agent.id, &id, &my_user(), &flags);
        self.caught_up(domain);
    }

    /// Stores another bundle of `domain`, and waits until the agent has it too.
    #[track_caller]
    pub(crate) fn replace(&self, domain: &str, document: &Value) -> Run {
        let run = self.set(domain, &document.to_string());
        assert_eq!(run.code, Some(0), "{run:?}");
        self.caught_up(domain);
        run
    }

    /// `signet server bundle set` with a document of any text.
    pub(crate) fn set(&self, domain: &str, text: &str) -> Run {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let path = self.bed.write(&format!("bundles/{number}.json"), text);
        let path = path.to_str().unwrap();
        let verb = ["bundle", "set", "--id", domain, "--path", path];
        self.server
            .run(&[&verb[..], &["--format", "spiffe"]].concat())
    }

    /// What the server says of the bundle of `domain`, as a document.
    #[track_caller]
    pub(crate) fn listed(&self, domain: &str) -> String {
        self.server
            .run(&["bundle", "list", "--id", domain, "--format", "spiffe"])
            .ok()
    }

    /// The own bundle as a document.
    #[track_caller]
    pub(crate) fn shown(&self) -> String {
        self.server
            .run(&["bundle", "show", "--format", "spiffe"])
            .ok()
    }

    /// Waits until the agent says of `domain` what the server says.
    #[track_caller]
    fn caught_up(&self, domain: &str) {
        let listed: Value = serde_json::from_str(&self.listed(domain)).unwrap();
        let keys = listed["keys"].as_array().unwrap();
        let names: BTreeSet<String> = keys.iter().filter_map(kid).collect();
        let mut roots = Vec::new();
        for key in keys {
            if let Some(der) = key["x5c"][0].as_str() {
                roots.extend(BASE64_STANDARD.decode(der).unwrap());
            }
        }
        let domain = format!("spiffe://{domain}");
        eventually(&format!("the agent has the bundle of {domain}"), || {
            let jwt = self.jwt_bundles().remove(&domain)?;
            let held: BTreeSet<String> = jwt["keys"].as_array()?.iter().filter_map(kid).collect();
            let certificates = self.x509_bundles().remove(&domain).unwrap_or_default();
            (held == names && certificates == roots).then_some(())
        });
    }

    /// Waits until the agent has a JWT authority.
    #[track_caller]
    fn has(&self, domain: &str, name: &str) {
        let domain = format!("spiffe://{domain}");
        eventually(&format!("the agent has {name} of {domain}"), || {
            let jwt = self.jwt_bundles().remove(&domain)?;
            let mut held = jwt["keys"].as_array()?.iter().filter_map(kid);
            held.any(|held| held == name).then_some(())
        });
    }

    /// The first message of `FetchJWTBundles`.
    pub(crate) fn jwt_bundles(&self) -> JwtBundles {
        self.runtime.block_on(async {
            let first = self.jwt_stream().await.message().await;
            jwt_bundles(first.unwrap().unwrap())
        })
    }

    /// The first message of `FetchX509Bundles`.
    pub(crate) fn x509_bundles(&self) -> X509Bundles {
        self.runtime.block_on(async {
            let first = self.x509_stream().await.message().await;
            x509_bundles(first.unwrap().unwrap())
        })
    }

    /// Watches both streams while `change` is made, until what they say last is `wanted`.
    #[track_caller]
    pub(crate) fn watch(
        &self,
        change: impl FnOnce(),
        wanted: impl Fn(&JwtBundles, &X509Bundles) -> bool,
    ) {
        let runtime = &self.runtime;
        let (mut jwt, mut x509) =
            runtime.block_on(async { (self.jwt_stream().await, self.x509_stream().await) });
        let mut jwt_said = runtime
            .block_on(jwt.message())
            .unwrap()
            .map(jwt_bundles)
            .unwrap();
        let mut x509_said = runtime
            .block_on(x509.message())
            .unwrap()
            .map(x509_bundles)
            .unwrap();
        change();
        let told = async {
            while !wanted(&jwt_said, &x509_said) {
                tokio::select! {
                    said = jwt.message() => jwt_said = said.unwrap().map(jwt_bundles).unwrap(),
                    said = x509.message() => x509_said = said.unwrap().map(x509_bundles).unwrap(),
                }
            }
        };
        let told = runtime.block_on(async { timeout(PATIENCE, told).await });
        assert!(told.is_ok(), "who watches is not told");
    }

    async fn jwt_stream(&self) -> Streaming<JwtBundlesResponse> {
        let request = grpc::workload(JwtBundlesRequest {});
        let stream = self.client().fetch_jwt_bundles(request).await;
        stream.unwrap().into_inner()
    }

    async fn x509_stream(&self) -> Streaming<X509BundlesResponse> {
        let request = grpc::workload(X509BundlesRequest {});
        let stream = self.client().fetch_x509_bundles(request).await;
        stream.unwrap().into_inner()
    }

    /// `FetchJWTSVID` for one identity.
    pub(crate) fn fetch(&self, id: &str, audience: &[&str]) -> Result<JwtSvid, Status> {
        let request = JwtSvidRequest {
            audience: audience.iter().map(ToString::to_string).collect(),
            spiffe_id: id.to_owned(),
        };
        let answer = self
            .runtime
            .block_on(async { self.client().fetch_jwtsvid(grpc::workload(request)).await })?;
        let [svid] = <[JwtSvid; 1]>::try_from(answer.into_inner().svids).unwrap();
        Ok(svid)
    }

    /// `ValidateJWTSVID`.
    pub(crate) fn validate(
        &self,
        audience: &str,
        token: &str,
    ) -> Result<ValidateJwtSvidResponse, Status> {
        let request = ValidateJwtSvidRequest {
            audience: audience.to_owned(),
            svid: token.to_owned(),
        };
        let answer = self.runtime.block_on(async {
            self.client()
                .validate_jwtsvid(grpc::workload(request))
                .await
        });
        answer.map(tonic::Response::into_inner)
    }

    /// A token that `ValidateJWTSVID` accepts for `aud`.
    #[track_caller]
    pub(crate) fn accepts(&self, token: &str) -> ValidateJwtSvidResponse {
        match self.validate("aud", token) {
            Ok(valid) => valid,
            Err(refused) => panic!("refused: {}\n{token:.2000}", refused.message()),
        }
    }

    /// A token that it refuses, for the reason that is to be tested and no other.
    #[track_caller]
    pub(crate) fn refuses(&self, token: &str, because: &str) {
        match self.validate("aud", token) {
            Ok(_) => panic!("accepted, wanted: {because}\n{token:.2000}"),
            Err(refused) => {
                assert_eq!(refused.code(), Code::InvalidArgument, "{refused}");
                let message = refused.message();
                assert!(message.contains(because), "{message}\n{token:.2000}");
            }
        }
    }

    fn client(&self) -> SpiffeWorkloadApiClient<Channel> {
        grpc::workload_api(self.agent.socket.clone())
    }
}

impl Forge {
    fn new() -> Self {
        Self {
            p256: Key::p256("p256"),
            p384: Key::p384("p384"),
            p521: Key::p521("p521"),
            rsa: Key::rsa("rsa"),
            ed25519: Key::ed25519("ed25519"),
            secp256k1: Key::secp256k1("secp256k1"),
        }
    }

    fn entries(&self) -> Vec<Value> {
        let keys = [
            &self.p256,
            &self.p384,
            &self.p521,
            &self.rsa,
            &self.ed25519,
            &self.secp256k1,
        ];
        keys.iter().map(|key| key.jwk("jwt-svid")).collect()
    }
}

fn kid(key: &Value) -> Option<String> {
    key["kid"].as_str().map(str::to_owned)
}

fn jwt_bundles(message: JwtBundlesResponse) -> JwtBundles {
    let bundles = message.bundles.into_iter();
    bundles
        .map(|(domain, jwks)| (domain, serde_json::from_slice(&jwks).unwrap()))
        .collect()
}

fn x509_bundles(message: X509BundlesResponse) -> X509Bundles {
    let bundles = message.bundles.into_iter();
    bundles
        .map(|(domain, der)| (domain, der.to_vec()))
        .collect()
}

/// JWK sets by trust domain ID.
pub(crate) type JwtBundles = BTreeMap<String, Value>;

/// Concatenated certificates by trust domain ID.
pub(crate) type X509Bundles = BTreeMap<String, Vec<u8>>;

const PATIENCE: Duration = Duration::from_secs(20);
