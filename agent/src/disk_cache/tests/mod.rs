//! What is kept comes back, for this agent on this machine alone.

mod properties;

use std::{fs, os::unix::fs::PermissionsExt as _};

use signet_identity::{bundle::Bundle, entry::Entry, key::KeyType, tls::Identity};
use tempfile::TempDir;
use tokio::sync::watch;

use super::*;
use crate::{
    cache::{Change, IssuedJwt, JwtKey, Limits, WorkloadIdentity},
    clock,
    testing::{dead_upstream, entry, issued},
    upstream::JwtSvid,
};

const HOUR: Duration = Duration::from_secs(3600);

/// A directory, a key, and a cache that holds an entry, its X.509-SVID and a JWT-SVID.
struct Stage {
    directory: TempDir,
    key: PrivateKey,
    own: Bundle,
    entry: Entry,
    cache: Cache,
}

impl Stage {
    fn new() -> Self {
        let entry = entry("a", &["unix:uid:1"]);
        let (own, svid) = issued(&entry.spiffe_id.to_string());
        let cache = cache(&own);
        cache.apply(Change {
            entries: vec![entry.clone()],
            bundles: vec![own.clone(), Bundle::empty("other.test".parse().unwrap())],
            ..Change::default()
        });
        let renew_at = clock::now() + HOUR / 2;
        let signed = WorkloadIdentity::new(
            Arc::new(entry.clone()),
            svid.chain,
            &svid.key,
            clock::now(),
            |_| renew_at,
        );
        let restored = Restored {
            change: Change::default(),
            x509_svids: vec![signed.unwrap()],
            jwt_svids: vec![IssuedJwt {
                key: JwtKey::new(&entry, vec!["x".to_owned()]),
                svid: token(),
            }],
        };
        cache.restore(restored, clock::now());
        Self {
            directory: tempfile::tempdir().unwrap(),
            key: PrivateKey::generate(KeyType::EcP256).unwrap(),
            own,
            entry,
            cache,
        }
    }

    fn path(&self) -> PathBuf {
        self.directory.path().join("agent-cache.sealed")
    }

    fn disk_cache(&self) -> DiskCache {
        DiskCache::new(self.path(), &self.key).unwrap()
    }

    async fn keep(&self) {
        let mut disk_cache = self.disk_cache();
        disk_cache.write(&self.cache, &identity()).await;
        assert!(!disk_cache.failing);
    }

    /// How a restart a while later ends for a file that is refused.
    fn refusal(&self, disk_cache: &DiskCache, agent: &str) -> String {
        let refused = disk_cache.read(&agent.parse().unwrap(), clock::now());
        refused.unwrap_err().to_string()
    }
}

fn cache(own: &Bundle) -> Cache {
    let limits = Limits {
        x509_svids: 10,
        jwt_svids: 10,
    };
    Cache::new(own, limits, dead_upstream(own))
}

fn token() -> JwtSvid {
    JwtSvid {
        token: "a.secret.token".to_owned(),
        issued_at: clock::now(),
        expires_at: clock::now() + HOUR,
    }
}

/// The agent's own SVID.
fn identity() -> SharedIdentity {
    let (_, svid) = issued(AGENT);
    let own = Identity::new(svid.chain, &svid.key).unwrap();
    watch::Sender::new(Some(Arc::new(own))).subscribe()
}

#[tokio::test]
async fn a_restarted_agent_serves_what_it_served_before() {
    let stage = Stage::new();
    stage.keep().await;
    let restored = stage
        .disk_cache()
        .restore(&AGENT.parse().unwrap(), clock::now());
    let again = cache(&Bundle::empty("example.org".parse().unwrap()));
    assert!(!*again.filled().borrow());
    again.restore(restored.unwrap(), clock::now());
    assert!(*again.filled().borrow());

    let held = |cache: &Cache| {
        let update = cache
            .subscribe(&stage.entry.selectors)
            .receiver
            .borrow()
            .clone();
        let svid = Arc::clone(&update.identities[0]);
        (svid.chain_der.clone(), svid.key_der.to_vec(), svid.renew_at)
    };
    let (chain, key, renew_at) = held(&again);
    assert_eq!((chain, key), (held(&stage.cache).0, held(&stage.cache).1));
    assert!(renew_at <= held(&stage.cache).2, "it is renewed no later");
    let snapshot = again.snapshot();
    assert_eq!(
        snapshot.bundles.own.bundle().x509_authorities,
        stage.own.x509_authorities
    );
    assert_eq!(snapshot.bundles.federated.len(), 1);
    let entry = Arc::new(stage.entry.clone());
    let jwt = again.jwt_svid(&entry, vec!["x".to_owned()]);
    assert_eq!(jwt.await.unwrap().token, token().token);
    let due = again.due(clock::now(), 10);
    assert!(due.entries.is_empty(), "nothing is signed anew: {due:?}");
}

#[tokio::test]
async fn the_file_is_private_and_shows_no_secret() {
    let stage = Stage::new();
    stage.keep().await;
    let mode = fs::metadata(stage.path()).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    let bytes = fs::read(stage.path()).unwrap();
    let shows = |secret: &[u8]| bytes.windows(secret.len()).any(|part| part == secret);
    assert!(!shows(token().token.as_bytes()));
    assert!(!shows(b"/workload/a"), "not even who is served");
    let svid = &stage.cache.snapshot().x509_svids[0];
    assert!(!shows(&svid.key_der[..]));
}

