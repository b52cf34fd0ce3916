//! Where the model of the mesh comes from: YAML files, which are read again when one changes.
//!
//! The first reading must succeed. A later one that fails leaves the model in force
//! and says so: an operator's typing mistake neither opens nor closes the door.

mod files;
mod status;

use std::{path::PathBuf, sync::Arc, time::Duration};

use anyhow::ensure;
use signet_daemon::reload::Current;
use signet_mesh::{DocumentError, Model, Workload, WorkloadModel};
use tokio::{sync::watch, time::sleep};
use tokio_util::sync::CancellationToken;
use tracing::{error, info, warn};

use crate::{
    clock,
    config::Config,
    flow::Telling,
    latest,
    outside::{Outside, OutsideFiles},
};
use files::{Difference, ReadFiles, Seen, Stamp, stamps};
pub(crate) use status::{Documents, ModelStatus, Refusal};

/// The model in force, of what concerns the proxy.
pub(crate) type SharedModel = watch::Receiver<Arc<WorkloadModel>>;

/// Which model is in force, and whether another was refused.
pub(crate) type SharedStatus = watch::Receiver<ModelStatus>;

/// Reads the model again when its files change.
#[derive(Debug)]
pub(crate) struct Follower {
    config: Current<Config>,
    /// Of the configuration of the start: who the workload is changes with a restart.
    reader: Reader,
    paths: Vec<PathBuf>,
    seen: Seen,
    /// What the model in force was made of.
    made_of: MadeOf,
    /// What the files say that the model names.
    outside: Outside,
    model: watch::Sender<Arc<WorkloadModel>>,
    status: watch::Sender<ModelStatus>,
    /// What tells of calls as the model says.
    telling: Telling,
}

impl Follower {
    /// Reads the model for the first time; `telling` will be as it says.
    ///
    /// # Errors
    /// A path that cannot be read, or any document that is not valid.
    pub(crate) fn start(
        current: Current<Config>,
        telling: Telling,
    ) -> anyhow::Result<(Self, SharedModel)> {
        let config = Arc::clone(&current.borrow());
        let seen = stamps(&config.mesh)?;
        let reader = Reader::new(&config);
        let Read {
            model,
            made_of,
            documents,
            files,
        } = reader.read(&seen)?;
        let seen = Seen::new(seen, files.paths());
        let outside = Outside::default();
        outside.follow(files);
        telling.follow(&model.telemetry);
        let (model, shared) = watch::channel(Arc::new(model));
        let follower = Self {
            config: current,
            reader,
            paths: config.mesh.clone(),
            seen,
            made_of,
            outside,
            model,
            status: watch::Sender::new(ModelStatus::new(documents, clock::now())),
            telling,
        };
        Ok((follower, shared))
    }

    /// Which model is in force, and whether another was refused.
    pub(crate) fn status(&self) -> SharedStatus {
        self.status.subscribe()
    }

    /// What the files say that the model in force names.
    pub(crate) fn outside(&self) -> Outside {
        self.outside.clone()
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
                self.paths.clone_from(&self.config.borrow().mesh);
            }
            self.look();
        }
    }

    fn look(&mut self) {
        match self.changed_model() {
            Ok(None) => {}
            Ok(Some(read)) => {
                let Read {
                    model,
                    made_of,
                    documents,
                    files,
                } = read;
                self.made_of = made_of;
                self.seen.names(files.paths());
                self.outside.follow(files);
                self.telling.follow(&model.telemetry);
                self.model.send_replace(Arc::new(model));
                let version = documents.version.clone();
                self.status
                    .send_modify(|status| status.replaced(documents, clock::now()));
                info!(version, "the new model is in force");
            }
            Err(problem) => {
                let why = format!("{problem:#}");
                error!("the model in force stays: {why}");
                self.status
                    .send_modify(|status| status.refused(why, clock::now()));
            }
        }
    }

    /// The model, if its files differ from what was read last.
    fn changed_model(&mut self) -> anyhow::Result<Option<Read>> {
        let found = stamps(&self.paths).unwrap_or_default();
        if !self.seen.differs(found) {
            return Ok(None);
        }
        // Asked again for the reason, now that the difference is noted: it is told once.
        let found = stamps(&self.paths)?;
        let (made_of, before) = (&self.made_of, self.model.borrow());
        self.reader.read_again(made_of, &before, &found).map(Some)
    }
}

