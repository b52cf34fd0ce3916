//! What the agent keeps on disk of itself: its SVID and the own bundle in `agent-data.json`, its
//! keys in `keys.json`. Both are private files, replaced whole.
//!
//! Two keys are kept while an SVID is being replaced, so that a crash at any moment leaves the key
//! of whichever certificate was stored.

mod keys;

use std::{
    fs, io,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError},
};

use rustls::pki_types::CertificateDer;
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use signet_daemon::{
    file::{self, FileError},
    guard::{GuardError, check_no_stranger},
};
use signet_identity::{
    TrustDomain,
    bundle::Bundle,
    key::{KeyError, PrivateKey},
    x509,
};
use zeroize::Zeroizing;

use keys::KeyFile;

/// The agent's files, a cheap handle.
#[derive(Clone, Debug)]
pub(crate) struct Storage {
    shared: Arc<Shared>,
}

/// Where the agent's keys live.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum KeyManager {
    /// In `keys.json` in this directory.
    Disk(PathBuf),
    /// Nowhere: after a restart the agent attests again.
    Memory,
}

/// What an earlier run left.
#[derive(Debug, Default)]
pub(crate) struct Saved {
    pub(crate) bundle: Option<Bundle>,
    pub(crate) svid: Option<SavedSvid>,
}

/// An agent SVID with its key.
#[derive(Clone, Debug)]
pub(crate) struct SavedSvid {
    pub(crate) chain: Vec<CertificateDer<'static>>,
    pub(crate) key: PrivateKey,
    pub(crate) reattestable: bool,
}

