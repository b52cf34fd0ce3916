//! The loop that turns the CA's keys: asks [`Slots`] what is due, does it,
//! and asks again.
//!
//! A new authority is in the bundle, stored and known to the directory before anything is signed
//! with it. A step that fails leaves everything as it was and is tried again at the next tick.

use std::{
    path::PathBuf,
    sync::Arc,
    time::{Duration, SystemTime},
};

use base64::{Engine as _, prelude::BASE64_URL_SAFE_NO_PAD};
use signet_daemon::log::Moment;
use signet_identity::{
    TrustDomain,
    bundle::{Bundle, JwtAuthority},
    crypto,
    key::{KeyError, KeyType},
};
use tokio::{
    sync::{Semaphore, watch},
    task, time,
};
use tokio_util::sync::CancellationToken;
use tracing::{debug, error, info, warn};

use super::{
    Authorities, Ca, CaSubject, JwtMaterial, JwtSvids, KeyManager, KeyManagerError, Lifetimes,
    X509Error, X509Material,
    journal::{Document, Present, jwt_key_id, x509_key_id},
    material::MaterialError,
    signer::Signer,
    slots::{Authority, Lifetime, Slot, Slots, Step},
    whole_seconds, x509,
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
    /// There is no randomness.
    #[error("no key id can be made")]
    Random(#[from] KeyError),
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

/// What the configuration says of the CA.
#[derive(Clone, Debug)]
pub(crate) struct RotationSettings {
    pub(crate) trust_domain: TrustDomain,
    pub(crate) ca_ttl: Duration,
    pub(crate) ca_key_type: KeyType,
    pub(crate) jwt_key_type: KeyType,
    pub(crate) jwt_svids: JwtSvids,
    pub(crate) ca_subject: CaSubject,
    pub(crate) jwt_issuer: Option<String>,
    pub(crate) lifetimes: Lifetimes,
}

/// The owner of the CA's state.
#[derive(Debug)]
pub(crate) struct Rotation {
    pub(super) settings: RotationSettings,
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
        (store, directory): (Store, Directory),
        now: SystemTime,
    ) -> Result<(Self, Ca), RotationError> {
        let (authority_set, authorities) =
            restore(&settings, &keys, (&store, &directory), now).await?;
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
            settings,
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
                    "the CA's keys could not be turned; trying again"
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
        for _ in 0..MOST_STEPS {
            let current = Arc::clone(&self.authorities.borrow());
            match current.x509.due(now) {
                Step::Prepare(slot) => self.prepare_x509(&current, slot, now).await?,
                Step::Activate => self.activate_x509(&current).await?,
                Step::Nothing { .. } => break,
            }
        }
        if self.settings.jwt_svids == JwtSvids::Disabled {
            return Ok(());
        }
        for _ in 0..MOST_STEPS {
            let current = Arc::clone(&self.authorities.borrow());
            match current.jwt.due(now) {
                Step::Prepare(slot) => self.prepare_jwt(&current, slot, now).await?,
                Step::Activate => self.activate_jwt(&current).await?,
                Step::Nothing { .. } => break,
            }
        }
        Ok(())
    }

    async fn prepare_x509(
        &mut self,
        current: &Authorities,
        slot: Slot,
        now: SystemTime,
    ) -> Result<(), RotationError> {
        let signer = self
            .generate(x509_key_id(slot), self.settings.ca_key_type)
            .await?;
        let profile = (&self.settings.ca_subject, self.settings.ca_ttl);
        let signed = x509::self_signed(&signer, &self.settings.trust_domain, profile, now)
            .map_err(MaterialError::from)?;
        let authority = Authority {
            id: hex::encode(signer.subject_key_id()),
            slot,
            lifetime: Lifetime {
                issued_at: whole_seconds(now),
                not_after: signed.not_after,
            },
            material: X509Material::of_root(signed.der, signer)?,
        };
        self.introduce_x509(current, authority).await
    }

    /// Lets everybody know an authority that is to sign later.
    async fn introduce_x509(
        &mut self,
        current: &Authorities,
        authority: Authority<X509Material>,
    ) -> Result<(), RotationError> {
        let authority = Arc::new(authority);
        info!(
            name: "x509_ca_prepared",
            authority_id = %authority.id,
            slot = ?authority.slot,
            issued_at = %Moment(authority.lifetime.issued_at),
            expires_at = %Moment(authority.lifetime.not_after),
            self_signed = authority.material.chain().is_empty(),
            upstream_authority_id = authority.material.upstream_authority_id(),
            "prepared an X.509 authority"
        );
        let next = Authorities {
            x509: current.x509.prepared(Arc::clone(&authority)),
            jwt: current.jwt.clone(),
        };
        self.publish(next, move |bundle| authority.material.publish(bundle))
            .await
    }

    async fn prepare_jwt(
        &mut self,
        current: &Authorities,
        slot: Slot,
        now: SystemTime,
    ) -> Result<(), RotationError> {
        let signer = self
            .generate(jwt_key_id(slot), self.settings.jwt_key_type)
            .await?;
        let issued_at = whole_seconds(now);
        let not_after = issued_at
            .checked_add(self.settings.ca_ttl)
            .ok_or(MaterialError::X509(X509Error::NoLifetime))?;
        let id = random_key_id()?;
        let published = JwtAuthority {
            key_id: id.clone(),
            spki_der: signer.spki_der().to_vec(),
            expires_at: Some(not_after),
            tainted: false,
        };
        info!(
            name: "jwt_key_prepared",
            authority_id = %id,
            ?slot,
            issued_at = %Moment(issued_at),
            expires_at = %Moment(not_after),
            "prepared a JWT authority"
        );
        let authority = Authority {
            id,
            slot,
            lifetime: Lifetime {
                issued_at,
                not_after,
            },
            material: JwtMaterial { signer },
        };
        let next = Authorities {
            x509: current.x509.clone(),
            jwt: current.jwt.prepared(authority),
        };
        self.publish(next, move |bundle| bundle.jwt_authorities.push(published))
            .await
    }

    async fn activate_x509(&mut self, current: &Authorities) -> Result<(), RotationError> {
        let next = Authorities {
            x509: current.x509.activated(),
            jwt: current.jwt.clone(),
        };
        let active = next.x509.active.clone();
        self.save(next).await?;
        if let Some(active) = active {
            info!(
                name: "x509_ca_activated",
                authority_id = active.id,
                slot = ?active.slot,
                issued_at = %Moment(active.lifetime.issued_at),
                expires_at = %Moment(active.lifetime.not_after),
                upstream_authority_id = active.material.upstream_authority_id(),
                "activated an X.509 authority"
            );
            debug!(
                name: "x509_ca_rotated",
                trust_domain_id = %self.settings.trust_domain.id_string(),
                "the X.509 authority in use is another one"
            );
        }
        Ok(())
    }

    async fn activate_jwt(&mut self, current: &Authorities) -> Result<(), RotationError> {
        let next = Authorities {
            x509: current.x509.clone(),
            jwt: current.jwt.activated(),
        };
        let active = next.jwt.active.clone();
        self.save(next).await?;
        if let Some(active) = active {
            info!(
                name: "jwt_key_activated",
                authority_id = active.id,
                slot = ?active.slot,
                issued_at = %Moment(active.lifetime.issued_at),
                expires_at = %Moment(active.lifetime.not_after),
                "activated a JWT authority"
            );
        }
        Ok(())
    }

    async fn generate(&self, id: &'static str, kind: KeyType) -> Result<Signer, RotationError> {
        let keys = Arc::clone(&self.keys);
        // An RSA key takes seconds, and the file a disk sync.
        let made = task::spawn_blocking(move || keys.generate(id, kind)).await;
        Ok(made.map_err(|_joining| RotationError::Interrupted)??)
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
        let written = self.store.save_ca_journal(journal).await?;
        self.directory.seen(written).await;
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
    settings: &RotationSettings,
    keys: &KeyManager,
    (store, directory): (&Store, &Directory),
    now: SystemTime,
) -> Result<(Option<String>, Authorities), RotationError> {
    let bundle = directory.bundle(&settings.trust_domain);
    let journals = store.ca_journals().await?;
    let known = !journals.is_empty();
    let mut live = false;
    for (authority_set, document) in journals {
        let document = Document::decode(&document).map_err(RotationError::Journal)?;
        if let Some(bundle) = bundle.as_ref().filter(|_| document.belongs_to(keys)) {
            let present = Present { keys, bundle, now };
            return Ok((Some(authority_set), document.restore(present)));
        }
        live |= !document.ended_before(now);
    }
    // Keys without a journal are those of another database, or this one has lost what it knew: new
    // authorities would take the place of the ones that everybody trusts.
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

/// 32 random letters and digits, as SPIRE names its JWT keys.
fn random_key_id() -> Result<String, KeyError> {
    let mut id = String::new();
    while id.len() < KEY_ID {
        let text = BASE64_URL_SAFE_NO_PAD.encode(crypto::random::<32>()?);
        id.extend(text.chars().filter(char::is_ascii_alphanumeric));
    }
    id.truncate(KEY_ID);
    Ok(id)
}

const TICK: Duration = Duration::from_secs(10);
/// Six hours of ticks.
const TICKS_BETWEEN_PRUNING: u32 = 6 * 360;
/// Replacing both slots takes four steps.
const MOST_STEPS: usize = 4;
const KEY_ID: usize = 32;

#[cfg(test)]
mod tests;
