//! Values for tests, with only what matters stated.

use std::{
    io,
    sync::{Arc, Mutex},
};

use rcgen::{
    BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair, KeyUsagePurpose, SanType,
};
use signet_identity::{bundle::Bundle, x509};
use signet_mesh::{Percent, Side};
use tokio::sync::watch;
use tracing::instrument::WithSubscriber as _;

use crate::{
    clock,
    config::{AccessLogConfig, AccessLogFormat},
    flow::{Cut, Other, Recorder, Telling, Tracers, Who},
    metrics::Party,
    peer::{Peer, Proven},
};

/// Somebody on port `web`.
pub(crate) fn who() -> Who {
    Who {
        recorder: recorder(&telling(AccessLogFormat::Signet, None)),
        client: "127.0.0.1:9".parse().unwrap(),
        destination_port: None,
        called: None,
        server_name: None,
        other: Other::Unknown,
        cut: Cut::default(),
        observed: None,
    }
}

/// Who tells of what happens in this form, and traces it by this one.
pub(crate) fn telling(format: AccessLogFormat, tracers: Option<Tracers>) -> Telling {
    let access = AccessLogConfig {
        format,
        sampling: Percent::ALL,
    };
    let (_, identity) = watch::channel(None);
    Telling::new(&access, None, tracers, Party::default(), identity)
}

/// Who records what port `web` takes.
pub(crate) fn recorder(telling: &Telling) -> Arc<Recorder> {
    let listen = "127.0.0.1:8443".parse().unwrap();
    Arc::new(Recorder::new("web", Side::Server, listen, telling))
}

/// A peer with a certificate for an hour, and the bundle of its authority.
pub(crate) fn peer() -> (Peer, Bundle) {
    let ca_key = KeyPair::generate().unwrap();
    let mut ca = CertificateParams::default();
    ca.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    ca.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    ca.distinguished_name.push(DnType::CommonName, "ca");
    ca.subject_alt_names = vec![SanType::URI("spiffe://example.org".try_into().unwrap())];
    let root = ca.self_signed(&ca_key).unwrap();
    let issuer = Issuer::new(ca, ca_key);
    let mut leaf = CertificateParams::default();
    leaf.not_before = (clock::now() - std::time::Duration::from_secs(10)).into();
    leaf.not_after = (clock::now() + std::time::Duration::from_secs(3600)).into();
    leaf.is_ca = IsCa::ExplicitNoCa;
    leaf.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    let id = "spiffe://example.org/web".try_into().unwrap();
    leaf.subject_alt_names = vec![SanType::URI(id)];
    let key = KeyPair::generate().unwrap();
    let der = leaf.signed_by(&key, &issuer).unwrap().der().clone();
    let peer = Peer {
        proven: Some(Proven {
            leaf: x509::check_svid_leaf(&der).unwrap(),
            chain: vec![der],
        }),
        address: "127.0.0.1:9".parse().unwrap(),
        local: "127.0.0.1:80".parse().unwrap(),
        sni: None,
        met_by: Some("example.org".parse().unwrap()),
    };
    let domain = "example.org".parse().unwrap();
    (peer, Bundle::from_pem(domain, &root.pem()).unwrap())
}

/// What `work` logs, as text, and what it answers.
pub(crate) async fn lines<T>(work: impl Future<Output = T>) -> (String, T) {
    let written = Written::default();
    let writer = written.clone();
    let subscriber = tracing_subscriber::fmt()
        .with_ansi(false)
        .with_writer(move || writer.clone())
        .finish();
    let answer = work.with_subscriber(subscriber).await;
    let text = String::from_utf8(written.0.lock().unwrap().clone()).unwrap();
    (text, answer)
}

#[derive(Clone, Debug, Default)]
struct Written(Arc<Mutex<Vec<u8>>>);

impl io::Write for Written {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