/// Whether the documents that `config` names can be put in force.
///
/// # Errors
/// A path that cannot be read, or any document that is not valid.
pub(crate) fn check(config: &Config) -> anyhow::Result<()> {
    let seen = stamps(&config.mesh)?;
    Reader::new(config).read(&seen).map(drop)
}

/// Makes of all documents what concerns one workload.
#[derive(Debug)]
struct Reader {
    workload: Workload,
    root_namespace: String,
    /// The names of those who can be asked.
    providers: Vec<String>,
}

impl Reader {
    fn new(config: &Config) -> Self {
        Self {
            workload: config.workload.clone(),
            root_namespace: config.root_namespace.clone(),
            providers: config
                .extension_providers
                .iter()
                .map(|provider| provider.name.clone())
                .collect(),
        }
    }

    fn read(&self, found: &[Stamp]) -> anyhow::Result<Read> {
        let made_of = MadeOf::default().after(found)?;
        let all = &made_of.all;
        let model = all.for_workload(&self.workload, &self.root_namespace);
        self.check(model, made_of)
    }

    /// The same, where what did not change is taken over from the model in force.
    fn read_again(
        &self,
        made_of: &MadeOf,
        before: &WorkloadModel,
        found: &[Stamp],
    ) -> anyhow::Result<Read> {
        let made_of = made_of.after(found)?;
        let all = &made_of.all;
        let model = all.for_workload_after(before, &self.workload, &self.root_namespace);
        self.check(model, made_of)
    }

    fn check(&self, model: WorkloadModel, made_of: MadeOf) -> anyhow::Result<Read> {
        self.know_providers(&model)?;
        let files = OutsideFiles::read(&model).map_err(|errors| not_valid(&errors))?;
        Ok(Read {
            model,
            documents: Documents::new(&made_of.files, &made_of.all),
            made_of,
            files,
        })
    }

    /// Whoever is to be asked must be there to be asked.
    fn know_providers(&self, model: &WorkloadModel) -> anyhow::Result<()> {
        for (provider, policy) in model.policy.providers() {
            ensure!(
                self.providers.iter().any(|known| **known == **provider),
                "AuthorizationPolicy {policy} asks provider {provider:?}, which is none of this \
                 proxy's extensionProviders; add it there and start the proxy again"
            );
        }
        Ok(())
    }
}

/// What a model is made of: what all documents say, and the files in which they stand.
#[derive(Debug, Default)]
struct MadeOf {
    all: Model,
    files: ReadFiles,
}

impl MadeOf {
    /// The same with the files as they are now; of these only those are read that differ.
    fn after(&self, found: &[Stamp]) -> anyhow::Result<Self> {
        let Difference {
            changed,
            gone,
            files,
        } = self.files.difference(found)?;
        let gone: Vec<_> = gone.iter().map(String::as_str).collect();
        let all = self.all.after(&changed, &gone);
        let all = all.map_err(|errors| not_valid(&errors))?;
        let not_carried = all.not_carried();
        ensure!(not_carried.is_empty(), not_valid(&not_carried));
        for warning in all.warnings() {
            warn!("{warning}");
        }
        Ok(Self { all, files })
    }
}

/// A model, and what it was read from.
#[derive(Debug)]
struct Read {
    model: WorkloadModel,
    made_of: MadeOf,
    documents: Documents,
    /// Those that it names.
    files: OutsideFiles,
}

fn not_valid(errors: &[DocumentError]) -> anyhow::Error {
    let lines: Vec<String> = errors.iter().map(ToString::to_string).collect();
    anyhow::anyhow!(
        "the mesh's documents are not valid:\n  {}",
        lines.join("\n  ")
    )
}

const LOOK_EVERY: Duration = Duration::from_millis(500);
