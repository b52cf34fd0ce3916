//! The service as clients see it.

use signet_proto::spire::api::{
    server::entry::v1::{
        BatchCreateEntryRequest, BatchDeleteEntryRequest, BatchUpdateEntryRequest,
        CountEntriesRequest, GetEntryRequest, ListEntriesRequest, entry_server::Entry as _,
        list_entries_request,
    },
    types,
};
use tonic::{Code, Request};

use super::EntryService;
use crate::{
    directory::testing::{TestDirectory, entry},
    registration::Registration,
};

async fn service() -> (TestDirectory, EntryService) {
    let test = TestDirectory::new().await;
    let registration = Registration::new(test.store.store.clone(), test.directory.clone());
    let service = EntryService::new(registration, test.directory.clone());
    (test, service)
}

fn wanted(name: &str) -> types::Entry {
    entry(name, "/spire/agent/x", "/w").to_proto(None)
}

async fn create(service: &EntryService, entries: Vec<types::Entry>) -> Vec<(i32, String, String)> {
    let request = BatchCreateEntryRequest {
        entries,
        output_mask: None,
    };
    let response = service
        .batch_create_entry(Request::new(request))
        .await
        .expect("create");
    let results = response.into_inner().results.into_iter();
    results
        .map(|result| {
            let status = result.status.expect("a status");
            (
                status.code,
                status.message,
                result.entry.map(|entry| entry.id).unwrap_or_default(),
            )
        })
        .collect()
}

#[tokio::test]
async fn items_of_a_batch_stand_for_themselves() {
    let (_test, service) = service().await;
    let similar = types::Entry {
        id: String::new(),
        ..wanted("a")
    };
    let bad = types::Entry {
        selectors: Vec::new(),
        ..wanted("b")
    };
    let lonely = types::Entry {
        federates_with: vec!["p.org".to_owned()],
        ..wanted("c")
    };
    let results = create(
        &service,
        vec![wanted("a"), similar, bad, lonely, wanted("d")],
    )
    .await;
    let codes: Vec<_> = results
        .iter()
        .map(|(code, _, id)| (*code, id.as_str()))
        .collect();
    assert_eq!(codes, [(0, "a"), (6, "a"), (3, ""), (3, ""), (0, "d")]);
    assert_eq!(results[0].1, "OK");
    assert_eq!(results[1].1, "similar entry already exists");
    assert!(
        results[2].1.starts_with("failed to convert entry: "),
        "{}",
        results[2].1
    );
    assert!(
        results[3]
            .1
            .contains("unable to find federated bundle \"spiffe://p.org\""),
        "{}",
        results[3].1
    );
}

#[tokio::test]
async fn an_update_changes_what_the_mask_names() {
    let (_test, service) = service().await;
    create(&service, vec![wanted("a")]).await;
    let change = types::Entry {
        id: "a".to_owned(),
        hint: "h".to_owned(),
        ..Default::default()
    };
    let missing = types::Entry {
        id: "b".to_owned(),
        ..wanted("b")
    };
    let nameless = types::Entry {
        id: String::new(),
        ..wanted("b")
    };
    let request = BatchUpdateEntryRequest {
        entries: vec![change, missing, nameless],
        input_mask: Some(types::EntryMask {
            hint: true,
            ..Default::default()
        }),
        output_mask: Some(types::EntryMask {
            hint: true,
            revision_number: true,
            ..Default::default()
        }),
    };
    let response = service
        .batch_update_entry(Request::new(request))
        .await
        .expect("update");
    let results = response.into_inner().results;
    let codes: Vec<_> = results
        .iter()
        .map(|r| r.status.as_ref().expect("status").code)
        .collect();
    assert_eq!(codes, [0, 5, 3]);
    let updated = results[0].entry.clone().expect("entry");
    let expected = types::Entry {
        id: "a".to_owned(),
        hint: "h".to_owned(),
        revision_number: 1,
        ..Default::default()
    };
    assert_eq!(updated, expected);
    let get = GetEntryRequest {
        id: "a".to_owned(),
        output_mask: None,
    };
    let stored = service
        .get_entry(Request::new(get))
        .await
        .expect("get")
        .into_inner();
    assert_eq!(stored.selectors, wanted("a").selectors);
}

