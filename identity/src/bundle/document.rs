//! The SPIFFE bundle document (SPIFFE Trust Domain and Bundle §4), and the plain JWK set of the
//! Workload API.
//!
//! A reader leaves out entries that it does not understand and keeps the rest; what is no bundle
//! document at all is refused, so that it is never mistaken for a bundle in which everything was
//! revoked.

use std::time::Duration;

use base64::{Engine as _, engine::general_purpose::STANDARD};
use rustls_pki_types::CertificateDer;
use serde::Serialize;
use serde_json::{Map, Value};
use spiffe::TrustDomain;

use super::{
    Bundle, BundleError, JwtAuthority, X509Authority,
    jwk::{self, Jwk},
};
use crate::json;

/// A bundle and what was left out of it.
#[derive(Debug)]
pub struct Read {
    /// What could be used.
    pub bundle: Bundle,
    /// One sentence for each entry that could not be used, for the log.
    pub ignored: Vec<String>,
}

impl Bundle {
    /// The bundle document, as a bundle endpoint publishes it.
    pub fn to_document(&self) -> String {
        let x509 = self
            .x509_authorities
            .iter()
            .filter_map(X509Authority::to_jwk);
        let jwt = self.jwt_authorities.iter().filter_map(JwtAuthority::to_jwk);
        let jwt = jwt.map(|mut key| {
            key.usage = Some(JWT_SVID);
            key
        });
        write(&Document {
            keys: x509.chain(jwt).collect(),
            // Zero is what a bundle has that was never numbered.
            spiffe_sequence: Some(self.sequence).filter(|sequence| *sequence > 0),
            spiffe_refresh_hint: self.hint_seconds(),
        })
    }

    /// The JWT keys as the Workload API gives them: a plain JWK set without `use`.
    pub fn to_jwks(&self) -> String {
        write(&Document {
            keys: self
                .jwt_authorities
                .iter()
                .filter_map(JwtAuthority::to_jwk)
                .collect(),
            spiffe_sequence: None,
            spiffe_refresh_hint: None,
        })
    }

    /// Reads a bundle document of `trust_domain`; entries that are not understood are left out.
    ///
    /// # Errors
    /// The text is no bundle document, or two of its JWT keys have one name.
    pub fn from_document(trust_domain: TrustDomain, text: &str) -> Result<Self, BundleError> {
        Self::read_document(trust_domain, text).map(|read| read.bundle)
    }

    /// Reads the JWT keys of `trust_domain` as the Workload API gives them: a JWK set whose keys
    /// need no `use` (SPIFFE Workload API §6.2.2). What is not understood is left out.
    ///
    /// # Errors
    /// The text is no JWK set, or two of its keys have one name.
    pub fn from_jwks(trust_domain: TrustDomain, text: &str) -> Result<Self, BundleError> {
        let read = Self::read(trust_domain, text, Some(JWT_SVID))?;
        Ok(Self {
            x509_authorities: Vec::new(),
            ..read.bundle
        })
    }

    /// [`Self::from_document`], telling what was left out.
    ///
    /// # Errors
    /// The text is no bundle document, or two of its JWT keys have one name.
    pub fn read_document(trust_domain: TrustDomain, text: &str) -> Result<Read, BundleError> {
        Self::read(trust_domain, text, None)
    }

    /// `usual` is what keys are for that do not say it.
    fn read(
        trust_domain: TrustDomain,
        text: &str,
        usual: Option<&str>,
    ) -> Result<Read, BundleError> {
        let unreadable = |error: serde_json::Error| BundleError::Document(error.to_string());
        let document = json::object(text.as_bytes()).map_err(unreadable)?;
        let Some(Value::Array(keys)) = document.get("keys") else {
            return Err(BundleError::Document(
                "the member \"keys\" is not an array".to_owned(),
            ));
        };
        let mut read = Read {
            bundle: Self {
                refresh_hint: refresh_hint(&document)?,
                sequence: sequence(&document)?,
                ..Self::empty(trust_domain)
            },
            ignored: Vec::new(),
        };
        for (index, key) in keys.iter().enumerate() {
            if let Err(reason) = read.add(key, usual) {
                read.ignored.push(format!(
                    "entry {} of the bundle is left out: {reason}",
                    index + 1
                ));
            }
        }
        read.bundle.jwt_authorities = super::distinct(read.bundle.jwt_authorities)?;
        Ok(read)
    }
}

