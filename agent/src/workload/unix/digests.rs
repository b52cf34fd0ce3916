//! SHA-256 of executables, remembered by file identity.
//!
//! A file is the same while device, inode, size, modification and change time are. That is only
//! certain for a file that has rested a while: one that changed a moment ago can change again
//! within the same tick of the file system's clock, so its hash is used once and not remembered.

use std::{
    collections::HashMap,
    fs::{File, Metadata},
    io::{self, Read as _},
    os::unix::fs::MetadataExt as _,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, SystemTime},
};

use rustls::crypto::hash::{Context, Hash, HashAlgorithm};

use crate::workload::AttestError;

/// Remembered hashes.
#[derive(Debug, Default)]
pub(crate) struct Digests {
    slots: Mutex<HashMap<FileState, Arc<Slot>>>,
    uses: AtomicU64,
}

/// One file in one state. While one thread hashes it the others that want it wait here.
#[derive(Debug, Default)]
struct Slot {
    digest: Mutex<Option<String>>,
    last_use: AtomicU64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, std::hash::Hash)]
struct FileState {
    device: u64,
    inode: u64,
    size: u64,
    modified: (i64, i64),
    changed: (i64, i64),
}

impl Digests {
    /// The hash of an open executable of at most `limit` bytes, in lower-case hex.
    pub(crate) fn of(
        &self,
        file: &File,
        limit: Option<u64>,
        now: SystemTime,
    ) -> Result<String, AttestError> {
        let metadata = file.metadata().map_err(AttestError::Executable)?;
        if let Some(limit) = limit.filter(|limit| metadata.len() > *limit) {
            let size = metadata.len();
            return Err(AttestError::TooLarge { size, limit });
        }
        let state = FileState::of(&metadata);
        if !state.has_rested(now) {
            return hash(file, state);
        }
        let slot = self.slot(state);
        let mut digest = slot.digest.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = &*digest {
            return Ok(known.clone());
        }
        Ok(digest.insert(hash(file, state)?).clone())
    }

    fn slot(&self, state: FileState) -> Arc<Slot> {
        let mut slots = self.slots.lock().unwrap_or_else(PoisonError::into_inner);
        if slots.len() >= MOST_REMEMBERED && !slots.contains_key(&state) {
            drop_least_recent(&mut slots);
        }
        let slot = Arc::clone(slots.entry(state).or_default());
        let this_use = self.uses.fetch_add(1, Ordering::Relaxed);
        slot.last_use.store(this_use, Ordering::Relaxed);
        slot
    }
}

fn drop_least_recent(slots: &mut HashMap<FileState, Arc<Slot>>) {
    let oldest = slots
        .iter()
        .min_by_key(|(_, slot)| slot.last_use.load(Ordering::Relaxed))
        .map(|(state, _)| *state);
    if let Some(oldest) = oldest {
        slots.remove(&oldest);
    }
}

/// Reads the file through; a file that changed meanwhile has no hash.
fn hash(mut file: &File, state: FileState) -> Result<String, AttestError> {
    let mut hasher = sha256()?;
    let mut buffer = vec![0; CHUNK];
    loop {
        let read = match file.read(&mut buffer) {
            Ok(0) => break,
            Ok(read) => read,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(AttestError::Executable(error)),
        };
        hasher.update(buffer.get(..read).unwrap_or_default());
    }
    let after = file.metadata().map_err(AttestError::Executable)?;
    if FileState::of(&after) != state {
        return Err(AttestError::Changed("its executable file"));
    }
    Ok(hex::encode(hasher.finish()))
}

/// A running SHA-256 of the one provider of cryptography; a file is too large to be held whole.
fn sha256() -> Result<Box<dyn Context>, AttestError> {
    let suites = &signet_identity::crypto::provider().cipher_suites;
    suites
        .iter()
        .filter_map(|suite| suite.tls13())
        .map(|suite| suite.common.hash_provider)
        .find(|hash| hash.algorithm() == HashAlgorithm::SHA256)
        .map(Hash::start)
        .ok_or(AttestError::NoHash)
}

impl FileState {
    fn of(metadata: &Metadata) -> Self {
        Self {
            device: metadata.dev(),
            inode: metadata.ino(),
            size: metadata.len(),
            modified: (metadata.mtime(), metadata.mtime_nsec()),
            changed: (metadata.ctime(), metadata.ctime_nsec()),
        }
    }

