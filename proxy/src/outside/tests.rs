//! Hosts outside of the mesh: who is believed, what is shown to them, and files that are no good.

use std::{fs, path::PathBuf, sync::Arc};

use rcgen::{
    BasicConstraints, CertificateParams, CertificateRevocationListParams, IsCa, Issuer,
    KeyIdMethod, KeyPair, KeyUsagePurpose, RevokedCertParams, SanType, SerialNumber,
};
use rustls::{
    RootCertStore, ServerConfig,
    pki_types::{PrivateKeyDer, ServerName},
    server::WebPkiClientVerifier,
};
use signet_identity::{crypto::outside_provider as provider, tls::OutsideName};
use signet_mesh::{ClientCertificate, ServerCheck, Verify};
use tempfile::TempDir;
use time::{Duration, OffsetDateTime};
use tokio::{io::AsyncReadExt as _, net::TcpListener};
use tokio_rustls::TlsAcceptor;
use tokio_util::task::TaskTracker;

use super::*;
use crate::pool::{Dialer, Secure, Terms};

/// An authority, and the files of what it signed.
struct Authority {
    issuer: Issuer<'static, KeyPair>,
    pem: String,
}

struct Signed {
    pem: String,
    key: KeyPair,
    der: rustls::pki_types::CertificateDer<'static>,
}

impl Authority {
    fn new() -> Self {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        let pem = params.self_signed(&key).unwrap().pem();
        let issuer = Issuer::new(params, key);
        Self { issuer, pem }
    }

    fn sign(&self, names: Vec<SanType>, serial: u64) -> Signed {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::default();
        params.subject_alt_names = names;
        params.serial_number = Some(SerialNumber::from(serial));
        let signed = params.signed_by(&key, &self.issuer).unwrap();
        Signed {
            pem: signed.pem(),
            der: signed.der().clone(),
            key,
        }
    }

    fn revoke(&self, serial: u64) -> String {
        let now = OffsetDateTime::now_utc();
        let revoked = RevokedCertParams {
            serial_number: SerialNumber::from(serial),
            revocation_time: now - Duration::HOUR,
            reason_code: None,
            invalidity_date: None,
        };
        let list = CertificateRevocationListParams {
            this_update: now - Duration::HOUR,
            next_update: now + Duration::HOUR,
            crl_number: SerialNumber::from(1),
            issuing_distribution_point: None,
            revoked_certs: vec![revoked],
            key_identifier_method: KeyIdMethod::Sha256,
        };
        list.signed_by(&self.issuer).unwrap().pem().unwrap()
    }
}

/// A folder of files.
struct Files(TempDir);

impl Files {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn write(&self, name: &str, text: &str) -> Box<str> {
        let path = self.0.path().join(name);
        fs::write(&path, text).unwrap();
        path.to_str().unwrap().into()
    }
}

fn check(authorities: Option<Box<str>>, revoked: Option<Box<str>>) -> ServerCheck {
    let names = Vec::new();
    ServerCheck {
        sni: None,
        verify: Some(Verify {
            authorities,
            revoked,
            names,
        }),
    }
}

fn read(tls: &ClientTls) -> Result<Material, String> {
    Material::read(&files::Files::of(tls).unwrap())
}

fn dns(name: &str) -> SanType {
    SanType::DnsName(name.to_owned().try_into().unwrap())
}

fn named(name: &str) -> Vec<OutsideName> {
    vec![OutsideName::Dns(name.to_owned().try_into().unwrap())]
}

/// A server that shows this, and says who asked for which name and showed what.
async fn serve(config: ServerConfig) -> (std::net::SocketAddr, tokio::task::JoinHandle<Seen>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let serving = TaskTracker::new().spawn(async move {
        let (stream, _) = listener.accept().await.unwrap();
        let accepted = TlsAcceptor::from(Arc::new(config)).accept(stream).await;
        let Ok(mut stream) = accepted else {
            return Seen::default();
        };
        // Whoever does not believe the server says so only now.
        let heard = stream.read(&mut [0; 1]).await;
        let connection = stream.get_ref().1;
        Seen {
            name: connection.server_name().map(str::to_owned),
            shown: connection.peer_certificates().map_or(0, <[_]>::len),
            is_believed: !heard.is_err_and(|it| it.kind() == std::io::ErrorKind::InvalidData),
        }
    });
    (address, serving)
}

