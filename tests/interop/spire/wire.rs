//! The server's API without any command between: the same questions to a server of ours and to
//! one of SPIRE's, and the same answers, apart from times, numbers and the words of errors.

use std::{fmt::Debug, time::Duration};

use signet_proto::spire::api::{
    server::{
        agent::v1::{
            CountAgentsRequest, GetAgentRequest, ListAgentsRequest, agent_client::AgentClient,
            list_agents_request,
        },
        bundle::v1::{GetBundleRequest, GetFederatedBundleRequest, bundle_client::BundleClient},
        debug::v1::{GetInfoRequest, GetInfoResponse, debug_client::DebugClient},
        entry::v1::{
            BatchCreateEntryRequest, BatchUpdateEntryRequest, CountEntriesRequest,
            GetAuthorizedEntriesRequest, GetEntryRequest, ListEntriesRequest,
            entry_client::EntryClient, list_entries_request,
        },
        svid::v1::{MintJwtsvidRequest, NewJwtsvidRequest, svid_client::SvidClient},
    },
    types::{AgentMask, BundleMask, Entry, EntryMask, Selector, SelectorMatch, Spiffeid},
};
use signet_tests::testbed::{Bed, grpc};
use tokio::time::{sleep, timeout};
use tonic::{Response, Status, transport::Channel};

use super::{
    mask::masked,
    raw::runtime,
    stage::{Attestor, Maker, Pair, Stage},
};

#[cfg_attr(spire, test)]
fn the_same_questions_have_the_same_answers() {
    let [ours, theirs] = Maker::BOTH.map(|server| {
        let pair = Pair {
            server,
            agent: Maker::Ours,
            attestor: Attestor::X509Pop,
        };
        let bed = Bed::of(pair.server.server(), pair.agent.agent());
        let stage = Stage::set(&bed, pair, "");
        let agent = stage.agent();
        runtime().block_on(interview(&stage, &agent.id))
    });
    assert_eq!(ours.len(), theirs.len());
    let mut known = KNOWN.to_vec();
    let mut differing = String::new();
    for (ours, theirs) in ours.iter().zip(&theirs) {
        let explained = |known: &&Known| ours.starts_with(known.0) && ours.contains(known.1);
        match known.iter().position(|known| explained(&known)) {
            Some(at) if ours != theirs => drop(known.remove(at)),
            None if ours != theirs => {
                differing += &format!("ours:   {ours}\ntheirs: {theirs}\n");
            }
            Some(_) | None => {}
        }
    }
    println!("{} questions", ours.len());
    assert!(differing.is_empty(), "{differing}");
    assert!(known.is_empty(), "explain nothing: {known:?}");
}

