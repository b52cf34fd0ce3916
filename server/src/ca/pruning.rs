//! Removes what the rotation leaves behind: authorities that ended, and journals of servers that
//! are gone.

use std::time::{Duration, SystemTime};

use signet_identity::bundle::{Bundle, X509Authority};
use tracing::{info, warn};

use super::{journal::Document, rotation::Rotation};

impl Rotation {
    /// Does both.
    pub(super) async fn tidy_up(&self, now: SystemTime) {
        self.prune(now).await;
        self.forget_journals(now).await;
    }

    /// Takes authorities out of the bundle that ended more than a day ago.
    pub(super) async fn prune(&self, now: SystemTime) {
        let Some(before) = now.checked_sub(KEPT_AFTER_END) else {
            return;
        };
        let trust_domain = self.settings.trust_domain.clone();
        let edit = move |bundle: &mut Bundle| {
            let lives = |at: Option<SystemTime>| at.is_none_or(|at| at >= before);
            let end = |ca: &X509Authority| ca.details().ok().map(|details| details.not_after);
            bundle.x509_authorities.retain(|ca| lives(end(ca)));
            bundle.jwt_authorities.retain(|key| lives(key.expires_at));
        };
        let pruned = self.directory.bundle(&trust_domain).is_some_and(|bundle| {
            let mut pruned = Bundle::clone(&bundle);
            edit(&mut pruned);
            !pruned.same_content(&bundle)
        });
        if !pruned {
            return;
        }
        match self.store.amend_bundle(trust_domain, edit).await {
            Ok(_written) => {
                info!(
                    name: "authorities_pruned",
                    "removed authorities that ended more than a day ago from the bundle"
                )
            }
            Err(error) => warn!(
                error = &error as &dyn std::error::Error,
                "expired authorities could not be removed from the bundle"
            ),
        }
    }

    /// Forgets the journals of servers whose authorities all ended two weeks ago.
    async fn forget_journals(&self, now: SystemTime) {
        let Some(before) = now.checked_sub(JOURNALS_KEPT) else {
            return;
        };
        let outdated = |document: &[u8]| {
            Document::decode(document).is_ok_and(|document| document.ended_before(before))
        };
        let journals = match self.store.ca_journals().await {
            Ok(journals) => journals,
            Err(error) => {
                warn!(
                    error = &error as &dyn std::error::Error,
                    "the journals of other servers could not be read"
                );
                return;
            }
        };
        for (name, document) in journals {
            if self.authority_set.as_deref() == Some(&name) || !outdated(&document) {
                continue;
            }
            match self.store.delete_ca_journal(name).await {
                Ok(_) => info!("removed the journal of a server that is gone"),
                Err(error) => warn!(
                    error = &error as &dyn std::error::Error,
                    "an outdated journal could not be removed"
                ),
            }
        }
    }
}

const KEPT_AFTER_END: Duration = Duration::from_secs(24 * 60 * 60);
const JOURNALS_KEPT: Duration = Duration::from_secs(14 * 24 * 60 * 60);
