//! The whole server in one process: real sockets, TLS, store and CA.

mod agents;
mod crowd;
mod debug;
mod running;
mod start;
mod strangers;
mod taken_over;
mod x509pop;

use std::{net::SocketAddr, path::PathBuf, time::Duration};

use hyper_util::rt::TokioIo;
use prost::Message as _;
use rustls::pki_types::{CertificateDer, ServerName};
use signet_daemon::reload::Reloader;
use signet_identity::{
    SpiffeId,
    bundle::Bundle,
    csr::{self, Subject},
    key::{KeyType, PrivateKey},
    tls::{self, Expect, Identity},
    trust::Trust,
};
use signet_proto::{
    google::rpc,
    spire::api::{
        server::{
            agent::v1::{
                AgentX509svidParams, AttestAgentRequest, BanAgentRequest, CountAgentsRequest,
                CreateJoinTokenRequest, ListAgentsRequest, PostStatusRequest, RenewAgentRequest,
                agent_client::AgentClient, attest_agent_request, attest_agent_response,
            },
            bundle::v1::{GetBundleRequest, bundle_client::BundleClient},
            entry::v1::{BatchCreateEntryRequest, entry_client::EntryClient},
            svid::v1::{
                BatchNewX509svidRequest, MintJwtsvidRequest, NewJwtsvidRequest, NewX509svidParams,
                svid_client::SvidClient,
            },
        },
        types::{self, PermissionDeniedDetails, permission_denied_details::Reason},
    },
};
use tempfile::TempDir;
use tokio::{
    net::{TcpStream, UnixStream},
    sync::watch,
    task::JoinSet,
    time::timeout,
};
use tokio_rustls::TlsConnector;
use tokio_util::sync::CancellationToken;
use tonic::{
    Code, Request, Status,
    transport::{Channel, Endpoint, Uri},
};
use tower::service_fn;

use super::*;
use running::{Agent, Running, attest_with, flags, reason, version};