#[tokio::test]
async fn deletion_answers_for_each_id() {
    let (_test, service) = service().await;
    create(&service, vec![wanted("a")]).await;
    let ids = ["a", "a", ""].map(str::to_owned).to_vec();
    let request = Request::new(BatchDeleteEntryRequest { ids });
    let results = service
        .batch_delete_entry(request)
        .await
        .expect("delete")
        .into_inner()
        .results;
    let codes: Vec<_> = results
        .iter()
        .map(|r| (r.status.as_ref().expect("status").code, r.id.as_str()))
        .collect();
    assert_eq!(codes, [(0, "a"), (5, "a"), (3, "")]);
}

#[tokio::test]
async fn what_is_not_there_or_not_asked_properly_is_told_with_spires_codes() {
    let (_test, service) = service().await;
    let get = |id: &str| {
        Request::new(GetEntryRequest {
            id: id.to_owned(),
            output_mask: None,
        })
    };
    let missing = service
        .get_entry(get("nobody"))
        .await
        .expect_err("not found");
    assert_eq!(
        (missing.code(), missing.message()),
        (Code::NotFound, "entry not found")
    );
    let nameless = service.get_entry(get("")).await.expect_err("invalid");
    assert_eq!(
        (nameless.code(), nameless.message()),
        (Code::InvalidArgument, "missing ID")
    );
    let empty = list_entries_request::Filter {
        by_selectors: Some(types::SelectorMatch::default()),
        ..Default::default()
    };
    let list = ListEntriesRequest {
        filter: Some(empty),
        ..Default::default()
    };
    let refused = service
        .list_entries(Request::new(list))
        .await
        .expect_err("invalid");
    assert_eq!(refused.code(), Code::InvalidArgument);
}

#[tokio::test]
async fn lists_are_paged_and_counted() {
    let (_test, service) = service().await;
    create(&service, (0..5).map(|n| wanted(&format!("e{n}"))).collect()).await;
    let mut seen = Vec::new();
    let mut page_token = String::new();
    loop {
        let request = ListEntriesRequest {
            page_size: 2,
            page_token,
            ..Default::default()
        };
        let page = service
            .list_entries(Request::new(request))
            .await
            .expect("list")
            .into_inner();
        seen.extend(page.entries.into_iter().map(|entry| entry.id));
        page_token = page.next_page_token;
        if page_token.is_empty() {
            break;
        }
    }
    assert_eq!(seen, ["e0", "e1", "e2", "e3", "e4"]);
    let count = service
        .count_entries(Request::new(CountEntriesRequest::default()))
        .await;
    assert_eq!(count.expect("count").into_inner().count, 5);
}

#[tokio::test]
async fn a_filter_for_downstream_entries_that_is_false_is_none() {
    let (_test, service) = service().await;
    let downstream = types::Entry {
        downstream: true,
        ..entry("b", "/spire/agent/x", "/other").to_proto(None)
    };
    create(&service, vec![wanted("a"), downstream]).await;
    for (by_downstream, expected) in [(None, 2), (Some(false), 2), (Some(true), 1)] {
        let request = ListEntriesRequest {
            filter: Some(list_entries_request::Filter {
                by_downstream,
                ..Default::default()
            }),
            ..Default::default()
        };
        let listed = service.list_entries(Request::new(request)).await;
        let listed = listed.expect("list").into_inner().entries;
        assert_eq!(listed.len(), expected, "{by_downstream:?}");
    }
}

#[tokio::test]
async fn a_filter_by_an_id_of_another_trust_domain_is_a_mistake() {
    let (_test, service) = service().await;
    let stranger = Some(types::Spiffeid {
        trust_domain: "other.org".to_owned(),
        path: "/w".to_owned(),
    });
    for filter in [
        list_entries_request::Filter {
            by_spiffe_id: stranger.clone(),
            ..Default::default()
        },
        list_entries_request::Filter {
            by_parent_id: stranger,
            ..Default::default()
        },
    ] {
        let request = ListEntriesRequest {
            filter: Some(filter),
            ..Default::default()
        };
        let refused = service.list_entries(Request::new(request)).await;
        let refused = refused.expect_err("a mistake");
        assert_eq!(refused.code(), Code::InvalidArgument, "{refused}");
        assert!(refused.message().contains("other.org"), "{refused}");
    }
}

#[tokio::test]
async fn only_agents_get_authorized_entries() {
    let (_test, service) = service().await;
    let request = Request::new(Default::default());
    let refused = service
        .get_authorized_entries(request)
        .await
        .expect_err("refused");
    assert_eq!(refused.code(), Code::PermissionDenied);
}
