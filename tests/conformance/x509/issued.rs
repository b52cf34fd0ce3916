//! What our server signs (X509-SVID §2 to §4, appendix A; SPIFFE-ID §3.1).

use std::process::Command;

use signet_proto::spire::api::server::svid::v1::{
    BatchNewX509svidRequest, NewDownstreamX509caRequest, NewX509svidParams, svid_client::SvidClient,
};
use signet_tests::testbed::{Agent, Bed, Server, my_user};
use x509_parser::{
    certificate::X509Certificate,
    extensions::GeneralName,
    oid_registry::{
        OID_X509_EXT_BASIC_CONSTRAINTS, OID_X509_EXT_KEY_USAGE, OID_X509_EXT_SUBJECT_ALT_NAME,
    },
    prelude::FromDer as _,
};

use crate::material::{
    Extension, OURS, Svid, W,
    certificate::key,
    der,
    extension::{
        DIGITAL_SIGNATURE, EXTENDED_KEY_USAGE, KEY_CERT_SIGN, Name, TIME_STAMPING, purposes,
    },
    live::{self, Attested},
    request::asking,
};

/// Every kind of certificate that the server signs.
struct Issued {
    leaves: Vec<(&'static str, Vec<u8>)>,
    authorities: Vec<(&'static str, Vec<u8>)>,
}

async fn issue(bed: &Bed) -> Issued {
    let server = Server::start(bed);
    let agent = Agent::join(&server);
    server.entry(&agent.id, W, &my_user(), &["--dns", "w.example.org"]);
    agent.serves(W);
    let workload = live::fetched(&agent).await.remove(0);
    let node = Attested::join(&server).await;
    let bare = asking(&key(), &[Extension::uri("spiffe://example.org/minted")]);
    let minted = live::mint(&server, bare).await.unwrap().svid.unwrap();
    let (lower, downstream) = downstream(&server, &agent, &[]).await;
    Issued {
        leaves: vec![
            ("workload", live::split(&workload.x509_svid).remove(0)),
            ("agent", node.svid.chain[0].clone()),
            ("minted", minted.cert_chain[0].clone()),
            ("server", of_server(bed, &server)),
            ("downstream server", lower.chain[0].clone()),
        ],
        authorities: vec![
            ("bundle", live::split(&workload.bundle).remove(0)),
            ("downstream", downstream),
        ],
    }
}

/// A downstream server's SVID, and the authority that it is given when it asks with these names.
async fn downstream(
    server: &Server<'_>,
    agent: &Agent<'_>,
    extensions: &[Extension],
) -> (Svid, Vec<u8>) {
    let id = "spiffe://example.org/downstream";
    server.entry(&agent.id, id, &my_user(), &["--downstream"]);
    agent.serves(id);
    let fetched = live::fetched(agent).await;
    let svid = fetched.iter().find(|svid| svid.spiffe_id == id).unwrap();
    let svid = live::svid_of(svid);
    let request = NewDownstreamX509caRequest {
        csr: asking(&key(), extensions),
        preferred_ttl: 0,
    };
    let mut client = SvidClient::new(live::to_server(server, &svid));
    let answer = client.new_downstream_x509ca(request).await.unwrap();
    (svid, answer.into_inner().ca_cert_chain.remove(0))
}

/// What the server shows on its port, as openssl sees it.
fn of_server(bed: &Bed, server: &Server<'_>) -> Vec<u8> {
    let mut openssl = Command::new("openssl");
    let address = format!("127.0.0.1:{}", server.port);
    openssl.args([
        "s_client",
        "-connect",
        &address,
        "-alpn",
        "h2",
        "-showcerts",
    ]);
    let seen = bed.run(&mut openssl).stdout;
    let start = seen.find("-----BEGIN CERTIFICATE").unwrap();
    pem::parse(&seen[start..]).unwrap().into_contents()
}

fn parsed(der: &[u8]) -> X509Certificate<'_> {
    let (rest, certificate) = X509Certificate::from_der(der).unwrap();
    assert!(rest.is_empty());
    certificate
}

fn uris(der: &[u8]) -> Vec<String> {
    let certificate = parsed(der);
    let names = certificate.subject_alternative_name().unwrap().unwrap();
    let mut uris = Vec::new();
    for name in &names.value.general_names {
        if let GeneralName::URI(uri) = name {
            uris.push((*uri).to_owned());
        }
    }
    uris
}

#[tokio::test(flavor = "multi_thread")]
async fn x509_01_06_10_11_12_each_certificate_has_one_uri_and_it_is_the_right_one() {
    let issued = issue(&Bed::new()).await;
    for (kind, der) in &issued.leaves {
        let uris = uris(der);
        assert_eq!(uris.len(), 1, "{kind}: {uris:?}");
        assert!(
            uris[0].starts_with("spiffe://example.org/"),
            "{kind}: {uris:?}"
        );
    }
    for (kind, der) in &issued.authorities {
        assert_eq!(uris(der), ["spiffe://example.org"], "{kind}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn x509_08_15_19_22_24_26_27_leaves_keep_the_profile() {
    let bed = Bed::new();
    let issued = issue(&bed).await;
    for (kind, der) in &issued.leaves {
        let certificate = parsed(der);
        let constraints = extension(&certificate, &OID_X509_EXT_BASIC_CONSTRAINTS);
        assert_eq!(constraints, (true, [0x30, 0].to_vec()), "{kind}");
        let (critical, _) = extension(&certificate, &OID_X509_EXT_KEY_USAGE);
        assert!(critical, "{kind}");
        let usage = certificate.key_usage().unwrap().unwrap().value;
        assert!(usage.digital_signature(), "{kind}");
        assert!(!usage.key_cert_sign() && !usage.crl_sign(), "{kind}");
        let purposes = certificate.extended_key_usage().unwrap().unwrap().value;
        assert!(purposes.server_auth && purposes.client_auth, "{kind}");
        let (critical, _) = extension(&certificate, &OID_X509_EXT_SUBJECT_ALT_NAME);
        let empty = certificate.subject().as_raw() == [0x30, 0];
        assert!(
            critical || !empty,
            "{kind}: no subject, and names that may be passed over"
        );
        let text = openssl_text(&bed, der);
        assert!(
            text.contains("CA:FALSE") && text.contains("Digital Signature"),
            "{text}"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn x509_09_19_21_25_authorities_keep_the_profile() {
    let bed = Bed::new();
    let issued = issue(&bed).await;
    for (kind, der) in &issued.authorities {
        let certificate = parsed(der);
        let constraints = extension(&certificate, &OID_X509_EXT_BASIC_CONSTRAINTS);
        assert_eq!(
            constraints,
            (true, [0x30, 3, 1, 1, 0xff].to_vec()),
            "{kind}"
        );
        // keyCertSign and cRLSign: the second last and the last of seven bits, nothing else.
        let usage = extension(&certificate, &OID_X509_EXT_KEY_USAGE);
        assert_eq!(usage, (true, [3, 2, 1, 6].to_vec()), "{kind}");
        let text = openssl_text(&bed, der);
        assert!(
            text.contains("CA:TRUE") && text.contains("Certificate Sign"),
            "{text}"
        );
        assert!(!text.contains("Digital Signature"), "{text}");
    }
}

/// Whether it is critical, and its value.
fn extension(
    certificate: &X509Certificate<'_>,
    oid: &x509_parser::oid_registry::Oid<'static>,
) -> (bool, Vec<u8>) {
    let extension = certificate.get_extension_unique(oid).unwrap().unwrap();
    (extension.critical, extension.value.to_vec())
}

fn openssl_text(bed: &Bed, der: &[u8]) -> String {
    let path = bed.path("certificate.der");
    std::fs::write(&path, der).unwrap();
    let mut openssl = Command::new("openssl");
    openssl
        .args(["x509", "-inform", "DER", "-noout", "-text", "-in"])
        .arg(path);
    bed.run(&mut openssl).ok()
}

/// Requests for what nobody is to be given, as extensions.
fn greedy() -> Vec<(&'static str, Vec<Extension>)> {
    vec![
        (
            "another's name",
            vec![Extension::uri("spiffe://example.org/admin")],
        ),
        (
            "a foreign name",
            vec![Extension::uri("spiffe://other.org/w")],
        ),
        ("no path", vec![Extension::uri("spiffe://example.org")]),
        ("no ID", vec![Extension::uri("https://example.org/w")]),
        (
            "two names",
            vec![Extension::names(&[
                Name::Uri(W),
                Name::Uri("spiffe://example.org/x"),
            ])],
        ),
        (
            "an authority",
            vec![Extension::uri(W), Extension::authority(None)],
        ),
        (
            "keyCertSign",
            vec![
                Extension::uri(W),
                Extension::key_usage(DIGITAL_SIGNATURE | KEY_CERT_SIGN),
            ],
        ),
        (
            "other purposes",
            vec![
                Extension::uri(W),
                Extension::critical(EXTENDED_KEY_USAGE, &purposes(&[TIME_STAMPING])),
            ],
        ),
        (
            "something unknown",
            vec![
                Extension::uri(W),
                Extension::critical("1.2.3.4.5.6.7", &der::sequence(&[])),
            ],
        ),
    ]
}

#[tokio::test(flavor = "multi_thread")]
async fn x509_06_24_an_agent_gets_what_the_entry_says_whatever_it_asks_for() {
    let bed = Bed::new();
    let server = Server::start(&bed);
    let agent = Attested::join(&server).await;
    let entry_id = server.entry(&agent.id, W, "unix:uid:1", &[]);
    let mut client = SvidClient::new(agent.channel(&server));
    for (what, extensions) in greedy() {
        let params = NewX509svidParams {
            entry_id: entry_id.clone(),
            csr: asking(&key(), &extensions),
        };
        let request = BatchNewX509svidRequest {
            params: vec![params],
        };
        let answer = client.batch_new_x509svid(request).await.unwrap();
        let result = answer.into_inner().results.remove(0);
        // Refused would be as good; signed as asked would not.
        if let Some(svid) = result.svid {
            let der = &svid.cert_chain[0];
            assert_eq!(uris(der), [W], "{what}");
            let certificate = parsed(der);
            let usage = certificate.key_usage().unwrap().unwrap().value;
            assert!(!certificate.is_ca() && !usage.key_cert_sign(), "{what}");
            let purposes = certificate.extended_key_usage().unwrap().unwrap().value;
            assert!(purposes.server_auth && purposes.client_auth, "{what}");
            assert!(!purposes.time_stamping, "{what}");
            let known = ["2.5.29", "1.3.6.1.5.5.7"];
            for extension in certificate.iter_extensions() {
                let oid = extension.oid.to_id_string();
                assert!(
                    known.iter().any(|known| oid.starts_with(known)),
                    "{what}: {oid}"
                );
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn x509_06_nobody_is_given_the_name_of_the_trust_domain_itself() {
    let bed = Bed::new();
    let server = Server::start(&bed);
    let agent = Attested::join(&server).await;
    let mint = |uri: &str| live::mint(&server, asking(&key(), &[Extension::uri(uri)]));
    let refused = mint("spiffe://example.org").await.unwrap_err();
    assert_eq!(refused.code(), tonic::Code::InvalidArgument, "{refused}");
    assert!(mint(W).await.is_ok());
    let create = |id: &str| {
        let flags = [
            "entry",
            "create",
            "--parent-id",
            &agent.id,
            "--spiffe-id",
            id,
        ];
        server.run(&[&flags[..], &["--selector", "unix:uid:1"]].concat())
    };
    let refused = create("spiffe://example.org").refused();
    assert!(refused.contains("path"), "{refused}");
    create(W).ok();
}

#[tokio::test(flavor = "multi_thread")]
async fn x509_11_a_downstream_authority_has_the_trust_domains_name_whatever_it_asks_for() {
    let bed = Bed::new();
    let server = Server::start(&bed);
    let agent = Agent::join(&server);
    server.entry(&agent.id, W, &my_user(), &[]);
    agent.serves(W);
    for uri in [
        "spiffe://example.org/ca",
        "spiffe://other.org",
        "spiffe://example.org/",
    ] {
        let (svid, authority) = downstream(&server, &agent, &[Extension::uri(uri)]).await;
        assert_eq!(uris(&authority), [format!("spiffe://{OURS}")], "{uri}");
        let entry = server.run(&[
            "entry",
            "show",
            "--spiffe-id",
            "spiffe://example.org/downstream",
        ]);
        let shown = entry.ok();
        let id = shown
            .lines()
            .find_map(|line| line.strip_prefix("Entry ID"))
            .unwrap();
        let id = id.trim_start_matches([' ', ':']).trim();
        server.run(&["entry", "delete", "--entry-id", id]).ok();
        drop(svid);
    }
    // Without the right, no authority at all.
    let fetched = live::fetched(&agent).await;
    let plain = fetched.iter().find(|svid| svid.spiffe_id == W).unwrap();
    let mut client = SvidClient::new(live::to_server(&server, &live::svid_of(plain)));
    let request = NewDownstreamX509caRequest {
        csr: asking(&key(), &[]),
        preferred_ttl: 0,
    };
    let refused = client.new_downstream_x509ca(request).await.unwrap_err();
    assert_eq!(refused.code(), tonic::Code::PermissionDenied, "{refused}");
}
