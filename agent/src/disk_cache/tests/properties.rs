//! Whatever stands in the file: it is read whole, or nothing of it.

use std::sync::LazyLock;

use proptest::{collection::vec, prelude::*, sample::Index};
use prost::Message as _;
use signet_proto::signet::agent::cache::v1;

use super::*;

/// One cache for all cases, as it lies on the disk, and what is sealed in it.
struct Kept {
    stage: Stage,
    file: Vec<u8>,
    plain: Vec<u8>,
}

static KEPT: LazyLock<Kept> = LazyLock::new(|| {
    // The cache has a channel to a server, which wants a runtime.
    let runtime = tokio::runtime::Builder::new_current_thread();
    let runtime = { runtime }.enable_all().build().unwrap();
    let stage = runtime.block_on(async { Stage::new() });
    let cache_file = stage.disk_cache().file;
    let plain = content::encode(&stage.cache.snapshot()).to_vec();
    cache_file.write(&agent(), &plain).unwrap();
    let file = fs::read(stage.path()).unwrap();
    Kept { stage, file, plain }
});

fn agent() -> SpiffeId {
    AGENT.parse().unwrap()
}

/// What the agent takes from a file with these bytes.
fn read(bytes: &[u8]) -> Result<Vec<u8>, RefusedFile> {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("agent-cache.sealed");
    fs::write(&path, bytes).unwrap();
    let file = DiskCache::new(path, &KEPT.stage.key).unwrap().file;
    let plain = file.read(&agent())?;
    Ok(plain.expect("there is a file").to_vec())
}

/// What is read of a plain text is all of it.
fn whole_or_refused(plain: &[u8]) -> Result<(), TestCaseError> {
    let Ok(restored) = content::decode(plain, clock::now()) else {
        return Ok(());
    };
    let stated = v1::Snapshot::decode(plain).unwrap();
    prop_assert_eq!(restored.change.entries.len(), stated.entries.len());
    prop_assert_eq!(restored.change.bundles.len(), stated.bundles.len());
    for (entry, stated) in restored.change.entries.iter().zip(&stated.entries) {
        prop_assert_eq!(entry.id.to_string(), &stated.id[..]);
    }
    for svid in &restored.x509_svids {
        let mut entries = restored.change.entries.iter();
        let named = entries.find(|entry| entry.id == svid.entry.id);
        prop_assert_eq!(&named.unwrap().spiffe_id, &svid.entry.spiffe_id);
        let key = PrivateKey::from_pkcs8(&svid.key_der).unwrap();
        let leaf = signet_identity::x509::public_key(&svid.chain[0]).unwrap();
        prop_assert_eq!(key.spki_der(), leaf, "a key without its certificate");
    }
    Ok(())
}

#[test]
fn the_cache_of_the_properties_is_read_as_it_was_written() {
    assert_eq!(read(&KEPT.file).unwrap(), KEPT.plain);
    let restored = content::decode(&KEPT.plain, clock::now()).unwrap();
    assert_eq!(restored.x509_svids.len(), 1);
}

proptest! {
    #[test]
    fn any_bytes_are_refused(bytes: Vec<u8>) {
        prop_assert!(read(&bytes).is_err());
    }

    #[test]
    fn a_file_with_a_byte_changed_is_refused(at: Index, mask in 1..=u8::MAX) {
        let mut file = KEPT.file.clone();
        let at = at.index(file.len());
        file[at] ^= mask;
        prop_assert!(read(&file).is_err(), "byte {at}");
    }

    #[test]
    fn a_torn_file_is_refused(length: Index) {
        prop_assert!(read(&KEPT.file[..length.index(KEPT.file.len())]).is_err());
    }

    #[test]
    fn what_stands_after_the_end_changes_nothing(more: Vec<u8>) {
        if let Ok(plain) = read(&[&KEPT.file[..], &more].concat()) {
            prop_assert_eq!(plain, &KEPT.plain[..]);
        }
    }

    #[test]
    fn what_is_sealed_is_taken_whole_or_refused(
        changes in vec((any::<Index>(), 1..=u8::MAX), 0..3),
        length: Index,
        torn: bool,
    ) {
        let mut plain = KEPT.plain.clone();
        if torn {
            plain.truncate(length.index(plain.len()));
        }
        for (at, mask) in changes {
            if !plain.is_empty() {
                let at = at.index(plain.len());
                plain[at] ^= mask;
            }
        }
        whole_or_refused(&plain)?;
    }

    #[test]
    fn any_plain_text_is_taken_whole_or_refused(plain: Vec<u8>) {
        whole_or_refused(&plain)?;
    }
}
