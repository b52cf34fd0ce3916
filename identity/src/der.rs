//! The little DER that is written by hand: public keys from JWKs and signatures from their numbers.

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

const INTEGER: u8 = 0x02;
const BIT_STRING: u8 = 0x03;
const SEQUENCE: u8 = 0x30;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use x509_parser::der_parser::der::{
        parse_der_bitstring, parse_der_integer, parse_der_sequence,
    };

    use super::*;

    proptest! {
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
