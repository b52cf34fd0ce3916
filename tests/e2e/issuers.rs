//! Requests with tokens of an issuer outside of the mesh, as OpenID Connect has them: the proxy
//! fetches the issuer's keys over HTTPS, and follows them.

use std::{
    net::{Ipv4Addr, TcpListener},
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    thread,
    time::{SystemTime, UNIX_EPOCH},
};

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use rcgen::{
    BasicConstraints, CertificateParams, IsCa, Issuer as Signer, KeyPair, KeyUsagePurpose,
};
use rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use serde_json::{Value, json};
use signet_identity::{
    bundle::{Bundle, JwtAuthority},
    crypto,
    key::{KeyType, PrivateKey},
};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
};
use tokio_rustls::TlsAcceptor;

use crate::{
    policy::Mesh,
    testbed::{Bed, eventually},
};

const ISSUER: &str = "https://accounts.example";

/// An issuer that publishes its keys on a port of this host.
struct Issuer {
    port: u16,
    key: Mutex<Arc<Key>>,
    /// Who signed its certificate.
    authority: String,
    published: Arc<Published>,
}

/// What whoever asks gets.
struct Published {
    keys: Mutex<String>,
    is_away: AtomicBool,
    asked: AtomicUsize,
}

impl Published {
    async fn answer(&self, acceptor: &TlsAcceptor, stream: TcpStream) {
        if self.is_away.load(Ordering::SeqCst) {
            return;
        }
        let Ok(mut stream) = acceptor.accept(stream).await else {
            return;
        };
        self.asked.fetch_add(1, Ordering::SeqCst);
        let _ = stream.read(&mut [0; 4096]).await;
        let keys = self.keys.lock().unwrap().clone();
        let length = keys.len();
        let answer = format!(
            "HTTP/1.1 200 OK\r\ncontent-length: {length}\r\nconnection: close\r\n\r\n{keys}"
        );
        let _ = stream.write_all(answer.as_bytes()).await;
        let _ = stream.shutdown().await;
    }
}

struct Key {
    id: String,
    key: PrivateKey,
}

impl Key {
    fn new(id: &str, kind: KeyType) -> Arc<Self> {
        let key = PrivateKey::generate(kind).unwrap();
        let id = id.to_owned();
        Arc::new(Self { id, key })
    }

    fn published(&self) -> String {
        let mut bundle = Bundle::empty("example.org".parse().unwrap());
        bundle.jwt_authorities.push(JwtAuthority {
            key_id: self.id.clone(),
            spki_der: self.key.spki_der().to_vec(),
            expires_at: None,
            tainted: false,
        });
        bundle.to_jwks()
    }
}

impl Issuer {
    fn start() -> Self {
        let key = Key::new("first", KeyType::EcP256);
        let authority_key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign];
        let authority = params.self_signed(&authority_key).unwrap().pem();
        let signer = Signer::new(params, authority_key);
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        listener.set_nonblocking(true).unwrap();
        let issuer = Self {
            port: listener.local_addr().unwrap().port(),
            published: Arc::new(Published {
                keys: Mutex::new(key.published()),
                is_away: AtomicBool::new(false),
                asked: AtomicUsize::new(0),
            }),
            key: Mutex::new(key),
            authority,
        };
        issuer.serve(listener, acceptor(&signer));
        issuer
    }

    fn serve(&self, listener: TcpListener, acceptor: TlsAcceptor) {
        let published = Arc::clone(&self.published);
        thread::spawn(move || {
            let mut runtime = tokio::runtime::Builder::new_current_thread();
            let runtime = runtime.enable_all().build().unwrap();
            runtime.block_on(async {
                let listener = tokio::net::TcpListener::from_std(listener).unwrap();
                while let Ok((stream, _)) = listener.accept().await {
                    published.answer(&acceptor, stream).await;
                }
            });
        });
    }

    /// Signs with another key from now on, which alone is published.
    fn rotate(&self, kind: KeyType) -> Arc<Key> {
        let next = Key::new("second", kind);
        *self.published.keys.lock().unwrap() = next.published();
        std::mem::replace(&mut *self.key.lock().unwrap(), next)
    }

    /// The header with a token of these claims and the usual ones.
    fn bearer(&self, more: &Value) -> String {
        let key = Arc::clone(&self.key.lock().unwrap());
        let head = json!({ "alg": key.key.jws_algorithm(), "kid": key.id });
        bearer(&key.key, &head, more)
    }
}

