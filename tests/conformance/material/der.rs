//! DER, and what only looks like it: just the types that a certificate is made of.

use std::time::SystemTime;

use time::OffsetDateTime;

pub(crate) const BOOLEAN: u8 = 0x01;
pub(crate) const INTEGER: u8 = 0x02;
pub(crate) const BIT_STRING: u8 = 0x03;
pub(crate) const OCTET_STRING: u8 = 0x04;
pub(crate) const SEQUENCE: u8 = 0x30;

/// Tag, shortest length, contents.
pub(crate) fn value(tag: u8, contents: &[u8]) -> Vec<u8> {
    let mut out = vec![tag];
    out.extend(length(contents.len()));
    out.extend_from_slice(contents);
    out
}

/// The same value with a length of two bytes more than needed: BER, not DER (X.690 §10.1).
pub(crate) fn long_form(tag: u8, contents: &[u8]) -> Vec<u8> {
    let size = u16::try_from(contents.len()).unwrap().to_be_bytes();
    let mut out = vec![tag, 0x83, 0];
    out.extend(size);
    out.extend_from_slice(contents);
    out
}

/// The same value with a length that is told by its end: BER, not DER (X.690 §8.1.3.6).
pub(crate) fn indefinite(tag: u8, contents: &[u8]) -> Vec<u8> {
    let mut out = vec![tag, 0x80];
    out.extend_from_slice(contents);
    out.extend([0, 0]);
    out
}

pub(crate) fn sequence(parts: &[&[u8]]) -> Vec<u8> {
    value(SEQUENCE, &parts.concat())
}

/// `1.2.840.…`
pub(crate) fn oid(dotted: &str) -> Vec<u8> {
    let arcs: Vec<u32> = dotted.split('.').map(|arc| arc.parse().unwrap()).collect();
    let mut contents = base128(arcs[0] * 40 + arcs[1]);
    contents.extend(arcs[2..].iter().flat_map(|arc| base128(*arc)));
    value(0x06, &contents)
}

pub(crate) fn boolean(yes: bool) -> Vec<u8> {
    value(BOOLEAN, &[if yes { 0xff } else { 0 }])
}

/// Contents as they stand: a leading one bit makes the number negative.
pub(crate) fn integer(contents: &[u8]) -> Vec<u8> {
    value(INTEGER, contents)
}

pub(crate) fn bit_string(bytes: &[u8]) -> Vec<u8> {
    value(BIT_STRING, &[&[0], bytes].concat())
}

/// A BIT STRING of named bits, bit 0 the highest, without trailing zeros (X.690 §11.2.2).
pub(crate) fn named_bits(bits: u8) -> Vec<u8> {
    if bits == 0 {
        return value(BIT_STRING, &[0]);
    }
    let unused = u8::try_from(bits.trailing_zeros()).unwrap();
    value(BIT_STRING, &[unused, bits])
}

/// A name of one attribute, the common name.
pub(crate) fn common_name(text: &str) -> Vec<u8> {
    let text = value(0x0c, text.as_bytes());
    let attribute = sequence(&[&oid("2.5.4.3"), &text]);
    sequence(&[&value(0x31, &attribute)])
}

/// UTCTime up to 2049, GeneralizedTime from then on (RFC 5280 §4.1.2.5).
pub(crate) fn time(at: SystemTime) -> Vec<u8> {
    let at = OffsetDateTime::from(at);
    let year = at.year();
    let rest = format!(
        "{:02}{:02}{:02}{:02}{:02}Z",
        u8::from(at.month()),
        at.day(),
        at.hour(),
        at.minute(),
        at.second()
    );
    if year < 2050 {
        value(0x17, format!("{:02}{rest}", year % 100).as_bytes())
    } else {
        value(0x18, format!("{year:04}{rest}").as_bytes())
    }
}

/// The contents of a value, whose length has to be DER.
pub(crate) fn contents(der: &[u8]) -> &[u8] {
    let start = match der[1] {
        short if short < 0x80 => 2,
        long => 2 + usize::from(long & 0x7f),
    };
    &der[start..]
}

fn length(size: usize) -> Vec<u8> {
    match u8::try_from(size) {
        Ok(short) if short < 0x80 => vec![short],
        _ => {
            let bytes = size.to_be_bytes();
            let significant: Vec<u8> = bytes.into_iter().skip_while(|byte| *byte == 0).collect();
            let mut out = vec![0x80 | u8::try_from(significant.len()).unwrap()];
            out.extend(significant);
            out
        }
    }
}

fn base128(mut number: u32) -> Vec<u8> {
    let mut out = vec![u8::try_from(number & 0x7f).unwrap()];
    while number > 0x7f {
        number >>= 7;
        out.insert(0, u8::try_from(number & 0x7f).unwrap() | 0x80);
    }
    out
}