    /// The change time cannot be set by a program, unlike the modification time.
    fn has_rested(&self, now: SystemTime) -> bool {
        let (Ok(seconds), Ok(nanos)) =
            (u64::try_from(self.changed.0), u64::try_from(self.changed.1))
        else {
            return false;
        };
        let changed = Duration::from_secs(seconds).saturating_add(Duration::from_nanos(nanos));
        now.duration_since(SystemTime::UNIX_EPOCH)
            .is_ok_and(|now| now.saturating_sub(changed) >= REST)
    }
}

/// Far longer than a tick of any file system's clock.
const REST: Duration = Duration::from_secs(2);

/// Different executables on one node; an entry is about 150 bytes.
const MOST_REMEMBERED: usize = 1024;

const CHUNK: usize = 64 * 1024;

#[cfg(test)]
mod tests {
    use std::{fs, io::Write as _};

    use super::*;

    const ABC: &str = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";

    struct Rested {
        folder: tempfile::TempDir,
        now: SystemTime,
    }

    /// A folder for files, and a time at which a file written now has rested.
    fn rested() -> Rested {
        let folder = tempfile::tempdir().unwrap();
        let created = folder.path().metadata().unwrap().modified().unwrap();
        Rested {
            folder,
            now: created + Duration::from_secs(3600),
        }
    }

    impl Rested {
        fn file(&self, name: &str, content: &[u8]) -> File {
            let path = self.folder.path().join(name);
            fs::write(&path, content).unwrap();
            File::open(path).unwrap()
        }
    }

    #[test]
    fn the_hash_is_sha_256_in_lower_case_hex() {
        let place = rested();
        let file = place.file("abc", b"abc");
        assert_eq!(Digests::default().of(&file, None, place.now).unwrap(), ABC);
    }

    #[test]
    fn a_file_larger_than_one_chunk_is_hashed_whole() {
        let place = rested();
        let content = vec![7; 3 * CHUNK + 1];
        let file = place.file("large", &content);
        let expected = hex::encode(signet_identity::crypto::sha256(&content));
        assert_eq!(
            Digests::default().of(&file, None, place.now).unwrap(),
            expected
        );
    }

    #[test]
    fn a_known_file_is_not_read_again() {
        let place = rested();
        let digests = Digests::default();
        let file = place.file("abc", b"abc");
        digests.of(&file, None, place.now).unwrap();
        // The first descriptor is at its end: reading through it again would hash nothing.
        assert_eq!(digests.of(&file, None, place.now).unwrap(), ABC);
        let other = place.file("other", b"other");
        assert_ne!(digests.of(&other, None, place.now).unwrap(), ABC);
    }

    #[test]
    fn a_file_that_changed_a_moment_ago_is_not_remembered() {
        let place = rested();
        let digests = Digests::default();
        let file = place.file("abc", b"abc");
        let changed = file.metadata().unwrap().modified().unwrap();
        assert_eq!(digests.of(&file, None, changed + REST / 2).unwrap(), ABC);
        assert!(digests.slots.lock().unwrap().is_empty());
    }

    #[test]
    fn a_file_over_the_limit_is_refused_with_both_numbers() {
        let place = rested();
        let file = place.file("abc", b"abc");
        let digests = Digests::default();
        let error = digests.of(&file, Some(2), place.now).unwrap_err();
        assert!(matches!(error, AttestError::TooLarge { size: 3, limit: 2 }));
        digests.of(&file, Some(3), place.now).unwrap();
    }

    #[test]
    fn a_file_that_changes_while_it_is_read_has_no_hash() {
        let place = rested();
        let file = place.file("abc", b"abc");
        let before = FileState::of(&file.metadata().unwrap());
        let path = place.folder.path().join("abc");
        let mut writer = fs::OpenOptions::new().append(true).open(path).unwrap();
        writer.write_all(b"d").unwrap();
        assert!(matches!(hash(&file, before), Err(AttestError::Changed(_))));
    }

    #[test]
    fn the_number_of_remembered_hashes_is_bounded_and_the_used_ones_stay() {
        let digests = Digests::default();
        let state = |inode| FileState {
            device: 1,
            inode,
            size: 1,
            modified: (0, 0),
            changed: (0, 0),
        };
        for inode in 0..5000 {
            digests.slot(state(0));
            digests.slot(state(inode));
        }
        let slots = digests.slots.lock().unwrap();
        assert!(slots.len() <= MOST_REMEMBERED);
        assert!(slots.contains_key(&state(0)));
    }
}