#[derive(Debug, Default)]
struct Seen {
    name: Option<String>,
    shown: usize,
    is_believed: bool,
}

fn plain(signed: &Signed) -> ServerConfig {
    let key = PrivateKeyDer::try_from(signed.key.serialize_der()).unwrap();
    ServerConfig::builder_with_provider(provider())
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![signed.der.clone()], key)
        .unwrap()
}

/// Why a connection is not made, if it is not; and what the server saw.
async fn call(
    material: &Material,
    names: Vec<OutsideName>,
    server: ServerConfig,
) -> (Option<String>, Seen) {
    let (address, serving) = serve(server).await;
    let secure = Secure {
        config: material.config(names, &[]).unwrap(),
        server_name: Some(ServerName::try_from("api.test").unwrap()),
    };
    let dialer = Dialer::new(address, Some(secure));
    let dialled = dialer.dial(&Terms::default()).await;
    let why = dialled.err().map(|error| error.to_string());
    (why, serving.await.unwrap())
}

#[tokio::test]
async fn a_server_is_believed_whose_certificate_is_of_the_authority_and_for_the_name() {
    let (files, own, other) = (Files::new(), Authority::new(), Authority::new());
    let path = files.write("ca.pem", &own.pem);
    let material = read(&ClientTls::Simple(check(Some(path), None))).unwrap();
    let good = own.sign(vec![dns("api.test")], 1);
    let (why, seen) = call(&material, named("api.test"), plain(&good)).await;
    assert_eq!(why, None);
    assert!(seen.is_believed);
    assert_eq!(seen.name.as_deref(), Some("api.test"));
    let (why, seen) = call(&material, named("other.test"), plain(&good)).await;
    let why = why.unwrap();
    assert!(
        why.contains("is for api.test, and other.test is expected"),
        "{why}"
    );
    assert!(!seen.is_believed);
    let stranger = other.sign(vec![dns("api.test")], 1);
    let (why, _) = call(&material, named("api.test"), plain(&stranger)).await;
    let why = why.unwrap();
    assert!(
        why.contains("does not lead to a trusted authority"),
        "{why}"
    );
}

#[tokio::test]
async fn a_server_of_another_mesh_is_known_by_its_id() {
    let (files, own) = (Files::new(), Authority::new());
    let path = files.write("ca.pem", &own.pem);
    let material = read(&ClientTls::Simple(check(Some(path), None))).unwrap();
    let id = "spiffe://other.test/web";
    let uri = SanType::URI(id.to_owned().try_into().unwrap());
    let good = own.sign(vec![uri], 1);
    let expect = |id: &str| vec![OutsideName::Id(id.parse().unwrap())];
    let (why, _) = call(&material, expect(id), plain(&good)).await;
    assert_eq!(why, None);
    let (why, _) = call(&material, expect("spiffe://other.test/we"), plain(&good)).await;
    assert!(why.unwrap().contains("is expected"));
}

#[tokio::test]
async fn a_server_whose_certificate_was_revoked_is_not_believed() {
    let (files, own) = (Files::new(), Authority::new());
    let path = files.write("ca.pem", &own.pem);
    let list = files.write("crl.pem", &own.revoke(7));
    let material = read(&ClientTls::Simple(check(Some(path), Some(list)))).unwrap();
    for (serial, is_good) in [(6, true), (7, false)] {
        let signed = own.sign(vec![dns("api.test")], serial);
        let (why, _) = call(&material, named("api.test"), plain(&signed)).await;
        assert_eq!(why.is_none(), is_good, "{why:?}");
    }
}

