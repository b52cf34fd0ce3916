//! The admin socket's own services over a real socket.

use std::{collections::BTreeSet, sync::Arc};

use signet_daemon::{health::Health, socket::UnixSocket};
use signet_proto::spire::{
    agent::debug::v1::{GetInfoRequest, debug_client::DebugClient},
    api::agent::logger::v1::{
        GetLoggerRequest, ResetLogLevelRequest, SetLogLevelRequest, logger_client::LoggerClient,
    },
};
use tempfile::TempDir;
use tokio::sync::watch;
use tokio_util::{
    sync::{CancellationToken, DropGuard},
    task::TaskTracker,
};
use tonic::{Code, transport::Channel};

use super::{AdminApi, serve_admin};
use crate::{
    api::{
        testing::{cache_with, entry, sign_in},
        workload::probe,
    },
    cache::Change,
    clock,
    status::{LastSync, Status},
    workload::{Attestors, Discovery, Unix, WorkloadAttestor},
};

struct Admin {
    api: AdminApi,
    channel: Channel,
    _folder: TempDir,
    _stop: DropGuard,
}

async fn admin() -> Admin {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("admin.sock");
    let socket = UnixSocket::bind(&path, 0o770).unwrap();
    let api = AdminApi {
        cache: cache_with(),
        attestors: Attestors::new(vec![WorkloadAttestor::Unix(Unix::new(Discovery::Path))]),
        delegates: Arc::new(BTreeSet::new()),
        identity: watch::channel(None).1,
        status: Status::new(&Health::new()),
        started: clock::now(),
    };
    let stop = CancellationToken::new();
    TaskTracker::new().spawn(serve_admin(socket, api.clone(), stop.clone()));
    Admin {
        api,
        channel: probe::connect(&path).await.unwrap(),
        _folder: folder,
        _stop: stop.drop_guard(),
    }
}

#[tokio::test]
async fn an_agent_without_an_svid_or_a_server_tells_what_it_holds_all_the_same() {
    let admin = admin().await;
    let mut client = DebugClient::new(admin.channel.clone());
    let told = client
        .get_info(GetInfoRequest {})
        .await
        .unwrap()
        .into_inner();
    assert!(told.svid_chain.is_empty());
    assert_eq!(
        (told.cached_x509_svids_count, told.last_sync_success),
        (0, 0)
    );
    admin.api.cache.apply(Change {
        entries: vec![entry(1), entry(2)],
        ..Change::default()
    });
    sign_in(&admin.api.cache, &entry(1));
    admin.api.status.synced(LastSync::Now);
    let at = clock::now();
    admin.api.status.followed_until(at);
    let told = client
        .get_info(GetInfoRequest {})
        .await
        .unwrap()
        .into_inner();
    let expected = (1, signet_identity::unix::seconds(at));
    assert_eq!(
        (told.cached_x509_svids_count, told.last_sync_success),
        expected
    );
}

#[tokio::test]
async fn a_level_that_is_none_is_refused_and_so_is_everything_where_there_is_no_log() {
    let admin = admin().await;
    let mut client = LoggerClient::new(admin.channel.clone());
    for (new_level, code) in [
        (0, Code::InvalidArgument),
        (99, Code::InvalidArgument),
        (5, Code::FailedPrecondition),
    ] {
        let refused = client.set_log_level(SetLogLevelRequest { new_level }).await;
        assert_eq!(refused.unwrap_err().code(), code, "{new_level}");
    }
    let told = client.get_logger(GetLoggerRequest {}).await;
    assert_eq!(told.unwrap_err().code(), Code::FailedPrecondition);
    let reset = client.reset_log_level(ResetLogLevelRequest {}).await;
    assert_eq!(reset.unwrap_err().code(), Code::FailedPrecondition);
}
