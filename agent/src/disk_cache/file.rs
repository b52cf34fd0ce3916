//! The file of the cache: sealed, and bound to this agent on this machine.

use std::{
    fs, io,
    os::unix::ffi::OsStrExt as _,
    path::{Path, PathBuf},
};

use prost::Message as _;
use signet_daemon::file::{self, FileError};
use signet_identity::{
    SpiffeId,
    crypto::{BrokenSeal, SealError, SealingKey, sha256},
    key::PrivateKey,
};
use signet_proto::signet::agent::cache::v1::Envelope;
use zeroize::Zeroizing;

/// The file, and the key that it is sealed with.
#[derive(Debug)]
pub(crate) struct CacheFile {
    path: PathBuf,
    key: SealingKey,
    machine: Vec<u8>,
}

/// What was sealed, wiped when it is dropped.
type Plain = Zeroizing<Vec<u8>>;

/// Why a file is not used.
#[derive(Debug, thiserror::Error)]
pub(crate) enum RefusedFile {
    #[error("it cannot be read")]
    Read(#[from] io::Error),
    #[error("it has {0} bytes, more than the {LARGEST} that are read")]
    TooLarge(u64),
    #[error("it is torn, or it never was a cache")]
    NotACache,
    #[error("it has form {0}, which this version does not read")]
    OtherForm(u32),
    #[error("it belongs to {0}")]
    OtherAgent(String),
    #[error("it was written on another machine")]
    OtherMachine,
    #[error(transparent)]
    Seal(#[from] BrokenSeal),
    #[error("its content makes no sense: {0}")]
    Content(String),
}

/// Why a file was not written.
#[derive(Debug, thiserror::Error)]
pub(crate) enum UnwrittenFile {
    #[error(transparent)]
    Seal(#[from] SealError),
    #[error(transparent)]
    File(#[from] FileError),
}

impl CacheFile {
    /// The file at `path`, sealed with what belongs to `key`, on the machine whose ID stands in
    /// the file `machine_id`.
    pub(crate) fn new(
        path: PathBuf,
        key: &PrivateKey,
        machine_id: &Path,
    ) -> Result<Self, SealError> {
        // In a container there may be no machine ID; then the key alone binds.
        let machine = fs::read(machine_id).unwrap_or_default();
        let machine = machine.trim_ascii();
        Ok(Self {
            path,
            key: SealingKey::derive(key, PURPOSE)?,
            machine: match machine.is_empty() {
                true => Vec::new(),
                false => sha256(machine).to_vec(),
            },
        })
    }

    /// What `agent` wrote here, if it wrote anything.
    pub(crate) fn read(&self, agent: &SpiffeId) -> Result<Option<Plain>, RefusedFile> {
        let size = match fs::metadata(&self.path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            metadata => metadata?.len(),
        };
        if size > LARGEST {
            return Err(RefusedFile::TooLarge(size));
        }
        let bytes = fs::read(&self.path)?;
        let envelope =
            Envelope::decode(bytes.as_slice()).map_err(|_malformed| RefusedFile::NotACache)?;
        let context = self.context(agent);
        if envelope.version == 0 {
            return Err(RefusedFile::NotACache);
        }
        if envelope.version != FORM {
            return Err(RefusedFile::OtherForm(envelope.version));
        }
        if envelope.agent_id != context.agent_id {
            return Err(RefusedFile::OtherAgent(envelope.agent_id));
        }
        if envelope.machine != context.machine {
            return Err(RefusedFile::OtherMachine);
        }
        let plain = self.key.open(&context.encode_to_vec(), &envelope.sealed)?;
        Ok(Some(plain))
    }

    /// Replaces the file, whole. Blocks.
    pub(crate) fn write(&self, agent: &SpiffeId, plain: &[u8]) -> Result<(), UnwrittenFile> {
        let mut envelope = self.context(agent);
        envelope.sealed = self.key.seal(&envelope.encode_to_vec(), plain)?;
        Ok(file::write_private(&self.path, &envelope.encode_to_vec())?)
    }

    /// Removes the file, if there is one. Blocks.
    pub(crate) fn remove(&self) -> io::Result<()> {
        match fs::remove_file(&self.path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            Ok(()) | Err(_) => Ok(()),
        }
    }

    /// Moves a refused file out of the way, where somebody may look at it; says where to.
    pub(crate) fn set_aside(&self) -> io::Result<PathBuf> {
        let mut name = self.path.as_os_str().to_owned();
        name.push(std::ffi::OsStr::from_bytes(b".refused"));
        let aside = PathBuf::from(name);
        fs::rename(&self.path, &aside)?;
        Ok(aside)
    }

    /// What is not secret of a file of `agent`; the seal holds for this alone.
    fn context(&self, agent: &SpiffeId) -> Envelope {
        Envelope {
            version: FORM,
            agent_id: agent.to_string(),
            machine: self.machine.clone(),
            sealed: Vec::new(),
        }
    }
}

const FORM: u32 = 1;
const PURPOSE: &[u8] = b"signet agent cache";
/// Some 200,000 entries with an SVID each.
const LARGEST: u64 = 512 << 20;
