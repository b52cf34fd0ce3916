//! Writes DER (X.690 §10): just the types that a certificate is made of.

use std::time::SystemTime;

use time::OffsetDateTime;

/// ASN.1 tags that certificates use.
pub(super) mod tag {
    pub(in crate::ca) const BOOLEAN: u8 = 0x01;
    pub(in crate::ca) const INTEGER: u8 = 0x02;
    pub(in crate::ca) const BIT_STRING: u8 = 0x03;
    pub(in crate::ca) const OCTET_STRING: u8 = 0x04;
    pub(in crate::ca) const OID: u8 = 0x06;
    pub(in crate::ca) const UTF8_STRING: u8 = 0x0c;
    pub(in crate::ca) const PRINTABLE_STRING: u8 = 0x13;
    pub(in crate::ca) const UTC_TIME: u8 = 0x17;
    pub(in crate::ca) const GENERALIZED_TIME: u8 = 0x18;
    pub(in crate::ca) const SEQUENCE: u8 = 0x30;
    pub(in crate::ca) const SET: u8 = 0x31;
}

/// One value: tag, shortest length, and the parts as its contents.
pub(super) fn value(tag: u8, parts: &[&[u8]]) -> Vec<u8> {
    let length = parts.iter().map(|part| part.len()).sum();
    let mut out = Vec::with_capacity(length + 6);
    out.push(tag);
    push_length(length, &mut out);
    for part in parts {
        out.extend_from_slice(part);
    }
    out
}

/// A SEQUENCE of already encoded parts.
pub(super) fn sequence(parts: &[&[u8]]) -> Vec<u8> {
    value(tag::SEQUENCE, parts)
}

/// A non-negative INTEGER from big-endian bytes.
pub(super) fn unsigned(bytes: &[u8]) -> Vec<u8> {
    let zeros = bytes.iter().take_while(|byte| **byte == 0).count();
    let bytes = bytes.get(zeros..).unwrap_or_default();
    // Zero needs one byte, and a leading one bit would mean a negative number.
    let pad: &[u8] = match bytes.first() {
        Some(first) if first & 0x80 == 0 => &[],
        Some(_) | None => &[0],
    };
    value(tag::INTEGER, &[pad, bytes])
}

/// A BIT STRING of whole bytes.
pub(super) fn bit_string(bytes: &[u8]) -> Vec<u8> {
    value(tag::BIT_STRING, &[&[0], bytes])
}

/// A BIT STRING whose bits are named (X.690 §11.2.2): trailing zero bits are left out.
/// Bit 0 is the first one, as the standards number them; only the first eight are known here.
pub(super) fn named_bits(bits: u8) -> Vec<u8> {
    let unused = u8::try_from(bits.trailing_zeros().min(7)).unwrap_or(0);
    value(tag::BIT_STRING, &[&[unused], &[bits]])
}

/// A point in time as certificates write it (RFC 5280 §4.1.2.5): UTCTime up to 2049,
/// GeneralizedTime from 2050 on; whole seconds.
pub(super) fn time(at: SystemTime) -> Vec<u8> {
    let at = OffsetDateTime::from(at);
    let (year, month, day) = (at.year(), u8::from(at.month()), at.day());
    let clock = format!("{:02}{:02}{:02}Z", at.hour(), at.minute(), at.second());
    if (1950..2050).contains(&year) {
        let text = format!("{:02}{month:02}{day:02}{clock}", year.rem_euclid(100));
        return value(tag::UTC_TIME, &[text.as_bytes()]);
    }
    let text = format!("{year:04}{month:02}{day:02}{clock}");
    value(tag::GENERALIZED_TIME, &[text.as_bytes()])
}

/// A directory string: PrintableString where the text allows it, else UTF8String.
pub(super) fn text(text: &str) -> Vec<u8> {
    let printable = |byte: u8| byte.is_ascii_alphanumeric() || b" '()+,-./:=?".contains(&byte);
    let tag = if text.bytes().all(printable) {
        tag::PRINTABLE_STRING
    } else {
        tag::UTF8_STRING
    };
    value(tag, &[text.as_bytes()])
}

