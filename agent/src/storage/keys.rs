//! `keys.json`, the disk key manager's file: PKCS #8 in base64 by slot.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    sync::{Mutex, PoisonError},
};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use serde::{Deserialize, Serialize};
use signet_daemon::{file, guard::check_no_stranger};
use signet_identity::key::{KeyType, PrivateKey};
use zeroize::{Zeroize, Zeroizing};

use super::{StorageError, read, write};

/// The file, and what is in it.
pub(super) struct KeyFile {
    path: PathBuf,
    keys: Mutex<Keys>,
}

#[derive(Clone, Default, Deserialize, Serialize)]
struct Keys {
    keys: BTreeMap<String, String>,
}

impl KeyFile {
    /// Reads the file in `directory`, if there is one.
    pub(super) fn open(directory: &Path) -> Result<Self, StorageError> {
        let path = directory.join("keys.json");
        check_no_stranger(&path)?;
        file::sweep(&path)?;
        let keys = Mutex::new(read::<Keys>(&path)?.unwrap_or_default());
        Ok(Self { path, keys })
    }

    /// Every key.
    pub(super) fn all(&self) -> Result<Vec<PrivateKey>, StorageError> {
        let keys = self.keys.lock().unwrap_or_else(PoisonError::into_inner);
        keys.keys
            .iter()
            .map(|(slot, text)| self.decode(slot, text))
            .collect()
    }

    /// Keeps the key of the agent's SVID, if it has one, and the one that is to follow.
    pub(super) fn put_svid_keys(
        &self,
        current: Option<&PrivateKey>,
        next: &PrivateKey,
    ) -> Result<(), StorageError> {
        self.change(|keys| {
            for (slot, key) in [("agent-svid-A", current), ("agent-svid-B", Some(next))] {
                keys.put(slot, key);
            }
        })
    }

    /// The key of the cache on disk, made now if there is none.
    pub(super) fn cache_key(&self) -> Result<PrivateKey, StorageError> {
        let text = {
            let keys = self.keys.lock().unwrap_or_else(PoisonError::into_inner);
            keys.keys.get(CACHE_SLOT).cloned().map(Zeroizing::new)
        };
        if let Some(text) = text {
            return self.decode(CACHE_SLOT, &text);
        }
        let key = PrivateKey::generate(KeyType::EcP256)?;
        self.change(|keys| keys.put(CACHE_SLOT, Some(&key)))?;
        Ok(key)
    }

    fn decode(&self, slot: &str, text: &str) -> Result<PrivateKey, StorageError> {
        let damaged = |error: &dyn std::fmt::Display| {
            StorageError::Damaged(self.path.clone(), format!("`{slot}`: {error}"))
        };
        let der = STANDARD.decode(text).map_err(|e| damaged(&e))?;
        PrivateKey::from_pkcs8(&Zeroizing::new(der)).map_err(|e| damaged(&e))
    }

    fn change(&self, change: impl FnOnce(&mut Keys)) -> Result<(), StorageError> {
        let mut keys = self.keys.lock().unwrap_or_else(PoisonError::into_inner);
        let mut next = keys.clone();
        change(&mut next);
        write(&self.path, &next)?;
        *keys = next;
        Ok(())
    }
}

impl Keys {
    fn put(&mut self, slot: &str, key: Option<&PrivateKey>) {
        let old = match key {
            Some(key) => self
                .keys
                .insert(slot.to_owned(), STANDARD.encode(key.pkcs8_der())),
            None => self.keys.remove(slot),
        };
        drop(old.map(Zeroizing::new));
    }
}

impl Drop for Keys {
    fn drop(&mut self) {
        self.keys.values_mut().for_each(Zeroize::zeroize);
    }
}

impl std::fmt::Debug for KeyFile {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("KeyFile").field(&self.path).finish()
    }
}

const CACHE_SLOT: &str = "agent-cache";