impl Read {
    fn add(&mut self, key: &Value, usual: Option<&str>) -> Result<(), String> {
        let key = key.as_object().ok_or("it is not an object")?;
        let kty = key
            .get("kty")
            .and_then(Value::as_str)
            .ok_or("it has no \"kty\"")?;
        if !matches!(kty, "EC" | "RSA" | "OKP") {
            return Err(format!("key type {kty:?} is unknown"));
        }
        match key.get("use").map_or(usual, Value::as_str) {
            Some(X509_SVID) => self.add_x509(key),
            Some(JWT_SVID) => self.add_jwt(key),
            Some(other) => Err(format!("use {other:?} is unknown")),
            None => Err("it has no \"use\"".to_owned()),
        }
    }

    fn add_x509(&mut self, key: &Map<String, Value>) -> Result<(), String> {
        // X509-SVID §6.2: only the first value counts.
        let chain = key.get("x5c").and_then(Value::as_array);
        let first = chain
            .and_then(|chain| chain.first())
            .and_then(Value::as_str);
        let der = STANDARD
            .decode(first.ok_or("it has no \"x5c\"")?)
            .map_err(|error| format!("its \"x5c\" is not base64: {error}"))?;
        let authority = X509Authority::parse(CertificateDer::from(der), false)
            .map_err(|error| error.to_string())?;
        // What nothing here can verify with could not be written into a document again either.
        if authority.to_jwk().is_none() {
            return Err("its key is of an unsupported kind".to_owned());
        }
        if !self.bundle.x509_authorities.contains(&authority) {
            self.bundle.x509_authorities.push(authority);
        }
        Ok(())
    }

    fn add_jwt(&mut self, key: &Map<String, Value>) -> Result<(), String> {
        let key_id = key
            .get("kid")
            .and_then(Value::as_str)
            .filter(|kid| !kid.is_empty());
        let key_id = key_id.ok_or("it has no \"kid\"")?.to_owned();
        let spki_der = jwk::to_spki(key).ok_or("its key is broken or of an unsupported kind")?;
        self.bundle.jwt_authorities.push(JwtAuthority {
            key_id,
            spki_der,
            expires_at: None,
            tainted: false,
        });
        Ok(())
    }
}

impl X509Authority {
    fn to_jwk(&self) -> Option<Jwk<'_>> {
        let details = self.details().ok()?;
        let mut key = Jwk::from_spki(&details.spki_der)?;
        key.usage = Some(X509_SVID);
        key.x5c = Some([STANDARD.encode(&self.der)]);
        Some(key)
    }
}

impl JwtAuthority {
    fn to_jwk(&self) -> Option<Jwk<'_>> {
        let mut key = Jwk::from_spki(&self.spki_der)?;
        key.kid = Some(&self.key_id);
        Some(key)
    }
}

fn sequence(document: &Map<String, Value>) -> Result<u64, BundleError> {
    match document.get("spiffe_sequence") {
        None => Ok(0),
        Some(value) => value.as_u64().ok_or_else(|| {
            BundleError::Document(format!(
                "\"spiffe_sequence\" is {value}, no whole number of 64 bits"
            ))
        }),
    }
}

fn refresh_hint(document: &Map<String, Value>) -> Result<Option<Duration>, BundleError> {
    let Some(value) = document.get("spiffe_refresh_hint") else {
        return Ok(None);
    };
    if let Some(seconds) = value.as_u64() {
        return Ok((seconds > 0).then(|| Duration::from_secs(seconds)));
    }
    // It is only a hint; one below zero says nothing.
    if value.is_i64() {
        return Ok(None);
    }
    let reason = format!("\"spiffe_refresh_hint\" is {value}, no whole number of seconds");
    Err(BundleError::Document(reason))
}

fn write(document: &Document<'_>) -> String {
    let mut out = Vec::new();
    let style = serde_json::ser::PrettyFormatter::with_indent(b"    ");
    let mut serializer = serde_json::Serializer::with_formatter(&mut out, style);
    // Strings and numbers into memory: neither step can fail.
    let _ = document.serialize(&mut serializer);
    String::from_utf8(out).unwrap_or_default()
}

#[derive(Serialize)]
struct Document<'a> {
    keys: Vec<Jwk<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    spiffe_sequence: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    spiffe_refresh_hint: Option<i64>,
}

const X509_SVID: &str = "x509-svid";
const JWT_SVID: &str = "jwt-svid";