/// The contents of the one value that `der` consists of, with its tag; nothing may follow.
pub(super) fn contents(der: &[u8]) -> Option<(u8, &[u8])> {
    let (tag, rest) = der.split_first()?;
    let (first, rest) = rest.split_first()?;
    if first & 0x80 == 0 {
        return (rest.len() == usize::from(*first)).then_some((*tag, rest));
    }
    let (length, rest) = rest.split_at_checked(usize::from(first & 0x7f))?;
    if length.is_empty() || length.len() > 4 {
        return None;
    }
    let length = length
        .iter()
        .fold(0_usize, |sum, byte| (sum << 8) | usize::from(*byte));
    (rest.len() == length).then_some((*tag, rest))
}

fn push_length(length: usize, out: &mut Vec<u8>) {
    match u8::try_from(length) {
        Ok(short) if short < 0x80 => out.push(short),
        Ok(_) | Err(_) => {
            let bytes = length.to_be_bytes();
            let zeros = bytes.iter().take_while(|byte| **byte == 0).count();
            let bytes = bytes.get(zeros..).unwrap_or_default();
            out.push(0x80 | u8::try_from(bytes.len()).unwrap_or(0));
            out.extend_from_slice(bytes);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, UNIX_EPOCH};

    use proptest::prelude::*;
    use x509_parser::der_parser::{asn1_rs::FromDer as _, parse_der};

    use super::*;

    #[test]
    fn times_switch_to_four_digit_years_in_2050() {
        let last = UNIX_EPOCH + Duration::from_secs(2_524_607_999);
        assert_eq!(time(last), b"\x17\x0d491231235959Z");
        assert_eq!(
            time(last + Duration::from_secs(1)),
            b"\x18\x0f20500101000000Z"
        );
    }

    #[test]
    fn named_bits_drop_trailing_zeros() {
        assert_eq!(named_bits(0b1010_1000), [0x03, 0x02, 0x03, 0xa8]);
        assert_eq!(named_bits(0b0000_0110), [0x03, 0x02, 0x01, 0x06]);
    }

    #[test]
    fn text_is_printable_only_if_every_letter_is() {
        assert_eq!(text("SPIRE").first(), Some(&tag::PRINTABLE_STRING));
        assert_eq!(text("a*b").first(), Some(&tag::UTF8_STRING));
        assert_eq!(text("Zürich").first(), Some(&tag::UTF8_STRING));
    }

    proptest! {
        #[test]
        fn an_integer_reads_back_as_the_same_positive_number(bytes in prop::collection::vec(any::<u8>(), 0..20)) {
            let der = unsigned(&bytes);
            let (rest, integer) = x509_parser::der_parser::asn1_rs::Integer::from_der(&der).unwrap();
            prop_assert!(rest.is_empty());
            let significant: Vec<u8> = bytes.iter().copied().skip_while(|b| *b == 0).collect();
            let read: Vec<u8> = integer.as_ref().iter().copied().skip_while(|b| *b == 0).collect();
            prop_assert_eq!(significant, read);
            prop_assert!(integer.as_ref().first().is_some_and(|b| b & 0x80 == 0));
        }

        #[test]
        fn any_length_reads_back(length in 0_usize..70_000) {
            let body = vec![7; length];
            let der = value(tag::OCTET_STRING, &[&body]);
            let (rest, parsed) = parse_der(&der).unwrap();
            prop_assert!(rest.is_empty());
            prop_assert_eq!(parsed.as_slice().unwrap(), &body[..]);
            prop_assert_eq!(contents(&der), Some((tag::OCTET_STRING, &body[..])));
        }

        #[test]
        fn contents_of_anything_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..40)) {
            let _ = contents(&bytes);
        }
    }
}