#[tokio::test]
async fn a_client_shows_its_certificate_to_who_asks_for_it() {
    let (files, own) = (Files::new(), Authority::new());
    let client = own.sign(vec![dns("client.test")], 2);
    let mutual = ClientTls::Mutual {
        certificate: ClientCertificate {
            chain: files.write("chain.pem", &client.pem),
            key: files.write("key.pem", &client.key.serialize_pem()),
        },
        server: check(Some(files.write("ca.pem", &own.pem)), None),
    };
    let server = own.sign(vec![dns("api.test")], 1);
    let mut roots = RootCertStore::empty();
    let authority = signet_identity::x509::chain_from_pem(&own.pem).unwrap();
    roots.add(authority[0].clone()).unwrap();
    let asking = || {
        let verifier =
            WebPkiClientVerifier::builder_with_provider(Arc::new(roots.clone()), provider());
        let key = PrivateKeyDer::try_from(server.key.serialize_der()).unwrap();
        ServerConfig::builder_with_provider(provider())
            .with_protocol_versions(&[&rustls::version::TLS12])
            .unwrap()
            .with_client_cert_verifier(verifier.build().unwrap())
            .with_single_cert(vec![server.der.clone()], key)
            .unwrap()
    };
    let (why, seen) = call(&read(&mutual).unwrap(), named("api.test"), asking()).await;
    assert_eq!((why, seen.shown), (None, 1));
    let ClientTls::Mutual { server: simple, .. } = mutual else {
        unreachable!("it was made so");
    };
    let simple = read(&ClientTls::Simple(simple)).unwrap();
    let (why, _) = call(&simple, named("api.test"), asking()).await;
    assert!(why.is_some());
}

#[test]
fn files_that_are_no_good_are_refused_by_name() {
    let (files, own) = (Files::new(), Authority::new());
    let (one, other) = (own.sign(Vec::new(), 1), own.sign(Vec::new(), 2));
    let ca = files.write("ca.pem", &own.pem);
    let chain = files.write("chain.pem", &one.pem);
    let key = files.write("key.pem", &one.key.serialize_pem());
    let of_other = files.write("other.pem", &other.key.serialize_pem());
    let garbage = files.write("garbage.pem", "-----BEGIN NOTHING-----");
    let missing: Box<str> = "/nowhere/at-all.pem".into();
    let mutual = |chain: &str, key: &str, ca: &str, list: Option<&str>| {
        let tls = ClientTls::Mutual {
            certificate: ClientCertificate {
                chain: chain.into(),
                key: key.into(),
            },
            server: check(Some(ca.into()), list.map(Into::into)),
        };
        read(&tls).map(drop)
    };
    assert_eq!(mutual(&chain, &key, &ca, None), Ok(()));
    for bad in [&garbage, &missing] {
        for (refused, names) in [
            (mutual(&chain, &key, bad, None), "caCertificates"),
            (mutual(bad, &key, &ca, None), "clientCertificate"),
            (mutual(&chain, bad, &ca, None), "privateKey"),
            (mutual(&chain, &key, &ca, Some(bad)), "caCrl"),
        ] {
            let why = refused.unwrap_err();
            assert!(why.starts_with(names) && why.contains(&**bad), "{why}");
        }
    }
    let why = mutual(&chain, &of_other, &ca, None).unwrap_err();
    assert!(why.to_lowercase().contains("key"), "{why}");
    assert!(!why.contains("BEGIN"), "{why}");
}

#[test]
fn what_was_read_differs_when_a_file_does() {
    let files = Files::new();
    let digest = || {
        let path: Box<str> = files.0.path().join("ca.pem").to_str().unwrap().into();
        read(&ClientTls::Simple(check(Some(path), None)))
            .unwrap()
            .digest()
    };
    let (one, other) = (Authority::new(), Authority::new());
    files.write("ca.pem", &one.pem);
    let first = digest();
    assert_eq!(digest(), first);
    files.write("ca.pem", &other.pem);
    assert_ne!(digest(), first);
}

#[test]
fn the_files_of_a_tls_are_followed() {
    let tls = ClientTls::Simple(check(Some("/a".into()), Some("/b".into())));
    let paths = files::Files::of(&tls).unwrap().paths();
    assert_eq!(paths, [PathBuf::from("/a"), PathBuf::from("/b")]);
}
