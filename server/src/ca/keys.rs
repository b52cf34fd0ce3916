//! Where the CA's private keys live: in memory, or in a file that survives a restart.
//!
//! The file is that of SPIRE's `disk` key manager: JSON with PKCS#8 keys in base64 under the key
//! ids `x509-CA-A`, `x509-CA-B`, `JWT-Signer-A` and `JWT-Signer-B`.

use std::{
    collections::BTreeMap,
    fs, io,
    path::{Path, PathBuf},
    sync::{Mutex, PoisonError},
};

use base64::{Engine as _, prelude::BASE64_STANDARD};
use serde::{Deserialize, Serialize};
use signet_daemon::file::{self, FileError};
use signet_identity::key::{KeyError, KeyType, PrivateKey};
use zeroize::{Zeroize, Zeroizing};

use super::signer::Signer;

/// Why a key could not be made, kept or read.
#[derive(Debug, thiserror::Error)]
pub(crate) enum KeyManagerError {
    /// The file could not be read.
    #[error(
        "cannot read the key file {}: {source}; check keys_path of KeyManager \"disk\"",
        path.display()
    )]
    Read {
        /// The file.
        path: PathBuf,
        /// Why it failed.
        source: io::Error,
    },
    /// The file could not be written.
    #[error("the CA's keys cannot be kept: {0}; check keys_path of KeyManager \"disk\"")]
    Write(#[from] FileError),
    /// The file is not what this server or SPIRE writes.
    #[error(
        "the key file {} is damaged: {what}; restore it, or move it away to start with new keys",
        path.display()
    )]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What is wrong, without any key in it.
        what: String,
    },
    /// The keys could not be written as JSON.
    #[error("the CA's keys cannot be encoded")]
    Encode(#[from] serde_json::Error),
    /// No key could be generated.
    #[error("cannot generate a key")]
    Generate(#[from] KeyError),
}

/// Keeps the CA's private keys by key id.
#[derive(Debug)]
pub(crate) enum KeyManager {
    /// Keys that are gone with the process.
    Memory(MemoryKeys),
    /// Keys in a file.
    Disk(DiskKeys),
}

impl KeyManager {
    /// Keeps keys in memory only.
    pub(crate) fn memory() -> Self {
        Self::Memory(MemoryKeys::default())
    }

    /// Keeps keys in the file at `path`, and reads those that are there. No other server may be
    /// about to write it.
    pub(crate) fn disk(path: &Path) -> Result<Self, KeyManagerError> {
        DiskKeys::open(path).map(Self::Disk)
    }

    /// Makes a new key under `key_id`; a former one of that id is gone. When this returns, the
    /// key is where it will be kept.
    pub(crate) fn generate(&self, key_id: &str, kind: KeyType) -> Result<Signer, KeyManagerError> {
        let key = PrivateKey::generate(kind)?;
        match self {
            Self::Memory(keys) => keys.put(key_id, key.clone()),
            Self::Disk(keys) => keys.put(key_id, key.clone())?,
        }
        Ok(Signer::Local(key))
    }

    /// The file in which these keys were found, if it has been a CA's: the keys of its tokens are
    /// made only after its first certificate was published.
    pub(crate) fn file_of_a_ca(&self) -> Option<&Path> {
        match self {
            Self::Memory(_) => None,
            Self::Disk(keys) => keys.of_a_ca.then_some(&keys.path),
        }
    }

    /// The key under `key_id`.
    pub(crate) fn key(&self, key_id: &str) -> Option<Signer> {
        match self {
            Self::Memory(keys) => keys.key(key_id).map(Signer::Local),
            Self::Disk(keys) => keys.held.key(key_id).map(Signer::Local),
        }
    }
}

/// Keys by id, in memory.
#[derive(Debug, Default)]
pub(crate) struct MemoryKeys(Mutex<BTreeMap<String, PrivateKey>>);

impl MemoryKeys {
    fn put(&self, key_id: &str, key: PrivateKey) {
        let mut keys = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        keys.insert(key_id.to_owned(), key);
    }

    fn key(&self, key_id: &str) -> Option<PrivateKey> {
        let keys = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        keys.get(key_id).cloned()
    }
}

/// Keys by id, in memory and in a file.
#[derive(Debug)]
pub(crate) struct DiskKeys {
    path: PathBuf,
    held: MemoryKeys,
    of_a_ca: bool,
}

#[derive(Serialize, Deserialize)]
struct KeyFile {
    keys: BTreeMap<String, String>,
}

impl Drop for KeyFile {
    fn drop(&mut self) {
        self.keys.values_mut().for_each(Zeroize::zeroize);
    }
}

impl DiskKeys {
    fn open(path: &Path) -> Result<Self, KeyManagerError> {
        file::sweep(path)?;
        let text = match fs::read_to_string(path) {
            Ok(text) => Zeroizing::new(text),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                let keys = Self {
                    path: path.to_owned(),
                    held: MemoryKeys::default(),
                    of_a_ca: false,
                };
                // A file that cannot be written is found out now, not at the first rotation.
                keys.write(&BTreeMap::new())?;
                return Ok(keys);
            }
            Err(source) => {
                let path = path.to_owned();
                return Err(KeyManagerError::Read { path, source });
            }
        };
        let damaged = |what: String| KeyManagerError::Damaged {
            path: path.to_owned(),
            what,
        };
        // Only the location of the mistake is told: serde's own words could quote a key.
        let file: KeyFile = serde_json::from_str(&text)
            .map_err(|error| damaged(format!("line {} is not the expected JSON", error.line())))?;
        let mut keys = BTreeMap::new();
        for (key_id, encoded) in &file.keys {
            let key = decode(encoded)
                .ok_or_else(|| damaged(format!("the key {key_id:?} is unreadable")))?;
            keys.insert(key_id.clone(), key);
        }
        Ok(Self {
            path: path.to_owned(),
            of_a_ca: keys.keys().any(|key_id| key_id.starts_with(TOKEN_KEYS)),
            held: MemoryKeys(Mutex::new(keys)),
        })
    }

    fn put(&self, key_id: &str, key: PrivateKey) -> Result<(), KeyManagerError> {
        let mut keys = self.held.0.lock().unwrap_or_else(PoisonError::into_inner);
        let mut next = keys.clone();
        next.insert(key_id.to_owned(), key);
        self.write(&next)?;
        *keys = next;
        Ok(())
    }

    fn write(&self, keys: &BTreeMap<String, PrivateKey>) -> Result<(), KeyManagerError> {
        let encode = |key: &PrivateKey| BASE64_STANDARD.encode(key.pkcs8_der());
        let file = KeyFile {
            keys: keys
                .iter()
                .map(|(id, key)| (id.clone(), encode(key)))
                .collect(),
        };
        let text = serde_json::to_vec_pretty(&file).map(Zeroizing::new)?;
        Ok(file::write_private(&self.path, &text)?)
    }
}

