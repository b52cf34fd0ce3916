//! The `plugins` block: what SPIRE has as plugins and we have built in.

use std::path::{Path, PathBuf};

use signet_daemon::config::{Block, ConfigError, Document};

use super::file;
use crate::attest::X509PopSettings;

/// Where the CA's keys are kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum KeyManagerSettings {
    Memory,
    Disk { path: PathBuf },
}

/// A node attestor to be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum AttestorSettings {
    JoinToken,
    X509Pop(X509PopSettings),
}

/// The SQLite file.
pub(super) fn database(document: &Document, data_dir: &Path) -> Result<PathBuf, ConfigError> {
    let blocks = document.enabled_blocks("plugins.DataStore")?;
    let Some(block) = only(document, "plugins.DataStore", &blocks)? else {
        return Ok(data_dir.join(DEFAULT_DATABASE));
    };
    let sql: file::Sql = block.section(DATA)?;
    match sql.database_type.as_deref() {
        Some("sqlite3") => {}
        Some(other) => {
            let what = format!("{other:?} is not supported yet; use \"sqlite3\"");
            return Err(block.problem("plugin_data.database_type", what));
        }
        None => {
            let what = "is missing; use \"sqlite3\"";
            return Err(block.problem("plugin_data.database_type", what));
        }
    }
    let at = "plugin_data.connection_string";
    let path = sql.connection_string.unwrap_or_default();
    let path = path.strip_prefix("file:").unwrap_or(&path);
    if path.is_empty() {
        return Err(block.problem(at, "is missing; name the database file"));
    }
    if path.contains('?') || path == ":memory:" {
        return Err(block.problem(at, "must be the path of a file, without parameters"));
    }
    Ok(PathBuf::from(path))
}

/// The key manager: exactly one, or a file in `data_dir` if none is configured.
pub(super) fn key_manager(
    document: &Document,
    data_dir: &Path,
) -> Result<KeyManagerSettings, ConfigError> {
    let blocks = document.enabled_blocks("plugins.KeyManager")?;
    let default = || KeyManagerSettings::Disk {
        path: data_dir.join(DEFAULT_KEYS),
    };
    let Some(block) = only(document, "plugins.KeyManager", &blocks)? else {
        return Ok(default());
    };
    if block.label() == "memory" {
        return Ok(KeyManagerSettings::Memory);
    }
    let disk: file::Disk = block.section(DATA)?;
    match disk.keys_path {
        Some(path) if !path.as_os_str().is_empty() => Ok(KeyManagerSettings::Disk { path }),
        Some(_) | None => Err(block.problem(
            "plugin_data.keys_path",
            "is missing; name the file that keeps the CA's keys",
        )),
    }
}

/// The node attestors. As in SPIRE, join tokens need no plugin: they are good wherever an
/// administrator makes one.
pub(super) fn attestors(document: &Document) -> Result<Vec<AttestorSettings>, ConfigError> {
    let mut attestors = vec![AttestorSettings::JoinToken];
    for block in document.enabled_blocks("plugins.NodeAttestor")? {
        match block.label() {
            "join_token" => {}
            _ => attestors.push(AttestorSettings::X509Pop(x509pop(&block)?)),
        }
    }
    Ok(attestors)
}

fn x509pop(block: &Block<'_>) -> Result<X509PopSettings, ConfigError> {
    let pop: file::X509Pop = block.section(DATA)?;
    let ca_bundle_paths = match (pop.ca_bundle_path, pop.ca_bundle_paths) {
        (Some(path), paths) if paths.is_empty() => vec![path],
        (None, paths) if !paths.is_empty() => paths,
        (Some(_), _) => {
            let what = "cannot stand beside ca_bundle_paths; use one of them";
            return Err(block.problem("plugin_data.ca_bundle_path", what));
        }
        (None, _) => {
            let what = "is missing; name a file with the CA certificates in PEM";
            return Err(block.problem("plugin_data.ca_bundle_path", what));
        }
    };
    Ok(X509PopSettings { ca_bundle_paths })
}

fn only<'b, 'd>(
    document: &Document,
    path: &str,
    blocks: &'b [Block<'d>],
) -> Result<Option<&'b Block<'d>>, ConfigError> {
    match blocks {
        [] => Ok(None),
        [one] => Ok(Some(one)),
        [_, _, ..] => Err(document.problem(path, "is there more than once; choose one")),
    }
}

const DATA: &str = "plugin_data";
const DEFAULT_DATABASE: &str = "datastore.sqlite3";
const DEFAULT_KEYS: &str = "keys.json";
