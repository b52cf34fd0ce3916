//! The loop that rotates the CA's keys: asks [`Slots`] what is due, does it, and asks again.
//!
//! A new authority is in the bundle, stored and known to the directory before anything is signed
//! with it. A step that fails leaves everything as it was and is tried again at the next tick.

use std::{
    path::PathBuf,
    sync::Arc,
    time::{Duration, SystemTime},
};

use signet_identity::bundle::Bundle;
use tokio::{
    sync::{Semaphore, watch},
    task, time,
};
use tokio_util::sync::CancellationToken;
use tracing::{error, info, warn};

use super::{
    Authorities, Ca, JwtMaterial, JwtSvids, KeyManager, KeyManagerError, RotationSettings,
    X509Material,
    journal::{Document, Present},
    material::{Material, MaterialError},
    slots::{Authority, Slot, Slots, Step},
};
use crate::{
    clock::Reading,
    directory::Directory,
    store::{Journal, Store, StoreError},
};

/// Why a step of the rotation failed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum RotationError {
    /// The key manager refused.
    #[error(transparent)]
    Keys(#[from] KeyManagerError),
    /// The new authority could not be made.
    #[error(transparent)]
    Material(#[from] MaterialError),
    /// The journal could not be encoded.
    #[error("the journal of the authorities cannot be encoded")]
    Encode(#[from] serde_json::Error),
    /// The stored journal cannot be read.
    #[error("the journal of the authorities in the database is damaged; restore the database")]
    Journal(#[source] serde_json::Error),
    /// The keys are a CA's that the database does not know.
    #[error(
        "the database does not know the authorities whose keys are in {}: restore the database, or move that file away to start with new authorities",
        .0.display()
    )]
    UnknownKeys(PathBuf),
    /// The store refused.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The thread that made a key died.
    #[error("making a key was interrupted")]
    Interrupted,
}

/// The owner of the CA's state.
#[derive(Debug)]
pub(crate) struct Rotation {
    pub(super) settings: Arc<RotationSettings>,
    keys: Arc<KeyManager>,
    pub(super) store: Store,
    pub(super) directory: Directory,
    authorities: watch::Sender<Arc<Authorities>>,
    /// The name under which the journal is stored.
    pub(super) authority_set: Option<String>,
}

impl Rotation {
    /// Goes on with the authorities of before, or makes the first ones. When this returns, the
    /// CA can sign.
    pub(crate) async fn start(
        settings: RotationSettings,
        keys: KeyManager,
        store: Store,
        directory: Directory,
        now: SystemTime,
    ) -> Result<(Self, Ca), RotationError> {
        let bundle = directory.bundle(&settings.trust_domain);
        let (authority_set, authorities) = restore(&store, &keys, bundle.as_deref(), now).await?;
        let (authorities, follow) = watch::channel(Arc::new(authorities));
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        let ca = Ca {
            trust_domain: settings.trust_domain.clone(),
            lifetimes: Arc::new(settings.lifetimes.clone()),
            jwt_issuer: settings.jwt_issuer.as_deref().map(Arc::from),
            jwt_svids: settings.jwt_svids,
            authorities: follow,
            threads: Arc::new(Semaphore::new(cores)),
        };
        let mut rotation = Self {
            settings: Arc::new(settings),
            keys: Arc::new(keys),
            store,
            directory,
            authorities,
            authority_set,
        };
        if ca.jwt_svids == JwtSvids::Disabled {
            info!("JWT-SVID profile is disabled");
        }
        rotation.converge(now).await?;
        Ok((rotation, ca))
    }

    /// Looks every ten seconds whether a step is due.
    pub(crate) async fn run(mut self, shutdown: CancellationToken) {
        let mut ticks = time::interval(TICK);
        ticks.set_missed_tick_behavior(time::MissedTickBehavior::Delay);
        let mut before = Reading::take();
        let mut until_pruning = TICKS_BETWEEN_PRUNING;
        while shutdown.run_until_cancelled(ticks.tick()).await.is_some() {
            let reading = Reading::take();
            if let Err(error) = self.converge(reading.now).await {
                error!(
                    error = &error as &dyn std::error::Error,
                    "the CA's keys could not be rotated; trying again"
                );
            }
            if reading.jumped_since(&before) {
                // A time that is wrong for an hour must not cost an authority its trust.
                warn!("the clock has jumped; authorities stay in the bundle for some hours more");
                until_pruning = TICKS_BETWEEN_PRUNING;
            }
            before = reading;
            match until_pruning.checked_sub(1) {
                Some(left) => until_pruning = left,
                None => {
                    until_pruning = TICKS_BETWEEN_PRUNING;
                    self.tidy_up(reading.now).await;
                }
            }
        }
    }

    /// Does what is due, until nothing is.
    async fn converge(&mut self, now: SystemTime) -> Result<(), RotationError> {
        // In this order: a JWT key tells the key manager that a certificate was published before.
        self.converge_kind::<X509Material>(now).await?;
        match self.settings.jwt_svids {
            JwtSvids::Issued => self.converge_kind::<JwtMaterial>(now).await,
            JwtSvids::Disabled => Ok(()),
        }
    }

    async fn converge_kind<M: Material>(&mut self, now: SystemTime) -> Result<(), RotationError> {
        for _ in 0..MOST_STEPS {
            let step = M::slots(&self.authorities.borrow()).due(now);
            match step {
                Step::Prepare(slot) => {
                    let authority = self.make::<M>(slot, now).await?;
                    self.prepare(authority).await?;
                }
                Step::Activate => self.activate::<M>(now).await?,
                Step::Nothing { .. } => break,
            }
        }
        Ok(())
    }

    async fn make<M: Material>(
        &self,
        slot: Slot,
        now: SystemTime,
    ) -> Result<Authority<M>, RotationError> {
        let keys = Arc::clone(&self.keys);
        let settings = Arc::clone(&self.settings);
        // An RSA key takes seconds, and the file a disk sync.
        let made = task::spawn_blocking(move || {
            let signer = keys.generate(M::key_id(slot), M::key_type(&settings))?;
            Ok(M::authority(signer, slot, &settings, now)?)
        });
        made.await.map_err(|_joining| RotationError::Interrupted)?
    }

    /// Lets everybody know an authority that is to sign later.
    async fn prepare<M: Material>(&mut self, authority: Authority<M>) -> Result<(), RotationError> {
        let authority = Arc::new(authority);
        M::log_prepared(&authority);
        let mut next = Authorities::clone(&self.authorities.borrow());
        let slots = M::slots_mut(&mut next);
        *slots = slots.prepared(Arc::clone(&authority));
        self.publish(next, move |bundle| M::publish(&authority, bundle))
            .await
    }

    async fn activate<M: Material>(&mut self, now: SystemTime) -> Result<(), RotationError> {
        let mut next = Authorities::clone(&self.authorities.borrow());
        let slots = M::slots_mut(&mut next);
        *slots = slots.activated();
        let active = slots.active.clone();
        self.save(next).await?;
        if let Some(active) = active {
            M::log_activated(&active, &self.settings, now);
        }
        Ok(())
    }

    /// Stores bundle and journal together, waits until the directory serves that bundle, and
    /// lets the CA have the authorities.
    async fn publish(
        &mut self,
        next: Authorities,
        edit: impl FnOnce(&mut Bundle) + Send + 'static,
    ) -> Result<(), RotationError> {
        let journal = self.journal(&next)?;
        let name = journal.authority_set.clone();
        let trust_domain = self.settings.trust_domain.clone();
        let written = self
            .store
            .save_authority(journal, trust_domain, edit)
            .await?;
        self.directory.seen(written).await;
        self.stored(next, name);
        Ok(())
    }

    async fn save(&mut self, next: Authorities) -> Result<(), RotationError> {
        let journal = self.journal(&next)?;
        let name = journal.authority_set.clone();
        self.store.save_ca_journal(journal).await?;
        self.stored(next, name);
        Ok(())
    }

    fn stored(&mut self, next: Authorities, name: String) {
        self.authority_set = Some(name);
        self.authorities.send_replace(Arc::new(next));
    }

    /// The journal is named after the active X.509 authority, or the first one to become it.
    fn journal(&self, authorities: &Authorities) -> Result<Journal, RotationError> {
        let authority_set = authorities.x509.name().unwrap_or_default().to_owned();
        let before = self.authority_set.clone();
        Ok(Journal {
            replaces: before.filter(|before| *before != authority_set),
            authority_set,
            document: Document::of(authorities).encode()?,
        })
    }
}

/// The authorities of before, and the name of their journal.
async fn restore(
    store: &Store,
    keys: &KeyManager,
    bundle: Option<&Bundle>,
    now: SystemTime,
) -> Result<(Option<String>, Authorities), RotationError> {
    let journals = store.ca_journals().await?;
    let known = !journals.is_empty();
    let mut live = false;
    for (authority_set, document) in journals {
        let document = Document::decode(&document).map_err(RotationError::Journal)?;
        if let Some(bundle) = bundle.filter(|_| document.belongs_to(keys)) {
            let present = Present { keys, bundle, now };
            return Ok((Some(authority_set), document.restore(present)));
        }
        live |= !document.ended_before(now);
    }
    // Keys without a journal are those of another database, or this one has lost what it knew: new
    // authorities would replace the ones that everybody trusts.
    if let Some(file) = keys.file_of_a_ca().filter(|_| live || !known) {
        return Err(RotationError::UnknownKeys(file.to_owned()));
    }
    if live {
        warn!(
            "the keys of the authorities before are not here; making new ones. What the former \
             ones signed stays valid until it ends"
        );
    }
    let nothing = Authorities {
        x509: Slots::empty(),
        jwt: Slots::empty(),
    };
    Ok((None, nothing))
}

const TICK: Duration = Duration::from_secs(10);
/// Six hours of ticks.
const TICKS_BETWEEN_PRUNING: u32 = 6 * 360;
/// Replacing both slots takes four steps.
const MOST_STEPS: usize = 4;

#[cfg(test)]
mod tests;
