//! Serial numbers of certificates, printed in decimal as SPIRE does.

use std::{fmt, str::FromStr};

/// A serial number: big-endian, without leading zeros.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Serial(Vec<u8>);

/// Not a decimal number of at most 20 bytes.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is no serial number; a decimal number is expected")]
pub struct SerialError(String);

impl Serial {
    /// From a big-endian number.
    pub fn from_bytes(big_endian: &[u8]) -> Self {
        Self(
            big_endian
                .iter()
                .copied()
                .skip_while(|byte| *byte == 0)
                .collect(),
        )
    }

    /// The big-endian number without leading zeros; empty for zero.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }
}

impl fmt::Display for Serial {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Base 10^9, least significant limb first.
        let mut limbs: Vec<u32> = vec![0];
        for byte in &self.0 {
            multiply_add(&mut limbs, 256, u32::from(*byte), BASE);
        }
        let mut limbs = limbs.into_iter().rev();
        write!(f, "{}", limbs.next().unwrap_or(0))?;
        limbs.try_for_each(|limb| write!(f, "{limb:09}"))
    }
}

impl FromStr for Serial {
    type Err = SerialError;

    fn from_str(text: &str) -> Result<Self, SerialError> {
        let refused = || SerialError(text.to_owned());
        if text.is_empty() || text.len() > MAX_DIGITS {
            return Err(refused());
        }
        let mut limbs: Vec<u32> = Vec::new();
        for digit in text.chars() {
            let digit = digit.to_digit(10).ok_or_else(refused)?;
            multiply_add(&mut limbs, 10, digit, 256);
        }
        let bytes: Result<Vec<u8>, _> = limbs.into_iter().rev().map(u8::try_from).collect();
        bytes
            .map(|bytes| Self::from_bytes(&bytes))
            .map_err(|_too_large| refused())
    }
}

/// `number = number * factor + add`, in limbs below `base`, least significant first.
fn multiply_add(limbs: &mut Vec<u32>, factor: u32, add: u32, base: u32) {
    let mut carry = u64::from(add);
    for limb in limbs.iter_mut() {
        let value = u64::from(*limb) * u64::from(factor) + carry;
        *limb = u32::try_from(value % u64::from(base)).unwrap_or(0);
        carry = value / u64::from(base);
    }
    if carry > 0 {
        limbs.push(u32::try_from(carry).unwrap_or(0));
    }
}

const BASE: u32 = 1_000_000_000;
/// RFC 5280 §4.1.2.2: at most 20 bytes, which are 49 digits.
const MAX_DIGITS: usize = 49;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn serials_print_in_decimal() {
        let cases: [(&[u8], &str); 5] = [
            (&[], "0"),
            (&[0, 0, 7], "7"),
            (&[1, 0], "256"),
            (&[0x3b, 0x9a, 0xca, 0x00], "1000000000"),
            (&[0xff; 16], "340282366920938463463374607431768211455"),
        ];
        for (bytes, text) in cases {
            assert_eq!(Serial::from_bytes(bytes).to_string(), text);
        }
    }

    #[test]
    fn only_short_decimal_numbers_are_serials() {
        for text in ["", "-1", "0x1", "1 ", &"9".repeat(50)] {
            assert!(text.parse::<Serial>().is_err(), "{text:?}");
        }
    }

    proptest! {
        #[test]
        fn decimal_agrees_with_the_machine_and_comes_back(number in any::<u128>()) {
            let serial = Serial::from_bytes(&number.to_be_bytes());
            prop_assert_eq!(serial.to_string(), number.to_string());
            prop_assert_eq!(serial.to_string().parse::<Serial>(), Ok(serial));
        }
    }
}
