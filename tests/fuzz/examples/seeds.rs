//! Makes the world that the validators trust, throws its keys away, and writes the inputs that
//! the fuzzer starts from. Run it only to make the world anew: it replaces `world/` and the
//! `seed-*` files of `corpus/`.
#![allow(
    clippy::expect_used,
    clippy::unwrap_used,
    reason = "an example that makes test material"
)]

use std::{fs, path::PathBuf, time::SystemTime};

use prost::Message as _;
use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa,
    Issuer, KeyUsagePurpose, SanType, date_time_ymd,
};
use signet_identity::{
    TrustDomain,
    bundle::{Bundle, JwtAuthority, X509Authority},
    csr, jwt,
    key::{KeyType, PrivateKey},
    unix,
};
use signet_proto::{
    spire::api::types,
    workload::{X509Svid, X509SvidResponse},
};

fn main() {
    let world = World::new();
    write("world/bundle.json", world.bundle.to_document().as_bytes());
    write("world/leaf.der", &world.leaf);
    write("world/token.jwt", world.token.as_bytes());
    seed("bundle", "document", world.bundle.to_document().as_bytes());
    seed("bundle", "revoked", br#"{"spiffe_sequence":8,"keys":[]}"#);
    seed("jwt", "valid", world.token.as_bytes());
    seed(
        "chain",
        "valid",
        &[&world.leaf[..], &world.intermediate].concat(),
    );
    seed("certificate", "leaf", &world.leaf);
    seed("certificate", "authority", &world.root);
    seed("csr", "p256", &request(KeyType::EcP256));
    seed("csr", "rsa", &request(KeyType::Rsa2048));
    let key = PrivateKey::generate(KeyType::EcP256).unwrap();
    seed("pem", "key", key.to_pem().as_bytes());
    seed("pem", "bundle", world.bundle.to_pem().as_bytes());
    seed("entry", "full", &entry().encode_to_vec());
    names();
    texts();
    requests();
    wire();
    workload_api();
}

/// One trust domain with one leaf and one token.
struct World {
    bundle: Bundle,
    root: Vec<u8>,
    intermediate: Vec<u8>,
    leaf: Vec<u8>,
    token: String,
}

impl World {
    fn new() -> Self {
        let key = || PrivateKey::generate(KeyType::EcP256).unwrap();
        let (root_key, middle_key, leaf_key, jwt_key) = (key(), key(), key(), key());
        let root_params = authority("root");
        let root = root_params.self_signed(&root_key).unwrap().der().to_vec();
        let root_issuer = Issuer::new(root_params, root_key);
        let middle_params = authority("intermediate");
        let middle = middle_params.signed_by(&middle_key, &root_issuer).unwrap();
        let intermediate = middle.der().to_vec();
        let middle_issuer = Issuer::new(middle_params, middle_key);
        let leaf = leaf().signed_by(&leaf_key, &middle_issuer).unwrap();
        let mut bundle = Bundle::empty(TrustDomain::new("example.org").unwrap());
        bundle.sequence = 7;
        bundle.x509_authorities = vec![X509Authority {
            der: root.clone().into(),
            tainted: false,
        }];
        bundle.jwt_authorities = vec![JwtAuthority {
            key_id: "k1".to_owned(),
            spki_der: jwt_key.spki_der().to_vec(),
            expires_at: None,
            tainted: false,
        }];
        let claims = jwt::Claims {
            sub: "spiffe://example.org/w".parse().unwrap(),
            aud: vec!["orders".to_owned(), "billing".to_owned()],
            iat: time(1_600_000_000),
            exp: time(4_000_000_000),
            iss: None,
            jti: Some("one".to_owned()),
        };
        Self {
            token: jwt::sign(&jwt_key, "k1", &claims).unwrap(),
            leaf: leaf.der().to_vec(),
            bundle,
            root,
            intermediate,
        }
    }
}

fn authority(name: &str) -> CertificateParams {
    let mut params = certificate(name, "spiffe://example.org");
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    params
}

fn leaf() -> CertificateParams {
    let mut params = certificate("w", "spiffe://example.org/w");
    params.is_ca = IsCa::ExplicitNoCa;
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    params.extended_key_usages = vec![
        ExtendedKeyUsagePurpose::ServerAuth,
        ExtendedKeyUsagePurpose::ClientAuth,
    ];
    params
}

fn certificate(name: &str, uri: &str) -> CertificateParams {
    let mut params = CertificateParams::default();
    params.not_before = date_time_ymd(2020, 1, 1);
    params.not_after = date_time_ymd(2099, 1, 1);
    params.subject_alt_names = vec![SanType::URI(uri.try_into().unwrap())];
    params.use_authority_key_identifier_extension = true;
    params.distinguished_name = DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, name);
    params
}

fn request(key_type: KeyType) -> Vec<u8> {
    let key = PrivateKey::generate(key_type).unwrap();
    let id = "spiffe://example.org/w".parse().unwrap();
    let names = ["w.example.org".to_owned()];
    csr::build(&key, csr::Subject::spire(), Some(&id), &names).unwrap()
}

