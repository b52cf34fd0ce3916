//! Reads the files, whole or not at all.

use std::{fmt, fs, io::Read as _, path::Path, sync::Arc};

use rustls::{
    ClientConfig, RootCertStore,
    pki_types::{
        CertificateDer, CertificateRevocationListDer, DnsName, PrivateKeyDer, pem::PemObject as _,
    },
};
use signet_identity::{
    crypto::sha256,
    tls::{OutsideClient, OutsideName, OutsideServer, outside_client_config},
    x509::chain_from_pem,
};

use super::files::{ClientFiles, Files};

/// What was read of the files of one TLS.
pub(crate) struct Material {
    authorities: Arc<RootCertStore>,
    revoked: Vec<CertificateRevocationListDer<'static>>,
    client: Option<Client>,
    digest: [u8; 32],
}

struct Client {
    chain: Vec<CertificateDer<'static>>,
    key: PrivateKeyDer<'static>,
}

impl Material {
    /// Reads them.
    ///
    /// # Errors
    /// Which one cannot be read, and why; or which do not belong together.
    pub(super) fn read(files: &Files) -> Result<Self, String> {
        let mut digest = Vec::new();
        let authorities = match &files.authorities {
            Some(path) => certificates("caCertificates", path)?,
            None => of_system()?,
        };
        for certificate in &authorities {
            digest.extend(sha256(certificate));
        }
        let mut store = RootCertStore::empty();
        for certificate in authorities {
            let added = store.add(certificate);
            let named = files.authorities.as_deref();
            // What the system trusts is not ours to put right.
            if let (Err(why), Some(path)) = (added, named) {
                return Err(told("caCertificates", path, &why));
            }
        }
        let revoked = files.revoked.as_deref().map(revocations).transpose()?;
        let revoked = revoked.unwrap_or_default();
        for list in &revoked {
            digest.extend(sha256(list));
        }
        let client = files.client.as_ref().map(Client::read).transpose()?;
        if let Some(client) = &client {
            client.chain.iter().for_each(|it| digest.extend(sha256(it)));
            digest.extend(sha256(client.key.secret_der()));
        }
        let material = Self {
            authorities: Arc::new(store),
            revoked,
            client,
            digest: sha256(&digest),
        };
        material.is_whole()?;
        Ok(material)
    }

    /// What tells it from what was read at another time.
    pub(crate) fn digest(&self) -> [u8; 32] {
        self.digest
    }

    /// A client of a server that has one of these names.
    ///
    /// # Errors
    /// There is no name.
    pub(crate) fn config(
        &self,
        names: Vec<OutsideName>,
        alpn: &[&[u8]],
    ) -> Result<Arc<ClientConfig>, signet_identity::tls::TlsError> {
        let server = OutsideServer {
            authorities: Arc::clone(&self.authorities),
            revoked: self.revoked.clone(),
            names,
        };
        let client = self.client.as_ref().map(|client| OutsideClient {
            chain: client.chain.clone(),
            key: client.key.clone_key(),
        });
        outside_client_config(server, client, alpn)
    }

    /// Whether a connection could be made with it.
    fn is_whole(&self) -> Result<(), String> {
        let name = "any.invalid".try_into().map(OutsideName::Dns);
        let names = name.into_iter().collect();
        let config = self.config(names, &[]).map(drop);
        config.map_err(|error| crate::flow::whole(&error).to_string())
    }
}

impl Client {
    fn read(files: &ClientFiles) -> Result<Self, String> {
        let chain = certificates("clientCertificate", &files.chain)?;
        let text = text("privateKey", &files.key)?;
        let key = PrivateKeyDer::from_pem_slice(text.as_bytes());
        let key = key.map_err(|why| told("privateKey", &files.key, &why))?;
        Ok(Self { chain, key })
    }
}

impl fmt::Debug for Material {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let client = self.client.as_ref().map(|client| &client.chain);
        f.debug_struct("Material")
            .field("authorities", &self.authorities.len())
            .field("revoked", &self.revoked.len())
            .field("client", &client.map(Vec::len))
            .finish_non_exhaustive()
    }
}

/// A client of the server of this name, for which those signed whom the system trusts. It reads
/// files.
///
/// # Errors
/// Nobody is trusted, or no configuration can be made of it.
pub(crate) fn trusted_by_system(name: DnsName<'static>) -> Result<Arc<ClientConfig>, String> {
    let files = Files {
        authorities: None,
        revoked: None,
        client: None,
    };
    let config = Material::read(&files)?.config(vec![OutsideName::Dns(name)], &[b"http/1.1"]);
    config.map_err(|error| crate::flow::whole(&error).to_string())
}

/// Those whom the system trusts, or whom `SSL_CERT_FILE` and `SSL_CERT_DIR` name.
fn of_system() -> Result<Vec<CertificateDer<'static>>, String> {
    let found = rustls_native_certs::load_native_certs();
    if found.certs.is_empty() {
        let why = found.errors.first().map(ToString::to_string);
        let why = why.unwrap_or_else(|| "there is none".to_owned());
        return Err(format!(
            "caCertificates is missing, and those whom the system trusts cannot be read: {why}"
        ));
    }
    Ok(found.certs)
}

fn certificates(key: &str, path: &Path) -> Result<Vec<CertificateDer<'static>>, String> {
    let text = text(key, path)?;
    chain_from_pem(&text).map_err(|why| told(key, path, &why))
}

fn revocations(path: &Path) -> Result<Vec<CertificateRevocationListDer<'static>>, String> {
    let text = text("caCrl", path)?;
    let lists = CertificateRevocationListDer::pem_slice_iter(text.as_bytes());
    let lists: Result<Vec<_>, _> = lists.collect();
    let lists = lists.map_err(|why| told("caCrl", path, &why))?;
    match lists.is_empty() {
        true => Err(told("caCrl", path, &"there is no list in it")),
        false => Ok(lists),
    }
}

fn text(key: &str, path: &Path) -> Result<String, String> {
    let mut text = String::new();
    let file = fs::File::open(path).map_err(|why| told(key, path, &why))?;
    let read = file.take(MAX_SIZE).read_to_string(&mut text);
    read.map_err(|why| told(key, path, &why))?;
    let size = u64::try_from(text.len()).unwrap_or(u64::MAX);
    match size < MAX_SIZE {
        true => Ok(text),
        false => Err(told(key, path, &"it is too large")),
    }
}

fn told(key: &str, path: &Path, why: &dyn fmt::Display) -> String {
    format!("{key} {}: {why}", path.display())
}

/// A bundle of all public authorities is smaller than 300 KiB; lists of what was revoked grow.
const MAX_SIZE: u64 = 16 << 20;