#[tokio::test]
async fn a_file_of_another_agent_machine_or_key_is_refused_with_the_reason() {
    let stage = Stage::new();
    stage.keep().await;
    let disk_cache = stage.disk_cache();
    let other = "spiffe://example.org/spire/agent/two";
    assert_eq!(
        stage.refusal(&disk_cache, other),
        format!("it belongs to {AGENT}")
    );

    let machine_id = stage.directory.path().join("machine-id");
    fs::write(&machine_id, "another\n").unwrap();
    let elsewhere = DiskCache {
        file: Arc::new(CacheFile::new(stage.path(), &stage.key, &machine_id).unwrap()),
        failing: false,
    };
    assert_eq!(
        stage.refusal(&elsewhere, AGENT),
        "it was written on another machine"
    );

    let key = PrivateKey::generate(KeyType::EcP256).unwrap();
    let stranger = DiskCache::new(stage.path(), &key).unwrap();
    let refusal = stage.refusal(&stranger, AGENT);
    assert_eq!(refusal, "the seal is broken, or it is another key's");
}

#[tokio::test]
async fn a_torn_or_forged_file_is_refused_whole_and_set_aside() {
    let stage = Stage::new();
    stage.keep().await;
    let whole = fs::read(stage.path()).unwrap();
    let disk_cache = stage.disk_cache();
    let agent: SpiffeId = AGENT.parse().unwrap();
    for length in (0..whole.len()).step_by(7) {
        fs::write(stage.path(), &whole[..length]).unwrap();
        assert!(
            disk_cache.read(&agent, clock::now()).is_err(),
            "{length} bytes"
        );
    }
    for at in (0..whole.len()).step_by(7) {
        let mut forged = whole.clone();
        forged[at] ^= 0x10;
        fs::write(stage.path(), &forged).unwrap();
        assert!(disk_cache.read(&agent, clock::now()).is_err(), "byte {at}");
    }
    assert!(disk_cache.restore(&agent, clock::now()).is_none());
    assert!(!stage.path().exists());
    assert!(
        stage
            .directory
            .path()
            .join("agent-cache.sealed.refused")
            .exists()
    );
    assert!(disk_cache.read(&agent, clock::now()).unwrap().is_none());
}

#[tokio::test]
async fn of_a_stale_file_only_what_has_not_ended_is_served() {
    let stage = Stage::new();
    stage.keep().await;
    let later = clock::now() + HOUR * 2;
    let restored = stage.disk_cache().restore(&AGENT.parse().unwrap(), later);
    let restored = restored.unwrap();
    assert!(restored.x509_svids.is_empty() && restored.jwt_svids.is_empty());
    let again = cache(&stage.own);
    again.restore(restored, later);
    let update = again
        .subscribe(&stage.entry.selectors)
        .receiver
        .borrow()
        .clone();
    assert!(update.identities.is_empty() && update.entries.len() == 1);
}

#[tokio::test(start_paused = true)]
async fn a_disk_that_takes_nothing_stops_nobody() {
    let stage = Stage::new();
    let nowhere = stage.directory.path().join("missing/agent-cache.sealed");
    let disk_cache = DiskCache::new(nowhere, &stage.key).unwrap();
    assert!(
        disk_cache
            .restore(&AGENT.parse().unwrap(), clock::now())
            .is_none()
    );
    let stop = CancellationToken::new();
    let kept = disk_cache.keep(stage.cache.clone(), identity(), stop.clone());
    let change = async {
        stage.cache.apply(Change::default());
        sleep(PAUSE).await;
        stop.cancel();
    };
    tokio::join!(kept, change);
}

#[tokio::test(start_paused = true)]
async fn a_change_is_on_disk_a_moment_later_and_the_last_one_at_the_end() {
    let stage = Stage::new();
    let stop = CancellationToken::new();
    let disk_cache = stage.disk_cache();
    let kept = disk_cache.keep(stage.cache.clone(), identity(), stop.clone());
    let changes = async {
        stage.cache.apply(Change::default());
        sleep(SETTLE * 2).await;
        let first = fs::read(stage.path()).unwrap();
        stage.cache.apply(Change::default());
        stop.cancel();
        first
    };
    let ((), first) = tokio::join!(kept, changes);
    assert_ne!(fs::read(stage.path()).unwrap(), first);
}

#[tokio::test]
async fn an_agent_without_an_svid_of_its_own_leaves_nothing_behind() {
    let stage = Stage::new();
    let (_sender, nobody) = watch::channel(None);
    stage.disk_cache().write(&stage.cache, &nobody).await;
    assert!(!stage.path().exists());
}

#[tokio::test]
async fn what_is_written_as_the_agent_is_banned_does_not_stay() {
    let stage = Stage::new();
    stage.keep().await;
    let (_, svid) = issued(AGENT);
    let own = Identity::new(svid.chain, &svid.key).unwrap();
    let banned = watch::Sender::new(Some(Arc::new(own)));
    let identity = banned.subscribe();
    let mut disk_cache = stage.disk_cache();
    // Polled first: the write is on its way when the ban comes, and ends after it.
    let written = disk_cache.write(&stage.cache, &identity);
    let ban = async {
        banned.send_replace(None);
        fs::remove_file(stage.path()).unwrap();
    };
    tokio::join!(written, ban);
    assert!(!stage.path().exists());
}

const AGENT: &str = "spiffe://example.org/spire/agent/one";
