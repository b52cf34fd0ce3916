//! A server in this process, and those who call it.

use super::*;

/// A running server in a directory of its own.
pub(super) struct Running {
    pub(super) folder: TempDir,
    pub(super) address: SocketAddr,
    pub(super) reloader: Reloader<Config>,
    shutdown: CancellationToken,
    task: JoinSet<anyhow::Result<()>>,
}

pub(super) fn flags(folder: &TempDir, address: SocketAddr) -> RunFlags {
    let at = |name: &str| folder.path().join(name);
    // What a test wants beside the least.
    let more = |name: &str| std::fs::read_to_string(at(name)).unwrap_or_default();
    let text = format!(
        "server {{\ntrust_domain = \"example.org\"\ndata_dir = \"{}\"\n{}\n}}\n{}",
        at("data").display(),
        more("settings.conf"),
        more("plugins.conf")
    );
    let config = at("server.conf");
    std::fs::write(&config, text).unwrap();
    RunFlags {
        config,
        expand_env: false,
        bind_address: Some(address.ip()),
        server_port: Some(address.port()),
        data_dir: None,
        socket_path: Some(at("api.sock")),
        trust_domain: None,
        log_file: None,
        log_format: None,
        log_level: None,
        log_source_location: false,
    }
}

fn free_address() -> SocketAddr {
    let probe = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    probe.local_addr().unwrap()
}

impl Running {
    pub(super) async fn start() -> Self {
        Self::start_in(TempDir::new().unwrap()).await
    }

    pub(super) async fn start_in(folder: TempDir) -> Self {
        let address = free_address();
        let flags = flags(&folder, address);
        let config = Config::load(&flags).unwrap();
        let (reloader, config) = Reloader::new(config, move || Config::load(&flags));
        let shutdown = CancellationToken::new();
        let mut task = JoinSet::new();
        task.spawn(run(config, shutdown.clone()));
        let mut server = Self {
            folder,
            address,
            reloader,
            shutdown,
            task,
        };
        let bundle = timeout(Duration::from_secs(20), server.first_bundle()).await;
        bundle.expect("the server does not come up");
        server
    }

    async fn first_bundle(&mut self) {
        let mut tries = tokio::time::interval(Duration::from_millis(20));
        loop {
            tokio::select! {
                _ = tries.tick() => {}
                Some(ended) = self.task.join_next() => panic!("{ended:?}"),
            }
            let mut client = BundleClient::new(self.local());
            if client.get_bundle(GetBundleRequest::default()).await.is_ok() {
                return;
            }
        }
    }

    /// The local admin socket.
    pub(super) fn local(&self) -> Channel {
        let path = self.folder.path().join("api.sock");
        let connect = move |_: Uri| {
            let path: PathBuf = path.clone();
            async move { UnixStream::connect(path).await.map(TokioIo::new) }
        };
        Endpoint::from_static("http://local").connect_with_connector_lazy(service_fn(connect))
    }

    /// The TLS listener, as somebody or as nobody.
    pub(super) async fn remote(&self, identity: Option<Identity>) -> Channel {
        self.remote_again(identity.map(Arc::new)).await
    }

    /// One more connection of somebody.
    pub(super) async fn remote_again(&self, identity: Option<Arc<Identity>>) -> Channel {
        let mut client = BundleClient::new(self.local());
        let bundle = client
            .get_bundle(GetBundleRequest::default())
            .await
            .unwrap()
            .into_inner();
        let bundle = Bundle::from_proto(&bundle).unwrap();
        let (_, trust) = watch::channel(Arc::new(Trust::new([&bundle])));
        let identity = identity.map(|identity| watch::channel(Some(identity)).1);
        let server = SpiffeId::new("spiffe://example.org/spire/server").unwrap();
        let expect = Expect::Exactly(vec![server]);
        let config = tls::client_config(identity, trust, expect, &[b"h2"]).unwrap();
        let (connector, address) = (TlsConnector::from(config), self.address);
        let connect = move |_: Uri| {
            let connector = connector.clone();
            async move {
                let tcp = TcpStream::connect(address).await?;
                let name = ServerName::try_from("server").unwrap();
                connector.connect(name, tcp).await.map(TokioIo::new)
            }
        };
        Endpoint::from_static("http://remote").connect_with_connector_lazy(service_fn(connect))
    }

