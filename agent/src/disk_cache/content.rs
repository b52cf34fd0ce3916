//! The cache as bytes, and bytes as what the cache may take over: every part is checked as if a
//! server had sent it.

use std::{collections::HashMap, sync::Arc, time::SystemTime};

use prost::Message as _;
use signet_identity::{
    bundle::Bundle,
    entry::{Entry, EntryId},
    key::PrivateKey,
    unix,
};
use signet_proto::signet::agent::cache::v1;
use zeroize::{Zeroize as _, Zeroizing};

use super::file::RefusedFile;
use crate::{
    cache::{Change, IssuedJwt, JwtKey, Restored, Snapshot, SvidError, WorkloadIdentity},
    upstream::JwtSvid,
};

/// A message whose secrets are wiped when it is dropped.
struct Wiped(v1::Snapshot);

/// The bytes of a snapshot.
pub(super) fn encode(snapshot: &Snapshot) -> Zeroizing<Vec<u8>> {
    let bundles = &snapshot.bundles;
    let bundles = [&bundles.own].into_iter().chain(bundles.federated.values());
    let message = Wiped(v1::Snapshot {
        entries: snapshot
            .entries
            .iter()
            .map(|entry| entry.to_proto(None))
            .collect(),
        bundles: bundles
            .map(|bundle| bundle.bundle().to_proto(None))
            .collect(),
        x509_svids: snapshot.x509_svids.iter().map(|svid| x509(svid)).collect(),
        jwt_svids: snapshot.jwt_svids.iter().map(jwt).collect(),
    });
    Zeroizing::new(message.0.encode_to_vec())
}

/// What the bytes of an earlier run say. SVIDs that have ended by `now` are left out.
pub(super) fn decode(bytes: &[u8], now: SystemTime) -> Result<Restored, RefusedFile> {
    let message = v1::Snapshot::decode(bytes).map_err(|error| content(&error))?;
    let message = Wiped(message);
    let mut change = Change {
        reset: true,
        ..Change::default()
    };
    let mut entries = HashMap::new();
    for wire in &message.0.entries {
        let entry = Entry::from_proto(wire).map_err(|error| content(&error))?;
        entries.insert(entry.id.clone(), Arc::new(entry.clone()));
        change.entries.push(entry);
    }
    for wire in &message.0.bundles {
        let bundle = Bundle::from_proto(wire).map_err(|error| content(&error))?;
        change.bundles.push(bundle);
    }
    let mut x509_svids = Vec::new();
    for wire in &message.0.x509_svids {
        x509_svids.extend(read_x509(wire, &entries, now)?);
    }
    let mut jwt_svids = Vec::new();
    for wire in &message.0.jwt_svids {
        jwt_svids.extend(read_jwt(wire, &entries, now)?);
    }
    Ok(Restored {
        change,
        x509_svids,
        jwt_svids,
    })
}

type Entries = HashMap<EntryId, Arc<Entry>>;

fn x509(svid: &WorkloadIdentity) -> v1::X509Svid {
    v1::X509Svid {
        entry_id: svid.entry.id.to_string(),
        cert_chain: svid.chain.iter().map(|der| der.to_vec()).collect(),
        private_key: svid.key_der.to_vec(),
        renew_at: unix::seconds(svid.renew_at),
    }
}

fn read_x509(
    wire: &v1::X509Svid,
    entries: &Entries,
    now: SystemTime,
) -> Result<Option<WorkloadIdentity>, RefusedFile> {
    let entry = find(&wire.entry_id, entries)?;
    let key = PrivateKey::from_pkcs8(&wire.private_key).map_err(|error| content(&error))?;
    let chain = wire.cert_chain.iter().cloned().map(Into::into).collect();
    let renew_at = time(wire.renew_at)?;
    match WorkloadIdentity::new(entry, chain, &key, now, |_| renew_at) {
        Ok(svid) => Ok(Some(svid)),
        Err(SvidError::Expired) => Ok(None),
        // The entry has changed since, and no new SVID had been signed.
        Err(SvidError::OtherId(..)) => Ok(None),
        Err(error @ (SvidError::Empty | SvidError::Profile(_) | SvidError::OtherKey)) => {
            Err(content(&error))
        }
    }
}

fn jwt(IssuedJwt { key, svid }: &IssuedJwt) -> v1::JwtSvid {
    v1::JwtSvid {
        entry_id: key.entry.to_string(),
        revision: key.revision,
        audience: key.audience.clone(),
        token: svid.token.clone(),
        issued_at: unix::seconds(svid.issued_at),
        expires_at: unix::seconds(svid.expires_at),
    }
}

fn read_jwt(
    wire: &v1::JwtSvid,
    entries: &Entries,
    now: SystemTime,
) -> Result<Option<IssuedJwt>, RefusedFile> {
    let svid = JwtSvid {
        token: wire.token.clone(),
        issued_at: time(wire.issued_at)?,
        expires_at: time(wire.expires_at)?,
    };
    // A token outlives its entry in the cache, where nobody asks for it any more.
    let entry = wire.entry_id.parse().map_err(|error| content(&error))?;
    let entry = entries.get::<EntryId>(&entry);
    let current = entry.filter(|entry| entry.revision == wire.revision && svid.expires_at > now);
    Ok(current.map(|entry| IssuedJwt {
        key: JwtKey::new(entry, wire.audience.clone()),
        svid,
    }))
}

fn find(id: &str, entries: &Entries) -> Result<Arc<Entry>, RefusedFile> {
    let parsed: EntryId = id.parse().map_err(|error| content(&error))?;
    let entry = entries.get(&parsed).map(Arc::clone);
    entry.ok_or_else(|| RefusedFile::Content(format!("an SVID of the unknown entry {id}")))
}

fn time(seconds: i64) -> Result<SystemTime, RefusedFile> {
    unix::time(seconds).ok_or_else(|| RefusedFile::Content(format!("{seconds} is no time")))
}

fn content(error: &dyn std::error::Error) -> RefusedFile {
    RefusedFile::Content(error.to_string())
}

impl Drop for Wiped {
    fn drop(&mut self) {
        for svid in &mut self.0.x509_svids {
            svid.private_key.zeroize();
        }
        for svid in &mut self.0.jwt_svids {
            svid.token.zeroize();
        }
    }
}
