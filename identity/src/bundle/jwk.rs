//! JSON Web Keys (RFC 7517, RFC 7518 §6): public keys only, in the kinds that SVIDs are signed
//! with.

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use serde::Serialize;
use serde_json::{Map, Value};
use x509_parser::{prelude::FromDer, public_key::PublicKey, x509::SubjectPublicKeyInfo};

use crate::{
    crypto::{PublicKeyKind, public_key_kind},
    der,
};

/// One key as it is published.
#[derive(Debug, Serialize, Default)]
pub(super) struct Jwk<'a> {
    #[serde(rename = "use", skip_serializing_if = "Option::is_none")]
    pub(super) usage: Option<&'static str>,
    kty: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) kid: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    crv: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    x: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    y: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    n: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    e: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) x5c: Option<[String; 1]>,
}

impl Jwk<'_> {
    /// The members of a public key; `None` for a kind that JWK members cannot be written for here.
    pub(super) fn from_spki(spki_der: &[u8]) -> Option<Self> {
        let kind = public_key_kind(spki_der)?;
        let (_, spki) = SubjectPublicKeyInfo::from_der(spki_der).ok()?;
        let bits: &[u8] = &spki.subject_public_key.data;
        match kind {
            PublicKeyKind::Rsa { .. } => Self::rsa(&spki),
            PublicKeyKind::EcP256 => Self::ec("P-256", 32, bits),
            PublicKeyKind::EcP384 => Self::ec("P-384", 48, bits),
            PublicKeyKind::EcP521 => Self::ec("P-521", 66, bits),
            PublicKeyKind::Ed25519 => Some(Self {
                kty: "OKP",
                crv: Some("Ed25519"),
                x: Some(URL_SAFE_NO_PAD.encode(bits)),
                ..Self::default()
            }),
        }
    }

    fn rsa(spki: &SubjectPublicKeyInfo<'_>) -> Option<Self> {
        let Ok(PublicKey::RSA(key)) = spki.parsed() else {
            return None;
        };
        Some(Self {
            kty: "RSA",
            n: Some(URL_SAFE_NO_PAD.encode(without_zeros(key.modulus))),
            e: Some(URL_SAFE_NO_PAD.encode(without_zeros(key.exponent))),
            ..Self::default()
        })
    }

    fn ec(curve: &'static str, width: usize, point: &[u8]) -> Option<Self> {
        let coordinates = point.strip_prefix(&[UNCOMPRESSED])?;
        if coordinates.len() != width * 2 {
            return None;
        }
        let (x, y) = coordinates.split_at(width);
        Some(Self {
            kty: "EC",
            crv: Some(curve),
            x: Some(URL_SAFE_NO_PAD.encode(x)),
            y: Some(URL_SAFE_NO_PAD.encode(y)),
            ..Self::default()
        })
    }
}

/// The public key of a JWK that signs JWT-SVIDs; `None` when it is of another kind or broken.
pub(super) fn to_spki(jwk: &Map<String, Value>) -> Option<Vec<u8>> {
    let text = |name| jwk.get(name).and_then(Value::as_str);
    let bytes = |name| text(name).and_then(|value| URL_SAFE_NO_PAD.decode(value).ok());
    let spki = match text("kty")? {
        "EC" => {
            let (curve, width) = match text("crv")? {
                "P-256" => (OID_P256, 32),
                "P-384" => (OID_P384, 48),
                "P-521" => (OID_P521, 66),
                _ => return None,
            };
            let (x, y) = (bytes("x")?, bytes("y")?);
            if x.len() != width || y.len() != width {
                return None;
            }
            let point = [&[UNCOMPRESSED], x.as_slice(), &y].concat();
            let algorithm = der::sequence(&[OID_EC.to_vec(), curve.to_vec()]);
            der::sequence(&[algorithm, der::bit_string(&point)])
        }
        "RSA" => {
            let key = der::sequence(&[der::unsigned(&bytes("n")?), der::unsigned(&bytes("e")?)]);
            let algorithm = der::sequence(&[OID_RSA.to_vec(), NULL.to_vec()]);
            der::sequence(&[algorithm, der::bit_string(&key)])
        }
        _ => return None,
    };
    public_key_kind(&spki).map(|_kind| spki)
}

/// The same of Ed25519, too, which JWT-SVIDs are not signed with (RFC 8037 §2).
pub(super) fn to_any_spki(jwk: &Map<String, Value>) -> Option<Vec<u8>> {
    let text = |name| jwk.get(name).and_then(Value::as_str);
    if text("kty") != Some("OKP") {
        return to_spki(jwk);
    }
    if text("crv") != Some("Ed25519") {
        return None;
    }
    let point = URL_SAFE_NO_PAD.decode(text("x")?).ok()?;
    let algorithm = der::sequence(&[OID_ED25519.to_vec()]);
    let spki = der::sequence(&[algorithm, der::bit_string(&point)]);
    (point.len() == 32 && public_key_kind(&spki).is_some()).then_some(spki)
}

fn without_zeros(number: &[u8]) -> &[u8] {
    let zeros = number.iter().take_while(|byte| **byte == 0).count();
    number.get(zeros..).unwrap_or_default()
}

const UNCOMPRESSED: u8 = 4;
const NULL: &[u8] = b"\x05\x00";
const OID_RSA: &[u8] = b"\x06\x09\x2a\x86\x48\x86\xf7\x0d\x01\x01\x01";
const OID_EC: &[u8] = b"\x06\x07\x2a\x86\x48\xce\x3d\x02\x01";
const OID_P256: &[u8] = b"\x06\x08\x2a\x86\x48\xce\x3d\x03\x01\x07";
const OID_P384: &[u8] = b"\x06\x05\x2b\x81\x04\x00\x22";
const OID_ED25519: &[u8] = b"\x06\x03\x2b\x65\x70";
const OID_P521: &[u8] = b"\x06\x05\x2b\x81\x04\x00\x23";
