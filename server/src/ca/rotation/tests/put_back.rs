//! A database that is older than the keys: what it knows goes on, what it does not is over.

use std::fs;

use tempfile::TempDir;

use super::*;
use crate::store::testing::TestStore;

/// Keys of two authorities, the database of before the second, and what both have signed.
struct Stage {
    keys: TempDir,
    backup: TempDir,
    known: (String, String),
    lost: (String, String),
    of_known: X509Svid,
    of_lost: X509Svid,
    token_of_lost: String,
}

impl Stage {
    async fn new() -> Self {
        let keys = tempfile::tempdir().unwrap();
        let world = TestDirectory::new().await;
        let (first, ca) = rotation(&world, disk(keys.path()), start()).await;
        let known = active(&first);
        drop((first, ca));
        let stopped = world.store.close().await;
        let backup = copy_of(stopped.path());

        let world = opened(stopped).await;
        let (mut second, ca) = rotation(&world, disk(keys.path()), start() + HOUR * 12).await;
        let of_known = sign(&ca, change()).unwrap();
        second.converge(change()).await.unwrap();
        let lost = active(&second);
        assert!(lost.0 != known.0 && lost.1 != known.1);
        Self {
            keys,
            backup,
            known,
            lost,
            of_known,
            of_lost: sign(&ca, change()).unwrap(),
            token_of_lost: sign_jwt(&ca, None, change()).token,
        }
    }

    /// What is trusted after the server has come back.
    fn check(&self, world: &TestDirectory) {
        let now = change();
        let bundle = bundle(world);
        let trust = Trust::new([bundle.as_ref()]);
        let known = trust.verify(&self.of_known.chain, Usage::Client, now);
        assert!(known.is_ok(), "what the known one signed is trusted");
        let lost = trust.verify(&self.of_lost.chain, Usage::Client, now);
        assert!(lost.is_err(), "nobody vouches for the lost one");
        let of_token = |_: &TrustDomain| Some(Arc::clone(&bundle));
        assert!(jwt::validate(&self.token_of_lost, "db", of_token, now).is_err());
        let jwt: Vec<_> = bundle.jwt_authorities.iter().collect();
        assert!(jwt.iter().any(|key| key.key_id == self.known.1));
        assert!(jwt.iter().all(|key| key.key_id != self.lost.1));
    }
}

/// When the second authority takes over from the first.
fn change() -> SystemTime {
    start() + HOUR * 20
}

/// All files of one folder in a new one.
fn copy_of(folder: &Path) -> TempDir {
    let copy = tempfile::tempdir().unwrap();
    for file in fs::read_dir(folder).unwrap() {
        let file = file.unwrap();
        fs::copy(file.path(), copy.path().join(file.file_name())).unwrap();
    }
    copy
}

async fn opened(directory: TempDir) -> TestDirectory {
    TestDirectory::over(TestStore::in_directory(directory).await).await
}

#[tokio::test]
async fn an_authority_that_an_older_database_knows_goes_on_and_the_other_is_over() {
    let stage = Stage::new().await;
    let world = opened(copy_of(stage.backup.path())).await;
    let now = change() - HOUR;
    let (mut after, ca) = rotation(&world, disk(stage.keys.path()), now).await;
    assert_eq!(active(&after), stage.known);
    stage.check(&world);
    // Its successor takes the lost one's place, with a key of its own.
    assert_eq!(bundle(&world).x509_authorities.len(), 2);
    after.converge(change()).await.unwrap();
    let successor = active(&after);
    assert!(successor.0 != stage.known.0 && successor.0 != stage.lost.0);
    let svid = sign(&ca, change()).unwrap();
    let trust = Trust::new([bundle(&world).as_ref()]);
    assert!(trust.verify(&svid.chain, Usage::Client, change()).is_ok());
    stage.check(&world);
}

#[tokio::test]
async fn one_that_an_older_database_knows_and_that_should_sign_no_more_is_followed_at_once() {
    let stage = Stage::new().await;
    let world = opened(copy_of(stage.backup.path())).await;
    let (after, _ca) = rotation(&world, disk(stage.keys.path()), change()).await;
    let successor = active(&after);
    assert!(successor.0 != stage.known.0 && successor.0 != stage.lost.0);
    assert!(successor.1 != stage.known.1 && successor.1 != stage.lost.1);
    stage.check(&world);
}
