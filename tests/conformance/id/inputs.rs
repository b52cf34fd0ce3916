//! Every place where an ID comes in: configuration, entries, requests, tokens, bundles.

use std::process::Command;

use signet_proto::spire::api::{
    server::{
        entry::v1::{BatchCreateEntryRequest, entry_client::EntryClient},
        svid::v1::{
            BatchNewX509svidRequest, MintJwtsvidRequest, NewX509svidParams, svid_client::SvidClient,
        },
    },
    types,
};
use signet_tests::testbed::{Agent, Bed, Run, Server, my_user};
use tonic::Code;

use super::{examples, token::validate};
use crate::material::{
    Extension, OTHER, Stage, W,
    certificate::key,
    extension::Name,
    jwks,
    live::{self, Attested},
    request::asking,
};

/// Whether a server would start under this name.
fn server_named(bed: &Bed, name: &str) -> Run {
    let root = bed.path("").display().to_string();
    let text = format!(
        "server {{ trust_domain = \"{name}\" data_dir = \"{root}data\" socket_path = \"{root}s\" }}
plugins {{
  DataStore \"sql\" {{ plugin_data {{ database_type = \"sqlite3\" connection_string = \"{root}x.sqlite3\" }} }}
  KeyManager \"memory\" {{ plugin_data {{}} }}
  NodeAttestor \"join_token\" {{ plugin_data {{}} }}
}}
"
    );
    let config = bed.write("named.conf", &text);
    bed.signet(&["server", "validate", "--config", config.to_str().unwrap()])
}

#[test]
fn id_08_12_a_server_takes_its_name_as_it_stands_or_not_at_all() {
    let bed = Bed::new();
    for name in [
        "EXAMPLE.org",
        "example.Org",
        "",
        "a/b",
        "a b",
        "ex%61mple",
        "[::1]",
        "a:80",
        "me@a",
        "b\u{fc}cher",
        &"a".repeat(256),
    ] {
        let run = server_named(&bed, name);
        assert_ne!(run.code, Some(0), "{name:?}: {run:?}");
        assert!(run.stderr.contains("trust_domain"), "{name:?}: {run:?}");
    }
    for name in [
        "example.org",
        "1.2.3.4",
        "999.999.999.999",
        "example..org",
        ".example.org",
        "example.org.",
        "-example.org",
        "_",
        &"a".repeat(255),
    ] {
        let run = server_named(&bed, name);
        assert_eq!(run.code, Some(0), "{name:?}: {run:?}");
    }
}

/// An entry of this agent as a message, whatever the ID.
fn entry(parent: &str, trust_domain: &str, path: &str) -> types::Entry {
    types::Entry {
        parent_id: Some(types::Spiffeid {
            trust_domain: "example.org".to_owned(),
            path: parent
                .strip_prefix("spiffe://example.org")
                .unwrap()
                .to_owned(),
        }),
        spiffe_id: Some(types::Spiffeid {
            trust_domain: trust_domain.to_owned(),
            path: path.to_owned(),
        }),
        selectors: vec![types::Selector {
            r#type: "unix".to_owned(),
            value: "uid:1".to_owned(),
        }],
        ..types::Entry::default()
    }
}

/// The statuses of entries that are asked for all at once.
async fn create(server: &Server<'_>, entries: Vec<types::Entry>) -> Vec<types::Status> {
    let request = BatchCreateEntryRequest {
        entries,
        output_mask: None,
    };
    let mut client = EntryClient::new(live::admin(server));
    let answer = client.batch_create_entry(request).await.unwrap();
    let results = answer.into_inner().results.into_iter();
    results.map(|result| result.status.unwrap()).collect()
}

/// Name and path of what looks like an ID.
pub(super) fn parts(text: &str) -> Option<(String, String)> {
    let rest = text.strip_prefix("spiffe://")?;
    let end = rest.find('/').unwrap_or(rest.len());
    Some((rest[..end].to_owned(), rest[end..].to_owned()))
}

fn is_ours(id: &str) -> bool {
    id.starts_with("spiffe://example.org/")
}

#[tokio::test(flavor = "multi_thread")]
async fn id_21_33_every_example_is_judged_alike_as_an_entry() {
    let bed = Bed::new();
    let server = Server::start(&bed);
    let agent = Attested::join(&server).await;
    let by_command = |id: &str| {
        let mut signet = Command::new(signet_tests::testbed::signet());
        signet.args(["server", "entry", "create", "--selector", "unix:uid:1"]);
        signet.args(["--parent-id", &agent.id, "--spiffe-id", id, "--socket-path"]);
        bed.run(signet.arg(&server.socket))
    };
    let wrong = [examples::invalid(), examples::refused_by_choice()].concat();
    for text in wrong.iter().filter(|text| !text.contains('\0')) {
        let run = by_command(text);
        assert_eq!(run.code, Some(1), "{text:?}: {run:?}");
    }
    let as_messages: Vec<types::Entry> = wrong
        .iter()
        .filter_map(|text| parts(text))
        .map(|(name, path)| entry(&agent.id, &name, &path))
        .collect();
    for status in create(&server, as_messages.clone()).await {
        assert_eq!(status.code, i32::from(Code::InvalidArgument), "{status:?}");
    }
    let shown = server.run(&["entry", "show"]).ok();
    assert!(shown.contains("Found 0 entries"), "{shown}");

    let valid = examples::valid();
    let messages = valid.iter().map(|id| {
        let (name, path) = parts(id).unwrap();
        entry(&agent.id, &name, &path)
    });
    let statuses = create(&server, messages.collect()).await;
    for (id, status) in valid.iter().zip(statuses) {
        let expected = if is_ours(id) {
            Code::Ok
        } else {
            Code::InvalidArgument
        };
        assert_eq!(status.code, i32::from(expected), "{id}: {status:?}");
    }
    by_command("spiffe://example.org/by/command").ok();
}