/// How the key ids of JWT authorities begin, here and with SPIRE.
const TOKEN_KEYS: &str = "JWT-Signer-";

fn decode(encoded: &str) -> Option<PrivateKey> {
    let der = Zeroizing::new(BASE64_STANDARD.decode(encoded).ok()?);
    PrivateKey::from_pkcs8(&der).ok()
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    #[test]
    fn keys_on_disk_are_there_after_a_restart() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("keys.json");
        let keys = KeyManager::disk(&path).unwrap();
        let made = keys.generate("x509-CA-A", KeyType::EcP256).unwrap();
        let again = KeyManager::disk(&path).unwrap().key("x509-CA-A").unwrap();
        assert_eq!(made.spki_der(), again.spki_der());
        assert!(keys.key("x509-CA-B").is_none());
    }

    #[test]
    fn the_key_file_is_its_owners_alone_and_nothing_else_is_left() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("keys.json");
        let keys = KeyManager::disk(&path).unwrap();
        keys.generate("JWT-Signer-A", KeyType::EcP256).unwrap();
        assert_eq!(
            fs::metadata(&path).unwrap().permissions().mode() & 0o777,
            0o600
        );
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
    }

    #[test]
    fn a_new_key_takes_the_place_of_the_old_one() {
        let keys = KeyManager::memory();
        let first = keys.generate("x509-CA-A", KeyType::EcP256).unwrap();
        let second = keys.generate("x509-CA-A", KeyType::EcP256).unwrap();
        let kept = keys.key("x509-CA-A").unwrap();
        assert_ne!(first.spki_der(), second.spki_der());
        assert_eq!(second.spki_der(), kept.spki_der());
    }

    #[test]
    fn a_folder_that_is_not_there_is_found_out_at_once() {
        let error = KeyManager::disk(Path::new("/nonexistent/keys.json")).unwrap_err();
        assert!(
            error.to_string().contains("/nonexistent/keys.json"),
            "{error}"
        );
    }

    #[test]
    fn a_damaged_file_is_refused_and_left_alone() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("keys.json");
        for text in ["{\"keys\":{\"x509-CA-A\":\"aGFsbG8=\"}}", "{\"keys\":", ""] {
            fs::write(&path, text).unwrap();
            let error = KeyManager::disk(&path).unwrap_err();
            assert!(error.to_string().contains("damaged"), "{error}");
            assert_eq!(fs::read_to_string(&path).unwrap(), text);
        }
    }
}
