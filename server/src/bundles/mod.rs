//! Bundles: the own one, to which authorities are added, and those of the trust domains that
//! this one federates with.

#[cfg(test)]
mod tests;

use std::{collections::HashSet, sync::Arc};

use signet_identity::{
    TrustDomain,
    bundle::{Bundle, JwtAuthority, X509Authority},
};
use tracing::{info, warn};

use crate::{
    directory::Directory,
    store::{DeleteBundle, DeleteMode, Store, StoreError},
};

/// The bundles that this server keeps.
#[derive(Debug, Clone)]
pub(crate) struct Bundles {
    store: Store,
    directory: Directory,
}

/// Why something about a bundle was not done.
#[derive(Debug, thiserror::Error)]
pub(crate) enum BundlesError {
    /// The own bundle is not a federated one.
    #[error("{0} a federated bundle for the server's own trust domain is not allowed")]
    Own(Action),
    /// There is none.
    #[error("bundle not found")]
    NotFound,
    /// There is one already.
    #[error("bundle already exists")]
    Exists,
    /// So many entries federate with it.
    #[error(
        "cannot delete bundle; federated with {0} registration entries; choose mode DELETE or DISSOCIATE to delete it with them or to end their federation"
    )]
    InUse(usize),
    /// The database.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// What was to be done to a bundle.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Action {
    /// Reading it.
    Getting,
    /// Storing a new one.
    Creating,
    /// Changing it.
    Updating,
    /// Storing it, new or not.
    Setting,
    /// Deleting it.
    Removing,
}

impl Bundles {
    pub(crate) fn new(store: Store, directory: Directory) -> Self {
        Self { store, directory }
    }

    /// The own bundle.
    pub(crate) fn own(&self) -> Option<Arc<Bundle>> {
        self.directory.bundle(self.directory.trust_domain())
    }

    /// How many bundles there are, the own one included.
    pub(crate) fn count(&self) -> usize {
        self.directory.bundles().len()
    }

    /// Adds authorities to the own bundle. One that it has already stays as it is: adding does
    /// not take a taint away.
    pub(crate) async fn append(
        &self,
        x509: Vec<X509Authority>,
        jwt: Vec<JwtAuthority>,
    ) -> Result<Bundle, StoreError> {
        let own = self.directory.trust_domain().clone();
        let written = self
            .store
            .amend_bundle(own, move |bundle| {
                for authority in x509 {
                    if !bundle
                        .x509_authorities
                        .iter()
                        .any(|known| known.der == authority.der)
                    {
                        bundle.x509_authorities.push(authority);
                    }
                }
                for authority in jwt {
                    if !bundle
                        .jwt_authorities
                        .iter()
                        .any(|known| known.key_id == authority.key_id)
                    {
                        bundle.jwt_authorities.push(authority);
                    }
                }
            })
            .await?;
        Ok(self.directory.seen(written).await)
    }

    /// The federated bundles after `after`, at most `size`; and whether there are more.
    pub(crate) fn list(
        &self,
        after: Option<&TrustDomain>,
        size: usize,
    ) -> (Vec<Arc<Bundle>>, bool) {
        let own = self.directory.trust_domain();
        let mut rest = self.directory.bundles().into_iter().filter(|bundle| {
            bundle.trust_domain != *own && after.is_none_or(|after| bundle.trust_domain > *after)
        });
        let page = rest.by_ref().take(size).collect();
        (page, rest.next().is_some())
    }

    /// The bundle of a trust domain that we federate with.
    pub(crate) fn get(&self, trust_domain: &TrustDomain) -> Result<Arc<Bundle>, BundlesError> {
        self.check(trust_domain, Action::Getting)?;
        self.directory
            .bundle(trust_domain)
            .ok_or(BundlesError::NotFound)
    }

