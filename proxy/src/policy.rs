//! Reads the policies from YAML files and reads them again when a file changes.
//!
//! The first reading must succeed. A later one that fails leaves the policies in force
//! and says so: an operator's typing mistake neither opens nor closes the door.

use std::{
    fs::{self, Metadata},
    io::Read as _,
    os::unix::fs::MetadataExt as _,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use anyhow::{Context as _, bail, ensure};
use signet_daemon::reload::Current;
use signet_mesh::{Policies, Source, Workload, WorkloadPolicy};
use tokio::{sync::watch, time::sleep};
use tokio_util::sync::CancellationToken;
use tracing::{error, info, warn};

use crate::{config::Config, latest};

/// The policies in force.
pub(crate) type SharedPolicy = watch::Receiver<Arc<WorkloadPolicy>>;

/// Re-reads the policies when their files change.
#[derive(Debug)]
pub(crate) struct Follower {
    config: Current<Config>,
    paths: Vec<PathBuf>,
    workload: Workload,
    root_namespace: String,
    seen: Vec<Stamp>,
    policy: watch::Sender<Arc<WorkloadPolicy>>,
}

impl Follower {
    /// Reads the policies for the first time.
    ///
    /// # Errors
    /// A path that cannot be read, or any policy that is not valid.
    pub(crate) fn start(current: Current<Config>) -> anyhow::Result<(Self, SharedPolicy)> {
        let config = Arc::clone(&current.borrow());
        let seen = stamps(&config.policies)?;
        let policy = read(&seen, &config.workload, &config.root_namespace)?;
        let (policy, shared) = watch::channel(Arc::new(policy));
        let follower = Self {
            config: current,
            paths: config.policies.clone(),
            workload: config.workload.clone(),
            root_namespace: config.root_namespace.clone(),
            seen,
            policy,
        };
        Ok((follower, shared))
    }

    /// Looks at the files until `shutdown`, and at once when the configuration was read again.
    pub(crate) async fn run(mut self, shutdown: CancellationToken) {
        loop {
            let reloaded = tokio::select! {
                () = shutdown.cancelled() => return,
                () = sleep(LOOK_EVERY) => false,
                () = latest::change(&mut self.config) => true,
            };
            if reloaded {
                self.paths.clone_from(&self.config.borrow().policies);
            }
            self.look();
        }
    }

    fn look(&mut self) {
        match self.changed_policy() {
            Ok(None) => {}
            Ok(Some(policy)) => {
                info!("new policies are in force");
                self.policy.send_replace(Arc::new(policy));
            }
            Err(problem) => error!("the policies in force stay: {problem:#}"),
        }
    }

    /// The policies, if their files differ from what was read last.
    fn changed_policy(&mut self) -> anyhow::Result<Option<WorkloadPolicy>> {
        let found = stamps(&self.paths).unwrap_or_default();
        if found == self.seen {
            return Ok(None);
        }
        self.seen.clone_from(&found);
        // Asked again for the reason, now that the difference is noted: it is told once.
        let found = stamps(&self.paths)?;
        read(&found, &self.workload, &self.root_namespace).map(Some)
    }
}

/// Whether the policies that `config` names can be put in force.
///
/// # Errors
/// A path that cannot be read, or any policy that is not valid.
pub(crate) fn check(config: &Config) -> anyhow::Result<()> {
    let seen = stamps(&config.policies)?;
    read(&seen, &config.workload, &config.root_namespace).map(drop)
}

/// What tells one state of a file from another.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Stamp {
    path: PathBuf,
    inode: u64,
    size: u64,
    changed: (i64, i64),
}

fn stamps(paths: &[PathBuf]) -> anyhow::Result<Vec<Stamp>> {
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
        "policies: more than {MAX_FILES} files"
    );
    Ok(stamps)
}

fn metadata(path: &Path) -> anyhow::Result<Metadata> {
    fs::metadata(path).with_context(|| format!("policies: {} cannot be read", path.display()))
}

fn metadata_of_file(path: &Path) -> anyhow::Result<Metadata> {
    let metadata = metadata(path)?;
    ensure!(
        metadata.is_file(),
        "policies: {} is not a file",
        path.display()
    );
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
        .with_context(|| format!("policies: {} cannot be listed", folder.display()))?;
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
        "policies: {} has no YAML file in it; to accept every authenticated peer, write \
         `policies: []`",
        folder.display()
    );
    files.sort();
    Ok(files)
}

fn read(stamps: &[Stamp], workload: &Workload, root: &str) -> anyhow::Result<WorkloadPolicy> {
    let mut sources = Vec::new();
    for Stamp { path, .. } in stamps {
        sources.push(Source {
            name: path.display().to_string(),
            text: read_bounded(path)?,
        });
    }
    let policies = Policies::parse(&sources).map_err(|errors| {
        let lines: Vec<String> = errors.iter().map(ToString::to_string).collect();
        anyhow::anyhow!("policies are not valid:\n  {}", lines.join("\n  "))
    })?;
    for warning in policies.warnings() {
        warn!("policies: {warning}");
    }
    Ok(policies.for_workload(workload, root))
}

fn read_bounded(path: &Path) -> anyhow::Result<String> {
    let file_name = || format!("policies: {}", path.display());
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

const LOOK_EVERY: Duration = Duration::from_millis(500);
const MAX_FILES: usize = 10_000;
const MAX_SIZE: u64 = 1 << 20;
