//! `signet.server.sync.v1.Sync`: an agent's view, pushed as it changes.

use std::{collections::VecDeque, time::Duration};

use futures_util::stream::{self, BoxStream, StreamExt as _};
use prost::Message as _;
use signet_daemon::log::Scope;
use signet_identity::SpiffeId;
use signet_proto::{
    signet::server::sync::v1::{WatchRequest, WatchResponse, sync_server::Sync},
    spire::api::types::permission_denied_details::Reason,
};
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use tonic::{Request, Response, Status};

use super::{caller::log, calling_agent, status::permission_denied};
use crate::{
    clock,
    directory::{Directory, Follow, Step},
};

/// The service.
#[derive(Debug, Clone)]
pub(crate) struct SyncService {
    directory: Directory,
    shutdown: CancellationToken,
}

impl SyncService {
    /// Streams end when `shutdown` is cancelled; they would hold up the end of the server
    /// otherwise.
    pub(crate) fn new(directory: Directory, shutdown: CancellationToken) -> Self {
        Self {
            directory,
            shutdown,
        }
    }
}

#[tonic::async_trait]
impl Sync for SyncService {
    type WatchStream = BoxStream<'static, Result<WatchResponse, Status>>;

    async fn watch(
        &self,
        request: Request<WatchRequest>,
    ) -> Result<Response<Self::WatchStream>, Status> {
        let agent = calling_agent(&request)?;
        let token = request.into_inner().resume_token;
        let Some(follow) = self.directory.follow(&agent, &token) else {
            return Err(refusal(&self.directory, &agent).unwrap_or_else(ended));
        };
        let watch = Watch {
            follow,
            agent,
            directory: self.directory.clone(),
            messages: VecDeque::new(),
        };
        // The stream outlives the call that opened it; its lines are still the caller's.
        let scope = Scope::current();
        let messages = stream::try_unfold(watch, move |mut watch| {
            let part = async move {
                let part = watch.next().await?;
                Ok(Some((part, watch)))
            };
            scope.clone().around(part)
        });
        let stopped = self.shutdown.clone().cancelled_owned();
        Ok(Response::new(messages.take_until(stopped).boxed()))
    }
}

struct Watch {
    follow: Follow,
    agent: SpiffeId,
    directory: Directory,
    /// What is left of the present step.
    messages: VecDeque<WatchResponse>,
}

impl Watch {
    async fn next(&mut self) -> Result<WatchResponse, Status> {
        loop {
            if let Some(part) = self.messages.pop_front() {
                return Ok(part);
            }
            // The stream was opened with a certificate that ends, whether or not anything
            // changes: looked at again after a while.
            let step = timeout(RECHECK, self.follow.next()).await;
            if let Some(refused) = refusal(&self.directory, &self.agent) {
                return Err(refused);
            }
            match step {
                Err(_elapsed) => {}
                Ok(Some(step)) => self.messages = messages(step),
                Ok(None) => return Err(ended()),
            }
        }
    }
}

/// Why this agent is told nothing any more.
fn refusal(directory: &Directory, agent: &SpiffeId) -> Option<Status> {
    let reason = match directory.agent(agent) {
        None => Reason::AgentNotAttested,
        Some(agent) if agent.banned => Reason::AgentBanned,
        Some(agent) => {
            let newest = agent
                .renewed
                .as_ref()
                .map_or(agent.not_after, |renewed| renewed.not_after);
            if newest > clock::now() {
                return None;
            }
            Reason::AgentExpired
        }
    };
    log::refusal(METHOD, Some(agent), None, Some(reason));
    let message = format!("authorization denied for method {METHOD}");
    Some(permission_denied(message, Some(reason)))
}

/// The agent was deleted and attested again in between: it is to start anew.
fn ended() -> Status {
    Status::unavailable("the agent was attested anew; watch again")
}

/// The messages of one step, each below what gRPC clients accept.
fn messages(step: Step) -> VecDeque<WatchResponse> {
    let mut messages = Messages {
        done: VecDeque::new(),
        part: WatchResponse::default(),
        bytes: 0,
    };
    messages.part.reset = step.reset;
    for bundle in &step.bundles.changed {
        let bundle = bundle.to_proto(None);
        messages.make_room(bundle.encoded_len());
        messages.part.bundles.push(bundle);
    }
    for trust_domain in &step.bundles.gone {
        messages.make_room(trust_domain.as_str().len());
        messages
            .part
            .removed_trust_domains
            .push(trust_domain.to_string());
    }
    for entry in &step.entries.changed {
        let entry = entry.to_proto(None);
        messages.make_room(entry.encoded_len());
        messages.part.entries.push(entry);
    }
    for id in &step.entries.gone {
        messages.make_room(id.as_str().len());
        messages.part.removed_entry_ids.push(id.to_string());
    }
    messages.part.resume_token = step.resume_token;
    messages.done.push_back(messages.part);
    messages.done
}

struct Messages {
    done: VecDeque<WatchResponse>,
    part: WatchResponse,
    bytes: usize,
}

