//! The files and folders that the documents of the mesh stand in.

use std::{
    fs::{self, Metadata},
    io::Read as _,
    os::unix::fs::MetadataExt as _,
    path::{Path, PathBuf},
};

use anyhow::{Context as _, bail, ensure};
use signet_mesh::Source;

/// What tells one state of a file from another.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Stamp {
    path: PathBuf,
    inode: u64,
    size: u64,
    changed: (i64, i64),
}

/// What was seen last of the documents, and of the files that they name.
#[derive(Debug)]
pub(super) struct Seen {
    documents: Vec<Stamp>,
    named: Vec<PathBuf>,
    /// None of one that was not there.
    named_stamps: Vec<Option<Stamp>>,
}

impl Seen {
    pub(super) fn new(documents: Vec<Stamp>, named: Vec<PathBuf>) -> Self {
        Self {
            documents,
            named_stamps: of_named(&named),
            named,
        }
    }

    /// From now on the documents name these files.
    pub(super) fn names(&mut self, named: Vec<PathBuf>) {
        self.named_stamps = of_named(&named);
        self.named = named;
    }

    /// Whether the documents differ from what was seen last, or a file that they name does. What is
    /// there now is seen by that.
    pub(super) fn differs(&mut self, documents: Vec<Stamp>) -> bool {
        let named_stamps = of_named(&self.named);
        let is_same = documents == self.documents && named_stamps == self.named_stamps;
        self.documents = documents;
        self.named_stamps = named_stamps;
        !is_same
    }
}

fn of_named(paths: &[PathBuf]) -> Vec<Option<Stamp>> {
    let stamp_of = |path: &PathBuf| {
        let metadata = fs::metadata(path).ok()?;
        Some(stamp(&metadata, path.clone()))
    };
    paths.iter().map(stamp_of).collect()
}

/// Every file at these paths, as it is now.
///
/// # Errors
/// A path that cannot be read, or a folder without documents.
pub(super) fn stamps(paths: &[PathBuf]) -> anyhow::Result<Vec<Stamp>> {
    let mut stamps = Vec::new();
    for path in paths {
        let metadata = metadata(path)?;
        if metadata.is_dir() {
            for file in yaml_files(path)? {
                stamps.push(stamp(&metadata_of_file(&file)?, file));
            }
        } else {
            stamps.push(stamp(&metadata, path.clone()));
        }
    }
    ensure!(
        stamps.len() <= MAX_FILES,
        "mesh: more than {MAX_FILES} files"
    );
    Ok(stamps)
}

fn metadata(path: &Path) -> anyhow::Result<Metadata> {
    fs::metadata(path).with_context(|| format!("mesh: {} cannot be read", path.display()))
}

fn metadata_of_file(path: &Path) -> anyhow::Result<Metadata> {
    let metadata = metadata(path)?;
    ensure!(metadata.is_file(), "mesh: {} is not a file", path.display());
    Ok(metadata)
}

fn stamp(metadata: &Metadata, path: PathBuf) -> Stamp {
    Stamp {
        path,
        inode: metadata.ino(),
        size: metadata.size(),
        changed: (metadata.ctime(), metadata.ctime_nsec()),
    }
}

fn yaml_files(folder: &Path) -> anyhow::Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    let listing = fs::read_dir(folder)
        .with_context(|| format!("mesh: {} cannot be listed", folder.display()))?;
    for item in listing {
        let path = item?.path();
        let extension = path.extension().and_then(|extension| extension.to_str());
        if matches!(extension, Some("yaml" | "yml")) {
            files.push(path);
        }
    }
    // No policy would permit everything; that has to be said, not to happen.
    ensure!(
        !files.is_empty(),
        "mesh: {} has no YAML file in it; to accept every authenticated peer, write \
         `mesh: []`",
        folder.display()
    );
    files.sort();
    Ok(files)
}

/// Reads the files.
///
/// # Errors
/// One that cannot be read, is too large, or is no text.
pub(super) fn read(stamps: &[Stamp]) -> anyhow::Result<Vec<Source>> {
    let read = |Stamp { path, .. }: &Stamp| {
        Ok(Source {
            name: path.display().to_string(),
            text: read_bounded(path)?,
        })
    };
    stamps.iter().map(read).collect()
}

fn read_bounded(path: &Path) -> anyhow::Result<String> {
    let file_name = || format!("mesh: {}", path.display());
    let mut text = String::new();
    let file = fs::File::open(path).with_context(file_name)?;
    file.take(MAX_SIZE + 1)
        .read_to_string(&mut text)
        .with_context(file_name)?;
    if u64::try_from(text.len()).is_ok_and(|length| length > MAX_SIZE) {
        bail!("{}: is larger than {MAX_SIZE} bytes", file_name());
    }
    Ok(text)
}

const MAX_FILES: usize = 10_000;
const MAX_SIZE: u64 = 1 << 20;
