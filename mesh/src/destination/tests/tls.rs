//! By what TLS a destination is called, as people write it.

use super::*;
use crate::read::SubjectAltName;

fn tls(fields: &str) -> ClientTls {
    let text = policy(&format!("tls: {{ {fields} }}"));
    of(&text, None, 80).tls.expect("a TLS")
}

#[test]
fn no_tls_at_all() {
    assert_eq!(tls("mode: DISABLE"), ClientTls::Disable);
}

#[test]
fn a_server_outside_of_the_mesh_is_checked() {
    let ClientTls::Simple(server) = tls("mode: SIMPLE") else {
        panic!("another mode");
    };
    let verify = server.verify.expect("checked");
    assert_eq!(
        (server.sni, verify.authorities, verify.revoked),
        (None, None, None)
    );
    assert_eq!(verify.names, []);
    let fields = "mode: SIMPLE, sni: API.example.org, caCertificates: /a/ca.pem, caCrl: /a/crl, \
                  subjectAltNames: [a.example.org, 'spiffe://example.org/web']";
    let ClientTls::Simple(server) = tls(fields) else {
        panic!("another mode");
    };
    let verify = server.verify.expect("checked");
    assert_eq!(server.sni.as_deref(), Some("api.example.org"));
    assert_eq!(verify.authorities.as_deref(), Some("/a/ca.pem"));
    assert_eq!(verify.revoked.as_deref(), Some("/a/crl"));
    assert!(matches!(
        verify.names.as_slice(),
        [SubjectAltName::Dns(_), SubjectAltName::Id(_)]
    ));
    let fields = "mode: SIMPLE, insecureSkipVerify: true";
    assert!(matches!(tls(fields), ClientTls::Simple(server) if server.verify.is_none()));
    let fields = "mode: SIMPLE, insecureSkipVerify: false";
    assert!(matches!(tls(fields), ClientTls::Simple(server) if server.verify.is_some()));
}

#[test]
fn a_client_shows_the_certificate_of_its_files() {
    let fields = "mode: MUTUAL, clientCertificate: /a/cert.pem, privateKey: /a/key.pem";
    let ClientTls::Mutual {
        certificate,
        server,
    } = tls(fields)
    else {
        panic!("another mode");
    };
    assert_eq!(
        (&*certificate.chain, &*certificate.key),
        ("/a/cert.pem", "/a/key.pem")
    );
    assert!(server.verify.is_some());
}

#[test]
fn the_identities_of_the_mesh_are_written_with_their_scheme() {
    let fields = "mode: ISTIO_MUTUAL, sni: reviews, subjectAltNames: ['spiffe://example.org/web']";
    let ClientTls::IstioMutual { ids, sni } = tls(fields) else {
        panic!("another mode");
    };
    let ids: Vec<String> = ids.iter().map(ToString::to_string).collect();
    assert_eq!(ids, ["spiffe://example.org/web"]);
    assert_eq!(sni.as_deref(), Some("reviews"));
    let fields = "tls: { mode: ISTIO_MUTUAL, subjectAltNames: [example.org/web] }";
    let errors = errors(&policy(fields));
    assert!(
        errors[0]
            .to_string()
            .contains("has no `spiffe://` before it"),
        "{errors:?}"
    );
}