/// A question, what stands in our answer to it, and why theirs is another.
type Known = (&'static str, &'static str, &'static str);

const KNOWN: &[Known] = &[
    (
        "a token that is none",
        "InvalidArgument",
        "it is the caller's mistake, and no internal error",
    ),
    (
        "debug",
        "federated_bundles_count: 0",
        "theirs counts the server's own bundle among the federated ones",
    ),
];

/// What a server said, one line for each question.
type Said = Vec<String>;

async fn interview(stage: &Stage<'_>, agent: &str) -> Said {
    let local = grpc::over_unix(stage.server.socket.clone());
    let mut said = Said::new();
    entries(&local, &mut said).await;
    pages(&local, &mut said).await;
    agents(&local, agent, &mut said).await;
    others(&local, &mut said).await;
    let stranger = grpc::to_server(&stage.server, None);
    strangers(&stranger, &mut said).await;
    said
}

/// Notes an answer; of an error only its code, for the words are each server's own.
fn note<T: Debug>(said: &mut Said, question: &str, answer: Result<Response<T>, Status>) {
    let answer = match answer {
        Ok(answer) => masked(&format!("{:?}", answer.into_inner())),
        Err(status) => format!("{:?}", status.code()),
    };
    let answer = without(&answer, "message: \"", "\"");
    let answer = without(&answer, "public_key: [", "]");
    said.push(format!("{question}: {answer}"));
}

/// The text without what stands between `before` and `after`, wherever.
fn without(text: &str, before: &str, after: &str) -> String {
    let mut parts = text.split(before);
    let first = parts.next().unwrap_or_default().to_owned();
    parts.fold(first, |text, part| {
        let rest = part.split_once(after).map_or("", |(_, rest)| rest);
        text + before + after + rest
    })
}

fn id(path: &str) -> Option<Spiffeid> {
    Some(Spiffeid {
        trust_domain: "example.org".to_owned(),
        path: path.to_owned(),
    })
}

fn entry(name: &str) -> Entry {
    Entry {
        id: name.to_owned(),
        spiffe_id: id(&format!("/{name}")),
        parent_id: id("/p"),
        selectors: vec![Selector {
            r#type: "unix".to_owned(),
            value: format!("uid:{name}"),
        }],
        ..Entry::default()
    }
}

async fn entries(channel: &Channel, said: &mut Said) {
    let mut client = EntryClient::new(channel.clone());
    let some = EntryMask {
        spiffe_id: true,
        hint: true,
        ..EntryMask::default()
    };
    let create = BatchCreateEntryRequest {
        entries: vec![
            Entry {
                hint: "h".to_owned(),
                x509_svid_ttl: 60,
                ..entry("a")
            },
            entry("b"),
            Entry {
                selectors: Vec::new(),
                ..entry("c")
            },
            Entry {
                id: String::new(),
                ..entry("b")
            },
        ],
        output_mask: Some(some),
    };
    note(said, "create", client.batch_create_entry(create).await);
    // Only what the mask names changes; what stands beside it is not looked at.
    let change = Entry {
        hint: "new".to_owned(),
        x509_svid_ttl: 99,
        id: "a".to_owned(),
        ..Entry::default()
    };
    let update = BatchUpdateEntryRequest {
        entries: vec![change],
        input_mask: Some(EntryMask {
            hint: true,
            ..EntryMask::default()
        }),
        output_mask: None,
    };
    note(said, "update", client.batch_update_entry(update).await);
    for (question, name, output_mask) in [
        ("get all of it", "a", None),
        ("get some of it", "a", Some(some)),
        ("get nothing of it", "a", Some(EntryMask::default())),
        ("get nobody", "nobody", None),
        ("get no name", "", None),
    ] {
        let request = GetEntryRequest {
            id: name.to_owned(),
            output_mask,
        };
        note(said, question, client.get_entry(request).await);
    }
}

async fn pages(channel: &Channel, said: &mut Said) {
    let mut client = EntryClient::new(channel.clone());
    let create = BatchCreateEntryRequest {
        entries: ["d", "e", "f", "g", "h"].map(entry).to_vec(),
        output_mask: Some(EntryMask::default()),
    };
    note(said, "more", client.batch_create_entry(create).await);
    let mut request = ListEntriesRequest {
        page_size: 3,
        output_mask: Some(EntryMask::default()),
        ..ListEntriesRequest::default()
    };
    let mut listed = Vec::new();
    // Theirs may end with an empty page, ours with the last full one.
    for _ in 0..4 {
        let page = client.list_entries(request.clone()).await.unwrap();
        let page = page.into_inner();
        assert!(page.entries.len() <= 3);
        listed.extend(page.entries.into_iter().map(|entry| entry.id));
        request.page_token = page.next_page_token;
        if request.page_token.is_empty() {
            break;
        }
    }
    assert_eq!(request.page_token, "", "the list has no end");
    listed.sort();
    said.push(format!("pages: {listed:?}"));
    for (question, filter, page_token) in wrong_lists() {
        let request = ListEntriesRequest {
            filter,
            page_token: page_token.to_owned(),
            page_size: 2,
            ..ListEntriesRequest::default()
        };
        note(said, question, client.list_entries(request).await);
    }
}

type Filter = Option<list_entries_request::Filter>;

fn wrong_lists() -> Vec<(&'static str, Filter, &'static str)> {
    let filter = |filter: list_entries_request::Filter| Some(filter);
    let nothing = SelectorMatch::default();
    vec![
        ("a token that is none", None, "no token"),
        (
            "no selectors",
            filter(list_entries_request::Filter {
                by_selectors: Some(nothing),
                ..Default::default()
            }),
            "",
        ),
        (
            "another trust domain",
            filter(list_entries_request::Filter {
                by_spiffe_id: Some(Spiffeid {
                    trust_domain: "other.test".to_owned(),
                    path: "/a".to_owned(),
                }),
                ..Default::default()
            }),
            "",
        ),
        (
            "no trust domain",
            filter(list_entries_request::Filter {
                by_parent_id: Some(Spiffeid::default()),
                ..Default::default()
            }),
            "",
        ),
    ]
}

async fn agents(channel: &Channel, agent: &str, said: &mut Said) {
    let mut client = AgentClient::new(channel.clone());
    let path = agent.strip_prefix("spiffe://example.org").unwrap();
    let kind = AgentMask {
        attestation_type: true,
        can_reattest: true,
        ..AgentMask::default()
    };
    for (question, path, output_mask) in [
        ("some of an agent", path, Some(kind)),
        ("nothing of an agent", path, Some(AgentMask::default())),
        ("no agent", "/spire/agent/nobody", None),
        ("no agent's path", "/workload", None),
        ("no path", "", None),
    ] {
        let request = GetAgentRequest {
            id: id(path),
            output_mask,
        };
        note(said, question, client.get_agent(request).await);
    }
    for (question, filter) in lists_of_agents() {
        let list = ListAgentsRequest {
            filter: Some(filter),
            output_mask: Some(kind),
            ..ListAgentsRequest::default()
        };
        note(said, question, client.list_agents(list).await);
    }
    let all = CountAgentsRequest { filter: None };
    note(said, "count of agents", client.count_agents(all).await);
}

fn lists_of_agents() -> Vec<(&'static str, list_agents_request::Filter)> {
    let filter = list_agents_request::Filter::default;
    vec![
        (
            "agents of a type",
            list_agents_request::Filter {
                by_attestation_type: "x509pop".to_owned(),
                ..filter()
            },
        ),
        (
            "agents that are banned",
            list_agents_request::Filter {
                by_banned: Some(true),
                ..filter()
            },
        ),
        (
            "agents that are not banned",
            list_agents_request::Filter {
                by_banned: Some(false),
                ..filter()
            },
        ),
        (
            "agents that may attest again",
            list_agents_request::Filter {
                by_can_reattest: Some(true),
                ..filter()
            },
        ),
    ]
}

async fn others(channel: &Channel, said: &mut Said) {
    let mut bundles = BundleClient::new(channel.clone());
    for (question, output_mask) in [
        ("nothing of the bundle", Some(BundleMask::default())),
        (
            "its JWT keys",
            Some(BundleMask {
                jwt_authorities: true,
                ..BundleMask::default()
            }),
        ),
    ] {
        let answer = bundles.get_bundle(GetBundleRequest { output_mask }).await;
        note(said, question, answer);
    }
    let own = GetFederatedBundleRequest {
        trust_domain: "example.org".to_owned(),
        output_mask: None,
    };
    note(said, "own", bundles.get_federated_bundle(own).await);
    let mut info = current_info(channel).await;
    if let Ok(info) = &mut info {
        info.get_mut().uptime = 0;
    }
    note(said, "debug", info);
    let mut svids = SvidClient::new(channel.clone());
    let mint = MintJwtsvidRequest {
        id: id("/minted"),
        audience: Vec::new(),
        ttl: 0,
    };
    note(said, "no audience", svids.mint_jwtsvid(mint).await);
}

/// SPIRE's remembers its answer for some seconds: asks until it counts the entries of now.
async fn current_info(channel: &Channel) -> Result<Response<GetInfoResponse>, Status> {
    let mut entries = EntryClient::new(channel.clone());
    let now = entries
        .count_entries(CountEntriesRequest::default())
        .await?;
    let now = now.into_inner().count;
    let mut debug = DebugClient::new(channel.clone());
    let asking = async {
        loop {
            let info = debug.get_info(GetInfoRequest {}).await?;
            if info.get_ref().entries_count == now {
                return Ok(info);
            }
            sleep(PAUSE).await;
        }
    };
    let asked = timeout(REMEMBERED, asking).await;
    asked.unwrap_or_else(|_elapsed| Err(Status::deadline_exceeded("it counts other entries")))
}

/// Calls over the network without an identity.
async fn strangers(channel: &Channel, said: &mut Said) {
    let mut bundles = BundleClient::new(channel.clone());
    let all = GetBundleRequest::default();
    let bundle = bundles.get_bundle(all).await;
    assert!(bundle.is_ok(), "anybody may have the bundle");
    let mut entries = EntryClient::new(channel.clone());
    let list = entries.list_entries(ListEntriesRequest::default()).await;
    note(said, "a stranger lists", list);
    let authorized = GetAuthorizedEntriesRequest::default();
    let authorized = entries.get_authorized_entries(authorized).await;
    note(said, "a stranger is no agent", authorized);
    let mut svids = SvidClient::new(channel.clone());
    let token = svids.new_jwtsvid(NewJwtsvidRequest::default()).await;
    note(said, "a stranger wants a token", token);
    let mut debug = DebugClient::new(channel.clone());
    let info = debug.get_info(GetInfoRequest {}).await;
    note(said, "a stranger is curious", info);
}

/// Longer than SPIRE's server remembers.
const REMEMBERED: Duration = Duration::from_secs(15);
const PAUSE: Duration = Duration::from_millis(200);
