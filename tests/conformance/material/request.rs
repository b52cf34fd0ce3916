//! Certificate requests (PKCS #10) that ask for anything.

use signet_identity::key::PrivateKey;

use super::{Extension, der};

/// A request for `key` with these extensions, well signed.
pub(crate) fn asking(key: &PrivateKey, extensions: &[Extension]) -> Vec<u8> {
    let all: Vec<u8> = extensions.iter().flat_map(|one| one.der.clone()).collect();
    // extensionRequest of PKCS #9.
    let values = der::value(0x31, &der::sequence(&[&all]));
    let attribute = der::sequence(&[&der::oid("1.2.840.113549.1.9.14"), &values]);
    let attributes = if extensions.is_empty() {
        der::value(0xa0, &[])
    } else {
        der::value(0xa0, &attribute)
    };
    let info = der::sequence(&[
        &der::integer(&[0]),
        &der::common_name("asking"),
        key.spki_der(),
        &attributes,
    ]);
    let algorithm = der::sequence(&[&der::oid("1.2.840.10045.4.3.2")]);
    let signature = der::bit_string(&key.sign(&info).unwrap());
    der::sequence(&[&info, &algorithm, &signature])
}
