//! The `plugins` block: how the node attests, where keys live, how workloads are attested.

use std::path::{Path, PathBuf};

use serde::Deserialize;
use signet_daemon::config::{Block, ConfigError, Document};
use zeroize::Zeroizing;

use super::file::File;
use crate::{
    node::{JoinToken, NodeAttestor, X509Pop},
    storage::KeyManager,
};

/// What the `unix` workload attestor looks at.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct UnixSettings {
    pub(crate) discover_workload_path: bool,
    pub(crate) workload_size_limit: i64,
}

/// The one node attestor.
pub(super) fn node_attestor(document: &Document, file: &File) -> Result<NodeAttestor, ConfigError> {
    let token = join_token(document, file)?;
    let blocks = document.enabled_blocks("plugins.NodeAttestor")?;
    match (blocks.as_slice(), token) {
        ([], JoinToken::Absent) => Err(document.problem(
            "plugins",
            "no NodeAttestor is configured; add `NodeAttestor \"join_token\" { plugin_data {} }` \
             or \"x509pop\"",
        )),
        ([], token) => Ok(NodeAttestor::JoinToken(token)),
        ([block], token) if block.label() == "join_token" => Ok(NodeAttestor::JoinToken(token)),
        ([block], JoinToken::Absent) => x509pop(block).map(NodeAttestor::X509Pop),
        ([block], JoinToken::Given(_) | JoinToken::File(_)) => Err(block.problem(
            "",
            "a join token is given, but another NodeAttestor is configured; use one of them",
        )),
        ([_, second, ..], _) => Err(second.problem(
            "",
            "more than one NodeAttestor is configured; a node attests by exactly one",
        )),
    }
}

/// Where the agent's keys live; in the data directory, if nothing is said.
pub(super) fn key_manager(document: &Document, data_dir: &Path) -> Result<KeyManager, ConfigError> {
    let blocks = document.enabled_blocks("plugins.KeyManager")?;
    match blocks.as_slice() {
        [] => Ok(KeyManager::Disk(data_dir.to_owned())),
        [block] if block.label() == "memory" => Ok(KeyManager::Memory),
        [block] => {
            let disk: Disk = block.section("plugin_data")?;
            let directory = disk.directory.unwrap_or_else(|| data_dir.to_owned());
            Ok(KeyManager::Disk(directory))
        }
        [_, second, ..] => Err(second.problem(
            "",
            "more than one KeyManager is configured; use one of them",
        )),
    }
}

/// The settings of the `unix` workload attestor.
pub(super) fn workload_attestor(document: &Document) -> Result<UnixSettings, ConfigError> {
    match document
        .enabled_blocks("plugins.WorkloadAttestor")?
        .as_slice()
    {
        [] => Ok(UnixSettings::default()),
        [block, ..] => block.section("plugin_data"),
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Disk {
    directory: Option<PathBuf>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct X509PopFile {
    private_key_path: PathBuf,
    certificate_path: PathBuf,
    intermediates_path: Option<PathBuf>,
}

fn join_token(document: &Document, file: &File) -> Result<JoinToken, ConfigError> {
    match (&file.join_token, &file.join_token_file) {
        (Some(_), Some(_)) => Err(document.problem(
            "agent.join_token",
            "both join_token and join_token_file are given; use one of them",
        )),
        (Some(token), None) if token.trim().is_empty() => {
            Err(document.problem("agent.join_token", "the join token is empty"))
        }
        (Some(token), None) => Ok(JoinToken::Given(Zeroizing::new(token.clone()))),
        (None, Some(path)) => Ok(JoinToken::File(path.clone())),
        (None, None) => Ok(JoinToken::Absent),
    }
}

fn x509pop(block: &Block<'_>) -> Result<X509Pop, ConfigError> {
    let file: X509PopFile = block.section("plugin_data")?;
    Ok(X509Pop {
        private_key_path: file.private_key_path,
        certificate_path: file.certificate_path,
        intermediates_path: file.intermediates_path,
    })
}