impl Messages {
    /// Starts another message if the present one cannot take an item of this size.
    fn make_room(&mut self, item: usize) {
        let item = item.saturating_add(OVERHEAD);
        if self.bytes > 0 && self.bytes.saturating_add(item) > PART_BYTES {
            self.part.more = true;
            self.done.push_back(std::mem::take(&mut self.part));
            self.bytes = 0;
        }
        self.bytes = self.bytes.saturating_add(item);
    }
}

const METHOD: &str = "/signet.server.sync.v1.Sync/Watch";
/// gRPC clients refuse messages above 4 MiB.
const PART_BYTES: usize = 3 * 1024 * 1024;
/// Tag and length of an item within its message.
const OVERHEAD: usize = 8;
const RECHECK: Duration = Duration::from_secs(30);

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::{
        api::caller::{Caller, Identified},
        directory::testing::{TestDirectory, agent, entry, id},
        store::Delta,
    };

    async fn watching() -> (TestDirectory, SyncService, CancellationToken) {
        let test = TestDirectory::new().await;
        let mut known = agent("/spire/agent/x", &[]);
        known.not_after = clock::now() + Duration::from_secs(3600);
        test.attest(known).await;
        let shutdown = CancellationToken::new();
        let service = SyncService::new(test.directory.clone(), shutdown.clone());
        (test, service, shutdown)
    }

    fn request(path: &str) -> Request<WatchRequest> {
        let mut request = Request::new(WatchRequest::default());
        let address = std::net::Ipv4Addr::LOCALHOST.into();
        let caller = Identified {
            id: id(path),
            address,
        };
        request.extensions_mut().insert(Caller::Agent(caller));
        request
    }

    #[tokio::test]
    async fn an_agent_is_pushed_its_entries_until_it_is_banned() {
        let (test, service, _shutdown) = watching().await;
        let watch = service
            .watch(request("/spire/agent/x"))
            .await
            .expect("a stream");
        let mut watch = watch.into_inner();
        let first = watch.next().await.expect("a message").expect("all");
        assert!(first.reset && first.entries.is_empty());
        let new = entry("e1", "/spire/agent/x", "/w");
        test.store
            .store
            .create_entry(new.clone())
            .await
            .expect("create");
        let second = watch.next().await.expect("a message").expect("a delta");
        assert_eq!(
            (second.reset, second.entries),
            (false, vec![new.to_proto(None)])
        );
        test.store
            .store
            .ban_agent(id("/spire/agent/x"))
            .await
            .expect("ban");
        let end = watch.next().await.expect("a message").expect_err("an end");
        assert_eq!(end.code(), tonic::Code::PermissionDenied);
        assert!(!end.details().is_empty());
    }

    #[tokio::test]
    async fn streams_end_with_the_server() {
        let (_test, service, shutdown) = watching().await;
        let watch = service
            .watch(request("/spire/agent/x"))
            .await
            .expect("a stream");
        let mut watch = watch.into_inner();
        watch.next().await.expect("a message").expect("all");
        shutdown.cancel();
        assert!(watch.next().await.is_none());
    }

    #[tokio::test]
    async fn who_is_not_an_attested_agent_gets_no_stream() {
        let (_test, service, _shutdown) = watching().await;
        for request in [
            request("/spire/agent/y"),
            Request::new(WatchRequest::default()),
        ] {
            let Err(refused) = service.watch(request).await else {
                panic!("a stream")
            };
            assert_eq!(refused.code(), tonic::Code::PermissionDenied);
        }
    }

    #[test]
    fn a_small_step_is_one_message() {
        let step = Step {
            reset: true,
            entries: Delta::only(vec![Arc::new(entry("e1", "/spire/agent/x", "/w"))]),
            resume_token: "t".to_owned(),
            ..Step::default()
        };
        let messages = messages(step);
        assert_eq!(messages.len(), 1);
        let part = messages.front().expect("a part");
        assert!(part.reset && !part.more);
        assert_eq!((part.entries.len(), part.resume_token.as_str()), (1, "t"));
    }

    #[test]
    fn a_large_step_is_split_and_only_its_end_has_the_token() {
        let big = |n: usize| {
            let mut entry = entry(&format!("e{n}"), "/spire/agent/x", "/w");
            entry.dns_names = vec!["x".repeat(250); 4000];
            Arc::new(entry)
        };
        let step = Step {
            reset: true,
            entries: Delta::only((0..10).map(big).collect()),
            resume_token: "t".to_owned(),
            ..Step::default()
        };
        let messages = messages(step);
        assert!(messages.len() > 1);
        assert!(
            messages
                .iter()
                .all(|part| part.encoded_len() < 4 * 1024 * 1024)
        );
        assert_eq!(
            messages
                .iter()
                .map(|part| part.entries.len())
                .sum::<usize>(),
            10
        );
        let more: Vec<_> = messages
            .iter()
            .map(|part| (part.reset, part.more))
            .collect();
        assert_eq!(more.first(), Some(&(true, true)));
        assert_eq!(more.last(), Some(&(false, false)));
        let tokens: Vec<_> = messages
            .iter()
            .filter(|part| !part.resume_token.is_empty())
            .collect();
        assert_eq!(tokens.len(), 1);
    }
}
