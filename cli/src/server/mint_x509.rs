//! `signet server x509 mint`: an X509-SVID for something that no agent can attest.

use std::{
    path::{Path, PathBuf},
    time::Duration,
};

use anyhow::{Context as _, bail, ensure};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use serde::{Serialize, Serializer};
use signet_identity::{
    csr::{self, Subject},
    id,
    key::{KeyType, PrivateKey},
    x509::chain_to_pem,
};
use signet_proto::spire::api::server::{
    bundle::v1::{GetBundleRequest, bundle_client::BundleClient},
    svid::v1::{MintX509svidRequest, svid_client::SvidClient},
};
use zeroize::Zeroizing;

use super::{Administer, Server, parse, ttl};
use crate::{
    files::{self, Readers},
    grpc::{self, DEADLINE, MESSAGE_LIMIT},
    output::{Answer, Text},
};

/// Makes a key here and has it signed.
#[derive(Debug, clap::Args)]
pub(crate) struct Mint {
    /// The SPIFFE ID of the X509-SVID
    #[arg(long, alias = "spiffeID", value_name = "SPIFFE_ID")]
    spiffe_id: Option<String>,

    /// The lifetime of the X509-SVID, like 1h30m
    #[arg(long, value_parser = ttl::parse, default_value = "0s", hide_default_value = true)]
    ttl: Duration,

    /// A DNS name for the SVID; can be used more than once
    #[arg(long = "dns", value_name = "NAME")]
    dns_names: Vec<String>,

    /// A folder to write to instead of standard output
    #[arg(long, value_name = "DIR")]
    write: Option<PathBuf>,
}

/// What was minted, as DER. The order of the fields is that of the JSON.
#[derive(Serialize)]
struct Minted {
    #[serde(serialize_with = "base64_list")]
    x509_svid: Vec<Vec<u8>>,
    #[serde(serialize_with = "base64_secret")]
    private_key: PrivateKey,
    #[serde(serialize_with = "base64_list")]
    root_cas: Vec<Vec<u8>>,
}

impl Administer for Mint {
    async fn administer(self, server: &Server) -> anyhow::Result<Answer> {
        let Some(id) = parse::given(self.spiffe_id.as_deref()) else {
            bail!("spiffeID must be specified");
        };
        let id = id::parse(id)?;
        let ttl = ttl::seconds(self.ttl)?;
        let key = PrivateKey::generate(KeyType::EcP256).context("unable to generate key")?;
        let request = csr::build(&key, Subject::default(), Some(&id), &self.dns_names)
            .context("unable to generate CSR")?;
        let (minted, expires_at) =
            mint(server, key, MintX509svidRequest { csr: request, ttl }).await?;
        let notes = ttl::capped("X509-SVID", self.ttl, expires_at, crate::now());
        let answer = match &self.write {
            None => Answer::value(&minted, Text::out(minted.text()))?,
            Some(folder) => Answer::plain(minted.write(folder)?),
        };
        Ok(answer.with_notes(notes))
    }
}

async fn mint(
    server: &Server,
    key: PrivateKey,
    request: MintX509svidRequest,
) -> anyhow::Result<(Minted, i64)> {
    let channel = server.connect().await?;
    let mut svids = SvidClient::new(channel.clone());
    let response = grpc::call(DEADLINE, svids.mint_x509svid(request))
        .await
        .context("unable to mint SVID")?;
    let svid = response.svid.unwrap_or_default();
    ensure!(
        !svid.cert_chain.is_empty(),
        "server response missing SVID chain"
    );
    let mut bundles = BundleClient::new(channel).max_decoding_message_size(MESSAGE_LIMIT);
    let bundle = grpc::call(DEADLINE, bundles.get_bundle(GetBundleRequest::default()))
        .await
        .context("unable to get bundle")?;
    let root_cas = bundle.x509_authorities.into_iter().map(|root| root.asn1);
    let minted = Minted {
        x509_svid: svid.cert_chain,
        private_key: key,
        root_cas: root_cas.collect(),
    };
    ensure!(
        !minted.root_cas.is_empty(),
        "server response missing X509 Authorities"
    );
    Ok((minted, svid.expires_at))
}

impl Minted {
    fn text(&self) -> String {
        format!(
            "X509-SVID:\n{}\nPrivate key:\n{}\nRoot CAs:\n{}\n",
            chain_to_pem(&self.x509_svid),
            self.private_key.to_pem().as_str(),
            chain_to_pem(&self.root_cas),
        )
    }

    fn write(&self, folder: &Path) -> anyhow::Result<String> {
        let svid = folder.join("svid.pem");
        let key = folder.join("key.pem");
        let bundle = folder.join("bundle.pem");
        files::write(
            &svid,
            chain_to_pem(&self.x509_svid).as_bytes(),
            Readers::Everybody,
        )
        .context("unable to write SVID")?;
        files::write(&key, self.private_key.to_pem().as_bytes(), Readers::Owner)
            .context("unable to write key")?;
        files::write(
            &bundle,
            chain_to_pem(&self.root_cas).as_bytes(),
            Readers::Everybody,
        )
        .context("unable to write bundle")?;
        Ok(format!(
            "X509-SVID written to {}\nPrivate key written to {}\nRoot CAs written to {}\n",
            svid.display(),
            key.display(),
            bundle.display()
        ))
    }
}

fn base64_list<S: Serializer>(ders: &[Vec<u8>], serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_seq(ders.iter().map(|der| STANDARD.encode(der)))
}

fn base64_secret<S: Serializer>(key: &PrivateKey, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(&Zeroizing::new(STANDARD.encode(key.pkcs8_der())))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    fn minted() -> Minted {
        Minted {
            x509_svid: vec![b"leaf".to_vec(), b"ca".to_vec()],
            private_key: PrivateKey::generate(KeyType::EcP256).unwrap(),
            root_cas: vec![b"root".to_vec()],
        }
    }

    #[test]
    fn three_sections_of_pem_are_printed() {
        let minted = minted();
        assert_eq!(
            minted.text(),
            format!(
                "\
X509-SVID:
-----BEGIN CERTIFICATE-----
bGVhZg==
-----END CERTIFICATE-----
-----BEGIN CERTIFICATE-----
Y2E=
-----END CERTIFICATE-----

Private key:
{}
Root CAs:
-----BEGIN CERTIFICATE-----
cm9vdA==
-----END CERTIFICATE-----

",
                minted.private_key.to_pem().as_str()
            )
        );
    }

    #[test]
    fn json_is_der_in_base64() {
        let minted = minted();
        let key = STANDARD.encode(minted.private_key.pkcs8_der());
        assert_eq!(
            serde_json::to_string(&minted).unwrap(),
            format!(
                r#"{{"x509_svid":["bGVhZg==","Y2E="],"private_key":"{key}","root_cas":["cm9vdA=="]}}"#
            )
        );
    }

    #[test]
    fn three_files_are_written_and_the_key_is_private() {
        let folder = tempfile::tempdir().unwrap();
        let text = minted().write(folder.path()).unwrap();
        let shown = folder.path().display();
        assert_eq!(
            text,
            format!(
                "X509-SVID written to {shown}/svid.pem\n\
                 Private key written to {shown}/key.pem\n\
                 Root CAs written to {shown}/bundle.pem\n"
            )
        );
        let mode = |name| {
            let metadata = std::fs::metadata(folder.path().join(name)).unwrap();
            metadata.permissions().mode() & 0o777
        };
        assert_eq!(
            ["svid.pem", "key.pem", "bundle.pem"].map(mode),
            [0o644, 0o600, 0o644]
        );
    }
}