fn bearer(key: &PrivateKey, head: &Value, more: &Value) -> String {
    format!("authorization: Bearer {}\r\n", token(key, head, more))
}

fn token(key: &PrivateKey, head: &Value, more: &Value) -> String {
    let mut claims = json!({
        "iss": ISSUER, "sub": "alice", "aud": "shop", "exp": now() + 3600,
        "realm": { "roles": ["reader"] },
    });
    let all = claims.as_object_mut().unwrap();
    all.extend(more.as_object().unwrap().clone());
    let encode = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
    let signed = format!("{}.{}", encode(head), encode(&claims));
    let signature = key.sign_jws(signed.as_bytes()).unwrap();
    format!("{signed}.{}", URL_SAFE_NO_PAD.encode(signature))
}

fn now() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    since.unwrap().as_secs()
}

fn acceptor(signer: &Signer<'_, KeyPair>) -> TlsAcceptor {
    let key = KeyPair::generate().unwrap();
    let params = CertificateParams::new(vec!["localhost".to_owned()]).unwrap();
    let certificate = params.signed_by(&key, signer).unwrap();
    let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key.serialize_der()));
    let config = rustls::ServerConfig::builder_with_provider(crypto::provider())
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![certificate.der().clone()], key)
        .unwrap();
    TlsAcceptor::from(Arc::new(config))
}

/// A mesh whose shop takes tokens of the issuer, and in which only users of it may read.
fn mesh<'a>(bed: &'a Bed, issuer: &Issuer) -> Mesh<'a> {
    let text = format!(
        "apiVersion: security.istio.io/v1
kind: RequestAuthentication
metadata: {{ name: users }}
spec:
  jwtRules:
  - issuer: {ISSUER}
    audiences: [shop]
    jwksUri: https://localhost:{}/keys
    outputClaimToHeaders: [{{ header: x-user, claim: sub }}]
---
apiVersion: security.istio.io/v1
kind: AuthorizationPolicy
metadata: {{ name: users }}
spec:
  rules:
  - to: [{{ operation: {{ paths: [/open] }} }}]
  - from: [{{ source: {{ requestPrincipals: ['{ISSUER}/alice'] }} }}]
    when: [{{ key: 'request.auth.claims[realm][roles]', values: [reader] }}]
",
        issuer.port
    );
    let trusted = bed.write("issuer.pem", &issuer.authority);
    let environment = [("SSL_CERT_FILE", trusted.to_str().unwrap())];
    Mesh::start_in(bed, "HTTP", &text, "", &environment)
}

fn is_let_in(mesh: &Mesh<'_>, what: &str, bearer: &str) {
    eventually(what, || {
        (mesh.ask("GET", "/", bearer).0 == 200).then_some(())
    });
}

#[test]
fn a_request_is_judged_by_the_token_of_an_issuer_and_a_bad_one_is_worse_than_none() {
    let (bed, issuer) = (Bed::new(), Issuer::start());
    let mesh = mesh(&bed, &issuer);
    let good = issuer.bearer(&json!({}));
    is_let_in(&mesh, "the keys are fetched", &good);
    let (status, text) = mesh.ask("GET", "/", &format!("x-user: mallory\r\n{good}"));
    assert_eq!(status, 200, "{text}");
    assert!(text.contains("x-user: alice"), "{text}");
    assert!(
        !text.contains("authorization:") && !text.contains("mallory"),
        "{text}"
    );

    // Nobody, and somebody else.
    assert_eq!(mesh.ask("GET", "/", "").0, 403);
    assert_eq!(mesh.ask("GET", "/open", "").0, 200);
    assert_eq!(
        mesh.ask("GET", "/", &issuer.bearer(&json!({"sub": "bob"})))
            .0,
        403
    );
    let writer = json!({"realm": {"roles": ["writer"]}});
    assert_eq!(mesh.ask("GET", "/", &issuer.bearer(&writer)).0, 403);

    let stranger = PrivateKey::generate(KeyType::EcP256).unwrap();
    let forged = |alg: &str| bearer(&stranger, &json!({"alg": alg, "kid": "first"}), &json!({}));
    for (bearer, why) in [
        (
            issuer.bearer(&json!({"exp": now() - 3600})),
            "the token has expired",
        ),
        (
            issuer.bearer(&json!({"aud": "bank"})),
            "is for [\"bank\"], and shop is expected",
        ),
        (
            issuer.bearer(&json!({"iss": "https://b.example"})),
            "Jwt issuer is not configured",
        ),
        (forged("ES256"), "the token's signature does not match"),
        (
            forged("none"),
            "the token's algorithm \"none\" is not allowed",
        ),
        (
            forged("HS256"),
            "the token's algorithm \"HS256\" is not allowed",
        ),
        (forged("RS256"), "the token's signature does not match"),
        (
            "authorization: Bearer abc\r\n".to_owned(),
            "not a compact JWS",
        ),
    ] {
        let (status, answer) = mesh.ask("GET", "/open", &bearer);
        assert_eq!(status, 401, "{answer}");
        assert!(answer.contains(why), "{why}: {answer}");
        let challenge = "www-authenticate: Bearer error=\"invalid_token\"";
        assert!(answer.contains(challenge), "{answer}");
    }
    mesh.shop.process.says("the token has expired");
    let log = mesh.shop.process.log();
    let (_, secret) = good.trim().rsplit_once('.').unwrap();
    assert!(!log.contains(secret), "a token is in the log");
}