fn entry() -> types::Entry {
    let id = |path: &str| {
        Some(types::Spiffeid {
            trust_domain: "example.org".to_owned(),
            path: path.to_owned(),
        })
    };
    types::Entry {
        id: "6a3c1f62-2f43-4c5e-9f3c-5d7ad1b0a001".to_owned(),
        spiffe_id: id("/w"),
        parent_id: id("/node"),
        selectors: vec![types::Selector {
            r#type: "unix".to_owned(),
            value: "uid:1000".to_owned(),
        }],
        x509_svid_ttl: 3600,
        jwt_svid_ttl: 300,
        federates_with: vec!["other.org".to_owned()],
        dns_names: vec!["w.example.org".to_owned()],
        hint: "internal".to_owned(),
        created_at: 1_700_000_000,
        expires_at: 1_900_000_000,
        ..types::Entry::default()
    }
}

fn names() {
    for (name, id) in [
        ("domain", "spiffe://example.org"),
        ("path", "spiffe://example.org/ns/staging/sa/Default"),
        ("dots", "spiffe://../...x"),
        ("capitals", "SPIFFE://Example.org/x"),
    ] {
        seed("spiffe_id", name, id.as_bytes());
    }
    for (name, path) in [
        ("plain", "/orders/1"),
        ("dots", "/a/./b/../c;v=1//d"),
        ("escapes", "/%61%2e%2e/%C3%BC"),
        ("star", "*"),
    ] {
        seed("http_path", name, path.as_bytes());
    }
}

/// A connection as gRPC in C++ opens it: settings, and a call whose authority is a socket's path.
fn wire() {
    let opening = b"\x07PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0";
    let call = b"\0\0\x13\x01\x05\0\0\0\x01\x83\x86\x41\x0f/run/agent.sock";
    seed("authority", "path", &[&opening[..], call].concat());
}

/// A workload with one identity, as the Workload API tells it; its key opens nothing.
fn workload_api() {
    let key = || PrivateKey::generate(KeyType::EcP256).unwrap();
    let (root_key, leaf_key) = (key(), key());
    let root = authority("root").self_signed(&root_key).unwrap();
    let issuer = Issuer::new(authority("root"), root_key);
    let svid = X509Svid {
        spiffe_id: "spiffe://example.org/w".to_owned(),
        x509_svid: leaf()
            .signed_by(&leaf_key, &issuer)
            .unwrap()
            .der()
            .to_vec()
            .into(),
        x509_svid_key: leaf_key.pkcs8_der().to_vec().into(),
        bundle: root.der().to_vec().into(),
        hint: "internal".to_owned(),
    };
    let other = "spiffe://other.org".to_owned();
    let response = X509SvidResponse {
        svids: vec![svid],
        crl: Vec::new(),
        federated_bundles: [(other, root.der().to_vec().into())].into(),
    };
    seed("workload_api", "federated", &response.encode_to_vec());
}

fn texts() {
    let root = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../..");
    for name in ["server.conf", "agent.conf"] {
        seed(
            "hcl",
            name,
            &fs::read(root.join("deploy/examples").join(name)).unwrap(),
        );
    }
    seed(
        "hcl",
        "json",
        br#"{"server":{"trust_domain":"example.org","bind_port":8081}}"#,
    );
    for policy in fs::read_dir(root.join("deploy/examples/policies")).unwrap() {
        let policy = policy.unwrap();
        let name = policy.file_name().into_string().unwrap();
        seed("policy", &name, &fs::read(policy.path()).unwrap());
    }
    let proxy = fs::read(root.join("deploy/examples/proxy.yaml")).unwrap();
    seed("proxy_config", "proxy.yaml", &proxy);
}

fn requests() {
    seed("first_bytes", "tls", b"\x16\x03\x01\x02\x00\x01");
    seed("first_bytes", "http1", b"GET /items HTTP/1.1\r\n");
    seed("first_bytes", "http2", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n");
    let trace = "traceparent:00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
    seed(
        "trace",
        "w3c",
        format!("{trace}\ntracestate:a=b").as_bytes(),
    );
    let trace = "80f198ee56343ba864fe8b2a57d3eff7-e457b5a2e4d86bd1-1-05e3ac9a4f6e3b90";
    seed("trace", "b3", format!("b3:{trace}").as_bytes());
    let trace = "X-B3-TraceId:80f198ee56343ba864fe8b2a57d3eff7\nX-B3-SpanId:e457b5a2e4d86bd1";
    seed("trace", "b3-several", trace.as_bytes());
}

fn time(seconds: i64) -> SystemTime {
    unix::time(seconds).unwrap()
}

fn seed(target: &str, name: &str, bytes: &[u8]) {
    write(&format!("corpus/{target}/seed-{name}"), bytes);
}

fn write(path: &str, bytes: &[u8]) {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join(path);
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, bytes).unwrap();
}
