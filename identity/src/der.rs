//! The little DER that is written by hand, public keys from JWKs and signatures from their numbers,
//! and the check that something is DER at all.

/// `SEQUENCE` of parts that are DER already.
pub(crate) fn sequence(parts: &[Vec<u8>]) -> Vec<u8> {
    tlv(SEQUENCE, &parts.concat())
}

/// `INTEGER` from a big-endian number without sign.
pub(crate) fn unsigned(big_endian: &[u8]) -> Vec<u8> {
    let mut value: Vec<u8> = big_endian
        .iter()
        .copied()
        .skip_while(|byte| *byte == 0)
        .collect();
    // A set top bit would make the number negative; an empty one is zero.
    if value.first().is_none_or(|first| first & 0x80 != 0) {
        value.insert(0, 0);
    }
    tlv(INTEGER, &value)
}

/// `BIT STRING` of whole bytes.
pub(crate) fn bit_string(bytes: &[u8]) -> Vec<u8> {
    let mut value = Vec::with_capacity(bytes.len() + 1);
    value.push(0);
    value.extend_from_slice(bytes);
    tlv(BIT_STRING, &value)
}

/// Whether this is one value in the one spelling that DER has for it: the shortest definite lengths
/// (X.690 §10.1), the shortest numbers (§8.3.2), truth as `ff` (§11.1) and nothing in the unused
/// bits (§11.2.1). Two readers of anything else may read two things. A default that is written out
/// is let pass; everybody reads it alike.
pub(crate) fn is_canonical(der: &[u8]) -> bool {
    values(der, DEEPEST) == Some(1)
}

/// The value at the front: its tag, its contents, and what follows it.
pub(crate) fn first(der: &[u8]) -> Option<(u8, Split<'_>)> {
    let (tag, rest) = der.split_first()?;
    Some((*tag, contents(rest)?))
}

/// How many canonical values stand here.
fn values(mut der: &[u8], depth: usize) -> Option<usize> {
    let mut count = 0;
    while let Some((tag, rest)) = der.split_first() {
        let (contents, rest) = contents(rest)?;
        let canonical = match *tag {
            // Certificates have no tag numbers above 30.
            tag if tag & 0x1f == 0x1f => false,
            tag if tag & CONSTRUCTED != 0 => values(contents, depth.checked_sub(1)?).is_some(),
            BOOLEAN => matches!(contents, [0 | 0xff]),
            INTEGER | ENUMERATED => is_shortest_number(contents),
            BIT_STRING => leaves_unused_bits_alone(contents),
            _ => true,
        };
        if !canonical {
            return None;
        }
        (count, der) = (count + 1, rest);
    }
    Some(count)
}

/// Contents, and what follows them.
pub(crate) type Split<'a> = (&'a [u8], &'a [u8]);

/// Takes a value of shortest definite length apart.
fn contents(after_tag: &[u8]) -> Option<Split<'_>> {
    let (first, rest) = after_tag.split_first()?;
    if *first < 0x80 {
        return rest.split_at_checked(usize::from(*first));
    }
    let (length, rest) = rest.split_at_checked(usize::from(first & 0x7f))?;
    let is_shortest = match length {
        [] | [0, ..] => false,
        [only] => *only >= 0x80,
        _ => length.len() <= size_of::<u32>(),
    };
    let byte = |sum: usize, byte: &u8| (sum << 8) | usize::from(*byte);
    is_shortest
        .then(|| length.iter().fold(0, byte))
        .and_then(|length| rest.split_at_checked(length))
}

fn is_shortest_number(contents: &[u8]) -> bool {
    !matches!(contents, [] | [0, 0..0x80, ..] | [0xff, 0x80..=0xff, ..])
}

fn leaves_unused_bits_alone(contents: &[u8]) -> bool {
    match contents {
        [0] => true,
        [unused @ 0..8, .., last] => u32::from(*unused) <= last.trailing_zeros(),
        _ => false,
    }
}

fn tlv(tag: u8, value: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(value.len() + 6);
    out.push(tag);
    let length = value.len().to_be_bytes();
    match u8::try_from(value.len()) {
        Ok(short) if short < 0x80 => out.push(short),
        _ => {
            let significant = || length.iter().copied().skip_while(|byte| *byte == 0);
            // A usize has at most eight bytes.
            out.push(0x80 | u8::try_from(significant().count()).unwrap_or(0));
            out.extend(significant());
        }
    }
    out.extend_from_slice(value);
    out
}

const BOOLEAN: u8 = 0x01;
const INTEGER: u8 = 0x02;
const BIT_STRING: u8 = 0x03;
const ENUMERATED: u8 = 0x0a;
const SEQUENCE: u8 = 0x30;
const CONSTRUCTED: u8 = 0x20;
/// Certificates are eight deep or so.
const DEEPEST: usize = 32;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use x509_parser::der_parser::der::{
        parse_der_bitstring, parse_der_integer, parse_der_sequence,
    };

    use super::*;

    #[test]
    fn each_value_has_one_spelling() {
        for der in [
            &b"\x30\x00"[..],
            b"\x30\x03\x01\x01\xff",
            b"\x02\x01\x00",
            b"\x02\x01\x80",
            b"\x02\x02\x00\x80",
            b"\x03\x01\x00",
            b"\x03\x02\x07\x80",
            b"\xa0\x03\x02\x01\x02",
        ] {
            assert!(is_canonical(der), "{der:02x?}");
        }
        for der in [
            &b""[..],
            b"\x30",
            b"\x30\x00\x00",
            b"\x30\x00\x30\x00",
            b"\x30\x80\x00\x00",
            b"\x30\x81\x00",
            b"\x30\x01\x01",
            b"\x30\x03\x01\x01\x01",
            b"\x01\x02\xff\xff",
            b"\x02\x00",
            b"\x02\x02\x00\x01",
            b"\x02\x02\xff\x80",
            b"\x03\x00",
            b"\x03\x01\x01",
            b"\x03\x02\x07\x81",
            b"\x03\x02\x08\x00",
            b"\x1f\x81\x01\x00",
        ] {
            assert!(!is_canonical(der), "{der:02x?}");
        }
        let deep = (0..40).fold(Vec::new(), |inner, _| tlv(SEQUENCE, &inner));
        assert!(!is_canonical(&deep));
    }

    proptest! {
        #[test]
        fn what_is_written_here_is_canonical(number in proptest::collection::vec(any::<u8>(), 0..400)) {
            let number = unsigned(&number);
            prop_assert!(is_canonical(&sequence(&[number.clone(), bit_string(&number)])));
        }

        #[test]
        fn anything_can_be_asked(bytes in proptest::collection::vec(any::<u8>(), 0..60)) {
            is_canonical(&bytes);
        }

        #[test]
        fn a_parser_reads_back_what_was_written(number in proptest::collection::vec(any::<u8>(), 0..400)) {
            let der = unsigned(&number);
            let (rest, integer) = parse_der_integer(&der).expect("integer");
            prop_assert!(rest.is_empty());
            let read: Vec<u8> = integer.as_slice().expect("bytes").iter().copied().skip_while(|b| *b == 0).collect();
            let want: Vec<u8> = number.iter().copied().skip_while(|b| *b == 0).collect();
            prop_assert_eq!(read, want);

            let nested = sequence(&[der, bit_string(&number)]);
            let (rest, _) = parse_der_sequence(&nested).expect("sequence");
            prop_assert!(rest.is_empty());
            let bits = bit_string(&number);
            let (rest, _) = parse_der_bitstring(&bits).expect("bit string");
            prop_assert!(rest.is_empty());
        }
    }
}