    /// Stores a bundle where there was none.
    pub(crate) async fn create(&self, bundle: Bundle) -> Result<Bundle, BundlesError> {
        self.check(&bundle.trust_domain, Action::Creating)?;
        let written = self.store.create_bundle(bundle.clone()).await?;
        if !self.directory.seen(written).await {
            return Err(BundlesError::Exists);
        }
        info!(
            name: "federated_bundle_created",
            trust_domain = %bundle.trust_domain,
            "created the bundle of {}",
            bundle.trust_domain
        );
        self.warn_if_shared(&bundle);
        Ok(bundle)
    }

    /// Stores a bundle, whether or not there was one.
    pub(crate) async fn set(&self, bundle: Bundle) -> Result<Bundle, BundlesError> {
        self.check(&bundle.trust_domain, Action::Setting)?;
        let written = self.store.set_bundle(bundle.clone()).await?;
        self.directory.seen(written).await;
        info!(
            name: "federated_bundle_set",
            trust_domain = %bundle.trust_domain,
            "set the bundle of {}",
            bundle.trust_domain
        );
        self.warn_if_shared(&bundle);
        Ok(bundle)
    }

    /// Changes a bundle that there is.
    pub(crate) async fn update(
        &self,
        trust_domain: TrustDomain,
        edit: impl FnOnce(&mut Bundle) + Send + 'static,
    ) -> Result<Bundle, BundlesError> {
        self.check(&trust_domain, Action::Updating)?;
        let written = self.store.update_bundle(trust_domain.clone(), edit).await?;
        let bundle = self
            .directory
            .seen(written)
            .await
            .ok_or(BundlesError::NotFound)?;
        info!(
            name: "federated_bundle_updated",
            trust_domain = %trust_domain,
            "updated the bundle of {trust_domain}"
        );
        self.warn_if_shared(&bundle);
        Ok(bundle)
    }

    /// Deletes a bundle.
    pub(crate) async fn delete(
        &self,
        trust_domain: TrustDomain,
        mode: DeleteMode,
    ) -> Result<(), BundlesError> {
        self.check(&trust_domain, Action::Removing)?;
        let written = self.store.delete_bundle(trust_domain.clone(), mode).await?;
        match self.directory.seen(written).await {
            DeleteBundle::Deleted => {}
            DeleteBundle::NotFound => return Err(BundlesError::NotFound),
            DeleteBundle::InUse(entries) => return Err(BundlesError::InUse(entries.len())),
        }
        info!(trust_domain = %trust_domain, "deleted the bundle of {trust_domain}");
        Ok(())
    }

    /// Whoever holds a key of several trust domains can speak for each of them (SPIFFE bundle
    /// §6.2).
    fn warn_if_shared(&self, bundle: &Bundle) {
        let trust_domain = &bundle.trust_domain;
        let keys = keys_of(bundle);
        for other in self.directory.bundles() {
            if other.trust_domain != *trust_domain && !keys.is_disjoint(&keys_of(&other)) {
                warn!(
                    trust_domain = %trust_domain,
                    other = %other.trust_domain,
                    "an authority of {trust_domain} is also one of {}; each trust domain should have its own",
                    other.trust_domain
                );
            }
        }
    }

    fn check(&self, trust_domain: &TrustDomain, action: Action) -> Result<(), BundlesError> {
        if trust_domain == self.directory.trust_domain() {
            return Err(BundlesError::Own(action));
        }
        Ok(())
    }
}

/// The public keys of all authorities.
fn keys_of(bundle: &Bundle) -> HashSet<Vec<u8>> {
    let x509 = bundle.x509_authorities.iter();
    let x509 = x509.filter_map(|authority| Some(authority.details().ok()?.spki_der));
    let jwt = bundle.jwt_authorities.iter();
    x509.chain(jwt.map(|authority| authority.spki_der.clone()))
        .collect()
}

impl std::fmt::Display for Action {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Getting => "getting",
            Self::Creating => "creating",
            Self::Updating => "updating",
            Self::Setting => "setting",
            Self::Removing => "removing",
        })
    }
}