#[test]
fn grpc_is_told_that_it_is_unauthenticated() {
    let (bed, issuer) = (Bed::new(), Issuer::start());
    let mesh = mesh(&bed, &issuer);
    let bad = "content-type: application/grpc\r\nauthorization: Bearer abc\r\n";
    let (status, answer) = mesh.ask("POST", "/open", bad);
    assert_eq!(status, 200, "{answer}");
    assert!(answer.contains("grpc-status: 16"), "{answer}");
}

#[test]
fn keys_that_rotate_are_found_and_what_the_old_one_signs_is_not_good_any_more() {
    let (bed, issuer) = (Bed::new(), Issuer::start());
    let mesh = mesh(&bed, &issuer);
    let first = issuer.bearer(&json!({}));
    is_let_in(&mesh, "the keys are fetched", &first);
    issuer.rotate(KeyType::Rsa2048);
    let second = issuer.bearer(&json!({}));
    is_let_in(&mesh, "the new key is found", &second);
    let (status, answer) = mesh.ask("GET", "/", &first);
    assert_eq!(status, 401, "{answer}");
    assert!(answer.contains("has no key \"first\""), "{answer}");
    // Names that are made up do not have the issuer asked each time.
    let asked = issuer.published.asked.load(Ordering::SeqCst);
    for _ in 0..20 {
        assert_eq!(mesh.ask("GET", "/", &first).0, 401);
    }
    let more = issuer.published.asked.load(Ordering::SeqCst) - asked;
    assert!(more <= 2, "asked {more} times more");
}

#[test]
fn without_keys_tokens_are_refused_and_an_issuer_that_goes_away_withdraws_none() {
    let (bed, issuer) = (Bed::new(), Issuer::start());
    issuer.published.is_away.store(true, Ordering::SeqCst);
    let mesh = mesh(&bed, &issuer);
    let good = issuer.bearer(&json!({}));
    let (status, answer) = mesh.ask("GET", "/open", &good);
    assert_eq!(status, 401, "{answer}");
    assert!(
        answer.contains("no keys of its issuer are known yet"),
        "{answer}"
    );
    mesh.shop
        .process
        .says("its tokens are refused until there are");
    issuer.published.is_away.store(false, Ordering::SeqCst);
    is_let_in(&mesh, "the issuer is back", &good);
    issuer.published.is_away.store(true, Ordering::SeqCst);
    // A key that is not known has the issuer asked, which does not answer.
    let old = issuer.rotate(KeyType::EcP256);
    assert_eq!(mesh.ask("GET", "/", &issuer.bearer(&json!({}))).0, 401);
    mesh.shop.process.says("those that are held stay");
    let head = json!({ "alg": "ES256", "kid": "first" });
    let held = bearer(&old.key, &head, &json!({}));
    assert_eq!(mesh.ask("GET", "/", &held).0, 200);
}

#[test]
fn an_issuer_whom_the_system_does_not_trust_is_not_believed() {
    let (bed, issuer, other) = (Bed::new(), Issuer::start(), Issuer::start());
    let stranger = Issuer {
        authority: other.authority,
        ..issuer
    };
    let mesh = mesh(&bed, &stranger);
    mesh.shop
        .process
        .says("its tokens are refused until there are");
    let good = stranger.bearer(&json!({}));
    assert_eq!(mesh.ask("GET", "/", &good).0, 401);
    assert_eq!(stranger.published.asked.load(Ordering::SeqCst), 0);
}