/// A file of the agent that cannot be read or written.
#[derive(Debug, thiserror::Error)]
pub(crate) enum StorageError {
    #[error("reading {0}")]
    Read(PathBuf, #[source] io::Error),
    #[error(transparent)]
    Write(#[from] FileError),
    #[error(transparent)]
    Guard(#[from] GuardError),
    #[error("removing {0}")]
    Remove(PathBuf, #[source] io::Error),
    #[error("making the key of the cache on disk")]
    Key(#[from] KeyError),
    #[error(
        "{0} is damaged ({1}); remove it to let the agent attest again (with a new join token, if \
         it attests by one)"
    )]
    Damaged(PathBuf, String),
    #[error("{0} belongs to trust domain {1}, not {2}; use another data_dir")]
    OtherTrustDomain(PathBuf, String, TrustDomain),
    #[error("writing was interrupted: {0}")]
    Interrupted(String),
    #[error("another agent uses the data directory {0}")]
    InUse(PathBuf),
}

#[derive(Debug)]
struct Shared {
    data_path: PathBuf,
    cache_path: PathBuf,
    keys: Option<KeyFile>,
    trust_domain: TrustDomain,
    data: Mutex<Data>,
    _lock: file::Lock,
}

/// `agent-data.json`.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
struct Data {
    trust_domain: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    svid: Option<String>,
    #[serde(default)]
    reattestable: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    bundle: Option<String>,
}

impl Storage {
    /// Opens the data directory, makes it if necessary, and reads what is there.
    pub(crate) fn open(
        data_dir: &Path,
        keys: KeyManager,
        trust_domain: &TrustDomain,
    ) -> Result<(Self, Saved), StorageError> {
        file::create_private_directory(data_dir)?;
        if let KeyManager::Disk(directory) = &keys {
            file::create_private_directory(directory)?;
        }
        check_no_stranger(&data_dir.join("agent-data.json"))?;
        let cache_path = data_dir.join("agent-cache.sealed");
        let Some(lock) = file::lock(&data_dir.join("agent.lock"))? else {
            return Err(StorageError::InUse(data_dir.to_owned()));
        };
        let shared = Shared {
            data_path: data_dir.join("agent-data.json"),
            cache_path,
            keys: match keys {
                KeyManager::Disk(directory) => Some(KeyFile::open(&directory)?),
                KeyManager::Memory => None,
            },
            trust_domain: trust_domain.clone(),
            data: Mutex::default(),
            _lock: lock,
        };
        shared.sweep()?;
        let saved = shared.load()?;
        let shared = Arc::new(shared);
        Ok((Self { shared }, saved))
    }

    /// Keeps a key that a certificate is about to be asked for, beside the one in use.
    pub(crate) fn save_keys(
        &self,
        current: Option<&PrivateKey>,
        next: &PrivateKey,
    ) -> Result<(), StorageError> {
        match &self.shared.keys {
            Some(keys) => keys.put_svid_keys(current, next),
            None => Ok(()),
        }
    }

    /// The key that the cache on disk is sealed with, made when it is first asked for; none if
    /// keys are not kept.
    pub(crate) fn cache_key(&self) -> Result<Option<PrivateKey>, StorageError> {
        let keys = self.shared.keys.as_ref();
        keys.map(KeyFile::cache_key).transpose()
    }

    /// Where the cache is kept.
    pub(crate) fn cache_path(&self) -> PathBuf {
        self.shared.cache_path.clone()
    }

    /// Keeps the SVID; its key was kept before.
    pub(crate) fn save_svid(&self, svid: &SavedSvid) -> Result<(), StorageError> {
        self.shared.change(|data| {
            data.svid = Some(x509::chain_to_pem(&svid.chain));
            data.reattestable = svid.reattestable;
        })
    }

    /// Keeps the own bundle.
    pub(crate) fn save_bundle(&self, bundle: &Bundle) -> Result<(), StorageError> {
        self.shared
            .change(|data| data.bundle = Some(bundle.to_pem()))
    }

    /// Gives up the SVID, and what is kept of those of workloads, because the agent is banned.
    pub(crate) fn forget_svid(&self) -> Result<(), StorageError> {
        let path = &self.shared.cache_path;
        match fs::remove_file(path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                return Err(StorageError::Remove(path.clone(), error));
            }
            Ok(()) | Err(_) => {}
        }
        self.shared.change(|data| data.svid = None)
    }
}

impl Shared {
    /// An agent that was killed as it wrote has left what it wrote, perhaps a key.
    fn sweep(&self) -> Result<(), StorageError> {
        file::sweep(&self.data_path)?;
        Ok(file::sweep(&self.cache_path)?)
    }

    fn load(&self) -> Result<Saved, StorageError> {
        let Some(data) = read::<Data>(&self.data_path)? else {
            return Ok(Saved::default());
        };
        if data.trust_domain != self.trust_domain.as_str() {
            return Err(StorageError::OtherTrustDomain(
                self.data_path.clone(),
                data.trust_domain,
                self.trust_domain.clone(),
            ));
        }
        let damaged = |what: String| StorageError::Damaged(self.data_path.clone(), what);
        let bundle = data.bundle.as_deref();
        let bundle = bundle.map(|pem| Bundle::from_pem(self.trust_domain.clone(), pem));
        let saved = Saved {
            bundle: bundle.transpose().map_err(|e| damaged(e.to_string()))?,
            svid: self.load_svid(&data)?,
        };
        *self.data.lock().unwrap_or_else(PoisonError::into_inner) = data;
        Ok(saved)
    }

    /// The SVID, if its key is there too.
    fn load_svid(&self, data: &Data) -> Result<Option<SavedSvid>, StorageError> {
        let damaged = |what: String| StorageError::Damaged(self.data_path.clone(), what);
        let Some(pem) = &data.svid else {
            return Ok(None);
        };
        let chain = x509::chain_from_pem(pem).map_err(|error| damaged(error.to_string()))?;
        let Some(leaf) = chain.first() else {
            return Err(damaged("no certificate in `svid`".to_owned()));
        };
        let spki = x509::public_key(leaf).map_err(|error| damaged(error.to_string()))?;
        let keys = self.keys.as_ref().map(KeyFile::all).transpose()?;
        let keys = keys.unwrap_or_default();
        let key = keys.into_iter().find(|key| key.spki_der() == spki);
        Ok(key.map(|key| SavedSvid {
            chain,
            key,
            reattestable: data.reattestable,
        }))
    }

    fn change(&self, change: impl FnOnce(&mut Data)) -> Result<(), StorageError> {
        let mut data = self.data.lock().unwrap_or_else(PoisonError::into_inner);
        let mut next = data.clone();
        next.trust_domain = self.trust_domain.to_string();
        change(&mut next);
        write(&self.data_path, &next)?;
        *data = next;
        Ok(())
    }
}

fn read<T: DeserializeOwned>(path: &Path) -> Result<Option<T>, StorageError> {
    let text = match fs::read(path) {
        Ok(text) => Zeroizing::new(text),
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(StorageError::Read(path.to_owned(), error)),
    };
    match serde_json::from_slice(&text) {
        Ok(value) => Ok(Some(value)),
        // Only the place of the mistake is told: serde's own words could quote a key.
        Err(error) => {
            let place = format!("line {} is not the expected JSON", error.line());
            Err(StorageError::Damaged(path.to_owned(), place))
        }
    }
}

fn write(path: &Path, value: &impl Serialize) -> Result<(), StorageError> {
    let text = match serde_json::to_vec_pretty(value) {
        Ok(text) => Zeroizing::new(text),
        Err(error) => return Err(StorageError::Damaged(path.to_owned(), error.to_string())),
    };
    Ok(file::write_private(path, &text)?)
}

#[cfg(test)]
mod tests;
