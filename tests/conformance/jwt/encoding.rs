//! One spelling of a token: three parts in base64url, signed as they stand.

use serde_json::{Value, json};

use super::{
    forge::{Key, claims, encode, part, standard, with},
    world::{FORGE, World},
};

#[test]
fn jwt_01_a_jws_in_json_is_refused() {
    let world = World::shared();
    let token = world.forge.p256.token(&claims(FORGE));
    world.accepts(&token);
    let [protected, payload, signature] = three(&token);
    let general = json!({
        "payload": payload,
        "signatures": [{"protected": protected, "signature": signature}],
    });
    let flattened = json!({"payload": payload, "protected": protected, "signature": signature});
    let unprotected = json!({
        "payload": payload,
        "protected": encode(r#"{"alg":"ES256"}"#),
        "header": {"kid": "p256"},
        "signature": signature,
    });
    for other in [general, flattened, unprotected, json!(token)] {
        world.refuses(&other.to_string(), "compact JWS");
    }
}

#[test]
fn jwt_02_only_three_whole_parts_are_a_token() {
    let world = World::shared();
    let token = world.forge.p256.token(&claims(FORGE));
    world.accepts(&token);
    let [header, payload, signature] = three(&token);
    let jwe = encode(r#"{"alg":"ECDH-ES","enc":"A128GCM","kid":"p256"}"#);
    for other in [
        format!("{jwe}..{}.{payload}.{signature}", encode("iv of 12.oct")),
        format!("{jwe}.{payload}.{}.{payload}.{signature}", encode("iv")),
        format!("{header}.{payload}"),
        format!("{header}.{payload}."),
        format!("{token}.{signature}"),
        format!("{token}."),
        format!(".{token}"),
        format!("{header}..{signature}"),
        format!(".{payload}.{signature}"),
        "..".to_owned(),
        ".".to_owned(),
        header.to_owned(),
    ] {
        world.refuses(&other, "compact JWS");
    }
}

#[test]
fn jwt_25_the_signature_is_over_the_bytes_that_came_and_by_the_key_that_is_named() {
    let world = World::shared();
    let key = &world.forge.p256;
    let token = key.token(&claims(FORGE));
    world.accepts(&token);
    let refused = "signature does not match";
    world.refuses(&Key::p256("p256").token(&claims(FORGE)), refused);
    let [header, payload, signature] = three(&token);
    let admin = with(&claims(FORGE), "sub", json!("spiffe://forge.test/admin"));
    let admin = encode(admin.to_string());
    world.refuses(&format!("{header}.{admin}.{signature}"), refused);
    // The same header in other words: it means the same and is not what was signed.
    let spaced = encode(r#"{"alg":"ES256", "kid":"p256","typ":"JWT"}"#);
    world.refuses(&format!("{spaced}.{payload}.{signature}"), refused);
    world.accepts(&key.seal(&format!("{spaced}.{payload}")));
    let fixed = key.sign("ES256", format!("{header}.{payload}").as_bytes());
    for other in [
        asn1(&fixed),
        fixed[..63].to_vec(),
        [fixed.as_slice(), &[0]].concat(),
        [&[0], fixed.as_slice()].concat(),
        vec![0; 64],
        // s + n, r and s swapped: numbers that a lenient library takes for the same.
        [&fixed[32..], &fixed[..32]].concat(),
    ] {
        world.refuses(&format!("{header}.{payload}.{}", encode(other)), refused);
    }
}

#[test]
fn jwt_25_a_token_has_one_spelling() {
    let world = World::shared();
    let token = world.forge.p256.token(&claims(FORGE));
    world.accepts(&token);
    let [header, payload, signature] = three(&token);
    for other in [
        format!("{token}="),
        format!("{token}=="),
        format!("{token}\n"),
        format!("{token}\r\n"),
        format!("{token}\0"),
        format!("{token} "),
        format!(" {token}"),
        format!("\n{token}"),
        format!("{header}.{payload}\n.{signature}"),
        format!("{header}\r.{payload}.{signature}"),
        format!("{header}.{}\n{}.{signature}", &payload[..4], &payload[4..]),
        format!(
            "{header}.{payload}.{}\n{}",
            &signature[..4],
            &signature[4..]
        ),
        format!(
            "{header}.{payload}.{}%2D{}",
            &signature[..4],
            &signature[4..]
        ),
        format!("Bearer {token}"),
        format!("\"{token}\""),
        format!("{token},{token}"),
        format!("{token}AAAA."),
    ] {
        world.refuses(&other, "compact JWS");
    }
}

#[test]
fn jwt_25_parts_in_another_spelling_are_refused_although_they_are_signed_as_they_stand() {
    let world = World::shared();
    let key = &world.forge.p256;
    // Long enough to leave one and two bytes over, and with bytes that the two alphabets spell
    // differently.
    for filler in ["", "~", "~~"] {
        let header = json!({"alg": "ES256", "kid": "p256", "foo": format!("???>>>~~~{filler}")});
        let claims = with(&claims(FORGE), "foo", json!(format!("???>>>~~~{filler}")));
        let (header, payload) = (header.to_string(), claims.to_string());
        let (good_header, good_payload) = (encode(&header), encode(&payload));
        world.accepts(&key.seal(&format!("{good_header}.{good_payload}")));
        for other in other_spellings(&header) {
            world.refuses(&key.seal(&format!("{other}.{good_payload}")), "compact JWS");
        }
        for other in other_spellings(&payload) {
            world.refuses(&key.seal(&format!("{good_header}.{other}")), "compact JWS");
        }
        let signed = format!("{good_header}.{good_payload}");
        let signature = key.sign("ES256", signed.as_bytes());
        for other in other_spellings(signature) {
            world.refuses(&format!("{signed}.{other}"), "compact JWS");
        }
    }
}

#[test]
fn jwt_25_a_part_of_another_length_than_base64_has_is_refused() {
    let world = World::shared();
    let key = &world.forge.p256;
    let token = key.token(&claims(FORGE));
    let [header, payload, _] = three(&token);
    world.accepts(&key.seal(&format!("{header}.{payload}")));
    // One character beyond a whole group carries no byte.
    let odd = |part: &str| format!("{part}{}", "A".repeat((5 - part.len() % 4) % 4));
    world.refuses(
        &key.seal(&format!("{}.{payload}", odd(header))),
        "compact JWS",
    );
    world.refuses(
        &key.seal(&format!("{header}.{}", odd(payload))),
        "compact JWS",
    );
    assert_eq!(
        part(&token, 1),
        serde_json::from_str::<Value>(&decoded(payload)).unwrap()
    );
}

/// What decodes to the same bytes, in the hands of a lenient reader.
fn other_spellings(bytes: impl AsRef<[u8]>) -> Vec<String> {
    let bytes = bytes.as_ref();
    let good = encode(bytes);
    let mut others = Vec::new();
    let padded = standard(bytes).replace('+', "-").replace('/', "_");
    if padded != good {
        others.push(padded);
    }
    let other_alphabet = standard(bytes).replace('=', "");
    if other_alphabet != good {
        others.push(other_alphabet);
    }
    others.push(format!("{good}\n"));
    if bytes.len() % 3 != 0 {
        others.push(with_unused_bit(&good));
    }
    others
}

/// The last character with its lowest, unused bit set.
fn with_unused_bit(text: &str) -> String {
    const ALPHABET: &str = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    let (rest, last) = text.split_at(text.len() - 1);
    let index = ALPHABET.find(last).unwrap();
    assert_eq!(index % 2, 0, "an unused bit is zero");
    format!("{rest}{}", &ALPHABET[index + 1..index + 2])
}

/// `r || s` as ASN.1, which is not how a JWS has it.
fn asn1(fixed: &[u8]) -> Vec<u8> {
    let integer = |number: &[u8]| {
        let mut body: Vec<u8> = number
            .iter()
            .copied()
            .skip_while(|byte| *byte == 0)
            .collect();
        if body.first().is_some_and(|first| *first >= 0x80) {
            body.insert(0, 0);
        }
        [&[2, u8::try_from(body.len()).unwrap()], body.as_slice()].concat()
    };
    let (r, s) = fixed.split_at(fixed.len() / 2);
    let numbers = [integer(r), integer(s)].concat();
    [
        &[0x30, u8::try_from(numbers.len()).unwrap()],
        numbers.as_slice(),
    ]
    .concat()
}

fn three(token: &str) -> [&str; 3] {
    let parts: Vec<&str> = token.split('.').collect();
    parts.try_into().unwrap()
}

fn decoded(part: &str) -> String {
    use base64::{Engine as _, prelude::BASE64_URL_SAFE_NO_PAD};
    String::from_utf8(BASE64_URL_SAFE_NO_PAD.decode(part).unwrap()).unwrap()
}
