//! What is kept comes back, and what is wrong with the files is said.

use std::os::unix::fs::PermissionsExt as _;

use rcgen::{CertificateParams, KeyPair};
use signet_identity::key::KeyType;

use super::*;

fn own() -> TrustDomain {
    TrustDomain::new("example.org").unwrap()
}

fn open(directory: &Path) -> Result<(Storage, Saved), StorageError> {
    Storage::open(directory, KeyManager::Disk(directory.to_owned()), &own())
}

fn svid() -> SavedSvid {
    let key = KeyPair::generate().unwrap();
    let certificate = CertificateParams::default().self_signed(&key).unwrap();
    SavedSvid {
        chain: vec![certificate.der().clone()],
        key: PrivateKey::from_pkcs8(&key.serialize_der()).unwrap(),
        reattestable: true,
    }
}

#[test]
fn an_svid_comes_back_with_its_key_even_if_the_next_key_was_made_already() {
    let directory = tempfile::tempdir().unwrap();
    let svid = svid();
    let next = PrivateKey::generate(KeyType::EcP256).unwrap();
    {
        let (storage, saved) = open(directory.path()).unwrap();
        assert!(saved.svid.is_none() && saved.bundle.is_none());
        storage.save_keys(None, &svid.key).unwrap();
        storage.save_svid(&svid).unwrap();
        storage.save_keys(Some(&svid.key), &next).unwrap();
    }
    let (_storage, saved) = open(directory.path()).unwrap();
    let found = saved.svid.unwrap();
    assert_eq!(found.chain, svid.chain);
    assert_eq!(found.key.spki_der(), svid.key.spki_der());
    assert!(found.reattestable);
}

#[test]
fn the_files_are_private() {
    let directory = tempfile::tempdir().unwrap();
    let (storage, _) = open(directory.path()).unwrap();
    let svid = svid();
    storage.save_keys(None, &svid.key).unwrap();
    storage.save_svid(&svid).unwrap();
    for name in ["agent-data.json", "keys.json"] {
        let metadata = fs::metadata(directory.path().join(name)).unwrap();
        assert_eq!(metadata.permissions().mode() & 0o777, 0o600, "{name}");
    }
}

#[test]
fn an_svid_without_its_key_is_none() {
    let directory = tempfile::tempdir().unwrap();
    {
        let (storage, _) = Storage::open(directory.path(), KeyManager::Memory, &own()).unwrap();
        let svid = svid();
        storage.save_keys(None, &svid.key).unwrap();
        storage.save_svid(&svid).unwrap();
    }
    assert!(!directory.path().join("keys.json").exists());
    let (_storage, saved) = open(directory.path()).unwrap();
    assert!(saved.svid.is_none());
}

#[test]
fn a_banned_agent_finds_no_svid() {
    let directory = tempfile::tempdir().unwrap();
    {
        let (storage, _) = open(directory.path()).unwrap();
        let svid = svid();
        storage.save_keys(None, &svid.key).unwrap();
        storage.save_svid(&svid).unwrap();
        storage.forget_svid().unwrap();
    }
    let (_storage, saved) = open(directory.path()).unwrap();
    assert!(saved.svid.is_none());
}

#[test]
fn what_is_wrong_with_the_directory_is_said() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("agent-data.json");
    {
        let (storage, _) = open(directory.path()).unwrap();
        storage.save_svid(&svid()).unwrap();
        let second = open(directory.path());
        assert!(matches!(second, Err(StorageError::InUse(_))));
    }
    let other = TrustDomain::new("other.test").unwrap();
    let opened = Storage::open(directory.path(), KeyManager::Memory, &other);
    assert!(matches!(opened, Err(StorageError::OtherTrustDomain(..))));
    fs::write(&path, "{\"trust_domain\":").unwrap();
    let error = open(directory.path()).unwrap_err().to_string();
    assert!(error.contains("agent-data.json is damaged"), "{error}");
}

#[test]
fn a_file_that_a_stranger_has_laid_out_is_not_read() {
    if !nix::unistd::geteuid().is_root() {
        eprintln!("skipped: only root can make a stranger's files");
        return;
    }
    let directory = tempfile::tempdir().unwrap();
    fs::set_permissions(directory.path(), fs::Permissions::from_mode(0o1777)).unwrap();
    for name in ["keys.json", "agent-data.json"] {
        let path = directory.path().join(name);
        fs::write(&path, "{\"trust_domain\":\"example.org\",\"keys\":{}}").unwrap();
        std::os::unix::fs::chown(&path, Some(65_534), None).unwrap();
        let error = open(directory.path()).unwrap_err();
        assert!(matches!(&error, StorageError::Guard(_)), "{error}");
        fs::remove_file(&path).unwrap();
    }
}

#[test]
fn a_damaged_key_file_is_named_and_no_key_in_it_quoted() {
    let directory = tempfile::tempdir().unwrap();
    {
        let (storage, _) = open(directory.path()).unwrap();
        storage.save_svid(&svid()).unwrap();
    }
    let path = directory.path().join("keys.json");
    for text in ["", "{\"keys\":\"MIGHAgEA\"}", "{\"keys\":[\"MIGHAgEA\"]}"] {
        fs::write(&path, text).unwrap();
        let error = open(directory.path()).unwrap_err().to_string();
        assert!(error.contains("keys.json is damaged"), "{error}");
        assert!(!error.contains("MIGHAgEA"), "{error}");
    }
}