#[tokio::test(flavor = "multi_thread")]
async fn id_21_33_every_example_is_judged_alike_in_a_request_for_a_certificate() {
    let bed = Bed::new();
    let server = Server::start(&bed);
    let wrong = [examples::invalid(), examples::refused_by_choice()].concat();
    for text in &wrong {
        let uri = Extension::names(&[Name::UriBytes(text.as_bytes())]);
        let refused = live::mint(&server, asking(&key(), &[uri])).await;
        assert_eq!(
            refused.unwrap_err().code(),
            Code::InvalidArgument,
            "{text:?}"
        );
    }
    for id in examples::valid() {
        let minted = live::mint(&server, asking(&key(), &[Extension::uri(&id)])).await;
        assert_eq!(minted.is_ok(), is_ours(&id), "{id}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn id_33_nothing_is_said_about_other_trust_domains() {
    let bed = Bed::new();
    let server = Server::start(&bed);
    let agent = Attested::join(&server).await;
    let mint = |trust_domain: &str| {
        let request = MintJwtsvidRequest {
            id: Some(types::Spiffeid {
                trust_domain: trust_domain.to_owned(),
                path: "/w".to_owned(),
            }),
            audience: vec!["orders".to_owned()],
            ttl: 0,
        };
        let mut client = SvidClient::new(live::admin(&server));
        async move { client.mint_jwtsvid(request).await }
    };
    assert_eq!(mint(OTHER).await.unwrap_err().code(), Code::InvalidArgument);
    mint("example.org").await.unwrap();
    // Of a request only the key is taken; what it says of names is not signed.
    let entry_id = server.entry(&agent.id, W, "unix:uid:1", &[]);
    let params = NewX509svidParams {
        entry_id,
        csr: asking(&key(), &[Extension::uri("spiffe://other.org/w")]),
    };
    let request = BatchNewX509svidRequest {
        params: vec![params],
    };
    let mut client = SvidClient::new(agent.channel(&server));
    let answer = client.batch_new_x509svid(request).await.unwrap();
    let signed = answer.into_inner().results.remove(0).svid.unwrap();
    let text = String::from_utf8_lossy(&signed.cert_chain[0]).into_owned();
    assert!(text.contains(W) && !text.contains("other.org"));
}

#[test]
fn id_08_24_the_bundle_of_a_badly_named_trust_domain_is_not_imported() {
    let bed = Bed::new();
    let server = Server::start(&bed);
    let document = jwks::document(&[jwks::jwt(&key(), "k")]);
    let path = bed.write("bundle.json", &document);
    let import = |id: &str| {
        let path = path.to_str().unwrap();
        server.run(&[
            "bundle", "set", "--id", id, "--path", path, "--format", "spiffe",
        ])
    };
    for name in [
        "OTHER.org",
        "spiffe://Other.org",
        "SPIFFE://other.org",
        "a b",
        "a:80",
        "spiffe://",
    ] {
        assert_eq!(import(name).code, Some(1), "{name}");
    }
    for text in examples::invalid()
        .iter()
        .filter(|text| !text.contains('\0'))
    {
        // What has neither scheme nor anything else wrong with it is a name.
        if text.chars().all(|c| c.is_ascii_lowercase()) && !text.is_empty() {
            continue;
        }
        assert_eq!(import(text).code, Some(1), "{text:?}");
    }
    for id in ["spiffe://other.org", "third.org"] {
        import(id).ok();
    }
    let listed = server.run(&["bundle", "list", "--format", "spiffe"]).ok();
    assert!(
        listed.contains("* other.org") && listed.contains("* third.org"),
        "{listed}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn id_20_an_id_of_2048_bytes_works_from_end_to_end() {
    let bed = Bed::new();
    let server = Server::start(&bed);
    let agent = Agent::join(&server);
    let id = format!("spiffe://example.org/{}", "a".repeat(2027));
    assert_eq!(id.len(), 2048);
    server.entry(&agent.id, &id, &my_user(), &[]);
    agent.serves(&id);
    let fetched = live::fetched(&agent).await.remove(0);
    assert_eq!(fetched.spiffe_id, id);
    let stage = Stage::live(&server, &agent, &[&id], &[]);
    // The proxy runs as this user too, and has an identity of its own.
    let fetched = live::fetched(&agent).await;
    let svid = fetched.iter().find(|svid| svid.spiffe_id == id).unwrap();
    stage.accepts(&id, &live::svid_of(svid));
    let printed = agent
        .run(&["api", "fetch", "jwt", "--audience", "orders"])
        .ok();
    let token = printed
        .split_whitespace()
        .find(|word| word.starts_with("eyJ"))
        .unwrap();
    let valid = validate(&agent, token).ok();
    assert!(valid.contains(&id), "{valid}");
}

#[test]
fn id_25_two_entries_whose_paths_differ_by_case_are_two_identities() {
    let bed = Bed::new();
    let server = Server::start(&bed);
    let agent = Agent::join(&server);
    for id in ["spiffe://example.org/admin", "spiffe://example.org/Admin"] {
        server.entry(&agent.id, id, &my_user(), &[]);
    }
    for id in ["spiffe://example.org/admin", "spiffe://example.org/Admin"] {
        agent.serves(id);
        let shown = server.run(&["entry", "show", "--spiffe-id", id]).ok();
        assert!(
            shown.contains("Found 1 entry") && shown.contains(id),
            "{shown}"
        );
    }
}