    pub(super) async fn token(&self) -> String {
        let request = CreateJoinTokenRequest {
            ttl: 600,
            ..Default::default()
        };
        let token = AgentClient::new(self.local())
            .create_join_token(request)
            .await;
        token.unwrap().into_inner().value
    }

    pub(super) async fn attest(&self, token: &str) -> Result<Agent, Status> {
        let key = PrivateKey::generate(KeyType::EcP256).unwrap();
        let csr = csr::build(&key, Subject::spire(), None, &[]).unwrap();
        let svid = attest_with(self.remote(None).await, token, csr).await?;
        Ok(Agent::new(svid, &key))
    }

    pub(super) async fn stop(mut self) -> TempDir {
        self.shutdown.cancel();
        let ended = timeout(Duration::from_secs(20), self.task.join_next())
            .await
            .unwrap();
        ended.unwrap().unwrap().unwrap();
        self.folder
    }
}

pub(super) struct Agent {
    pub(super) id: types::Spiffeid,
    pub(super) identity: Identity,
}

impl Agent {
    pub(super) fn new(svid: types::X509svid, key: &PrivateKey) -> Self {
        let chain = svid
            .cert_chain
            .into_iter()
            .map(CertificateDer::from)
            .collect();
        Self {
            id: svid.id.unwrap(),
            identity: Identity::new(chain, key).unwrap(),
        }
    }
}

pub(super) async fn attest_with(
    channel: Channel,
    token: &str,
    csr: Vec<u8>,
) -> Result<types::X509svid, Status> {
    let params = attest_agent_request::Step::Params(attest_agent_request::Params {
        data: Some(types::AttestationData {
            r#type: "join_token".to_owned(),
            payload: token.as_bytes().to_vec(),
        }),
        params: Some(AgentX509svidParams { csr }),
    });
    let requests = tokio_stream::iter([AttestAgentRequest { step: Some(params) }]);
    let answers = AgentClient::new(channel).attest_agent(requests).await?;
    let answer = answers.into_inner().message().await?.unwrap();
    match answer.step.unwrap() {
        attest_agent_response::Step::Result(result) => Ok(result.svid.unwrap()),
        attest_agent_response::Step::Challenge(_) => panic!("a token needs no challenge"),
    }
}

pub(super) fn reason(status: &Status) -> Option<Reason> {
    assert_eq!(status.code(), Code::PermissionDenied, "{status:?}");
    let details = rpc::Status::decode(status.details()).unwrap().details;
    let detail = details.first()?;
    Some(
        PermissionDeniedDetails::decode(&detail.value[..])
            .unwrap()
            .reason(),
    )
}

pub(super) fn version(text: &str) -> PostStatusRequest {
    PostStatusRequest {
        current_bundle_serial: 0,
        agent_version: text.to_owned(),
    }
}

impl Running {
    /// An entry for `/web` on this agent; its id.
    pub(super) async fn entry_on(&self, agent: &types::Spiffeid) -> String {
        let entry = types::Entry {
            parent_id: Some(agent.clone()),
            spiffe_id: Some(types::Spiffeid {
                trust_domain: "example.org".to_owned(),
                path: "/web".to_owned(),
            }),
            selectors: vec![types::Selector {
                r#type: "unix".to_owned(),
                value: "uid:1000".to_owned(),
            }],
            ..Default::default()
        };
        let request = BatchCreateEntryRequest {
            entries: vec![entry],
            output_mask: None,
        };
        let created = EntryClient::new(self.local())
            .batch_create_entry(request)
            .await
            .unwrap();
        created.into_inner().results[0]
            .entry
            .as_ref()
            .unwrap()
            .id
            .clone()
    }
}
