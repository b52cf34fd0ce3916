//! The files and folders that the documents of the mesh stand in.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs::{self, Metadata},
    io::Read as _,
    os::unix::fs::MetadataExt as _,
    path::{Path, PathBuf},
};

use anyhow::{Context as _, bail, ensure};
use signet_identity::crypto;
use signet_mesh::Source;

/// What tells one state of a file from another.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Stamp {
    path: PathBuf,
    inode: u64,
    size: u64,
    changed: (i64, i64),
}

/// The files of a model, as they were read.
#[derive(Clone, Debug, Default)]
pub(super) struct ReadFiles(BTreeMap<PathBuf, ReadFile>);

#[derive(Clone, Debug)]
struct ReadFile {
    stamp: Stamp,
    digest: Vec<u8>,
}

/// In what files differ from others that were read.
#[derive(Debug)]
pub(super) struct Difference {
    /// Those that are new or have another text.
    pub(super) changed: Vec<Source>,
    /// The names of those that are no longer there.
    pub(super) gone: Vec<String>,
    /// All of them, as they are now.
    pub(super) files: ReadFiles,
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
    let mut paths = BTreeSet::new();
    for Stamp { path, .. } in &stamps {
        ensure!(
            paths.insert(path),
            "mesh: {} is named twice; keep one of them",
            path.display()
        );
    }
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

impl ReadFiles {
    /// Reads those of the files that are now there which differ from these.
    ///
    /// # Errors
    /// One that cannot be read, is too large, or is no text.
    pub(super) fn difference(&self, found: &[Stamp]) -> anyhow::Result<Difference> {
        let (mut changed, mut files) = (Vec::new(), BTreeMap::new());
        for stamp in found {
            let known = self.0.get(&stamp.path);
            let file = match known.filter(|known| known.stamp == *stamp) {
                Some(known) => known.clone(),
                None => {
                    let source = read(&stamp.path)?;
                    let digest = crypto::sha256(source.text.as_bytes()).to_vec();
                    changed.push(source);
                    ReadFile {
                        stamp: stamp.clone(),
                        digest,
                    }
                }
            };
            files.insert(stamp.path.clone(), file);
        }
        let gone = self.0.keys().filter(|path| !files.contains_key(*path));
        Ok(Difference {
            changed,
            gone: gone.map(|path| name(path)).collect(),
            files: Self(files),
        })
    }

    /// The names of the files, sorted.
    pub(super) fn names(&self) -> Vec<String> {
        self.0.keys().map(|path| name(path)).collect()
    }

    /// By which models can be compared: it depends on the texts of all documents alone, and not on
    /// the files in which they stand.
    pub(super) fn version(&self) -> String {
        let mut digests: Vec<&[u8]> = self.0.values().map(|file| &*file.digest).collect();
        digests.sort_unstable();
        let version = crypto::sha256(&digests.concat());
        let digits = version.iter().take(VERSION_BYTES);
        digits.map(|byte| format!("{byte:02x}")).collect()
    }
}

/// By which messages speak of a file.
fn name(path: &Path) -> String {
    path.display().to_string()
}

fn read(path: &Path) -> anyhow::Result<Source> {
    Ok(Source {
        name: name(path),
        text: read_bounded(path)?,
    })
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
const VERSION_BYTES: usize = 6;

#[cfg(test)]
mod tests {
    use super::*;

    fn version(files: &[(&str, &str)]) -> String {
        let folder = tempfile::tempdir().unwrap();
        for (name, text) in files {
            fs::write(folder.path().join(format!("{name}.yaml")), text).unwrap();
        }
        let found = stamps(&[folder.path().to_owned()]).unwrap();
        let read = ReadFiles::default().difference(&found).unwrap();
        assert_eq!(read.changed.len(), files.len());
        read.files.version()
    }

    #[test]
    fn the_version_is_that_of_the_texts_and_not_of_their_files() {
        let one = version(&[("a", "x"), ("b", "y")]);
        assert_eq!(one, version(&[("c", "y"), ("d", "x")]));
        assert_ne!(one, version(&[("a", "x"), ("b", "z")]));
        assert_ne!(one, version(&[("a", "xy")]));
        assert_eq!(one.len(), 12);
    }

    #[test]
    fn what_did_not_change_is_not_read_again() {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name);
        for name in ["a.yaml", "b.yaml", "c.yaml"] {
            fs::write(path(name), name).unwrap();
        }
        let found = || stamps(&[folder.path().to_owned()]).unwrap();
        let first = ReadFiles::default().difference(&found()).unwrap().files;
        fs::write(path("b.yaml"), "other").unwrap();
        fs::remove_file(path("c.yaml")).unwrap();
        let second = first.difference(&found()).unwrap();
        let changed: Vec<_> = second.changed.iter().map(|it| &*it.text).collect();
        assert_eq!(changed, ["other"]);
        assert_eq!(second.gone, [name(&path("c.yaml"))]);
        assert_eq!(
            second.files.names(),
            [name(&path("a.yaml")), name(&path("b.yaml"))]
        );
        let third = second.files.difference(&found()).unwrap();
        assert!(third.changed.is_empty() && third.gone.is_empty());
        assert_eq!(third.files.version(), second.files.version());
        assert_ne!(third.files.version(), first.version());
    }

    #[test]
    fn a_file_that_is_named_twice_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("a.yaml");
        fs::write(&file, "").unwrap();
        let error = stamps(&[folder.path().to_owned(), file]).unwrap_err();
        let told = error.to_string();
        assert!(
            told.ends_with("a.yaml is named twice; keep one of them"),
            "{told}"
        );
    }
}
