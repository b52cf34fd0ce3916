//! Finds the `:authority` among the compressed header fields of a request (RFC 7541 §6), and makes
//! it one that can be read; `authority` says why.
//!
//! A value that is Huffman-coded stays as it is: those who name a path do not code it.

/// How far a block of fields has been read.
#[derive(Debug, Default)]
pub(super) struct Fields(At);

#[derive(Debug, Default, Clone, Copy)]
enum At {
    /// The first byte of a field.
    #[default]
    Start,
    /// The rest of a number that means nothing here, and what follows it.
    Number(Next),
    /// The length of a literal name or value.
    Length(Literal),
    /// The rest of such a length.
    LongLength(Literal, Long),
    /// A literal name, as far as it is that of an authority.
    Name { left: usize, matched: Option<usize> },
    /// A literal value.
    Value { left: usize, mend: bool },
    /// Broken; for the library to judge.
    Lost,
}

#[derive(Debug, Clone, Copy)]
enum Next {
    Field,
    Value,
}

#[derive(Debug, Clone, Copy)]
enum Literal {
    Name,
    ValueOfAuthority,
    OtherValue,
}

/// An integer of several bytes (RFC 7541 §5.1).
#[derive(Debug, Clone, Copy)]
struct Long {
    value: usize,
    shift: u32,
    huffman: bool,
}

impl Fields {
    /// Takes the next bytes of the block.
    pub(super) fn mend(&mut self, bytes: &mut [u8]) {
        for byte in bytes {
            self.0 = self.0.after(byte);
        }
    }
}

impl At {
    fn after(self, byte: &mut u8) -> Self {
        match self {
            Self::Start => Self::field(*byte),
            Self::Number(next) if *byte & MORE == 0 => match next {
                Next::Field => Self::Start,
                Next::Value => Self::Length(Literal::OtherValue),
            },
            Self::Number(_) | Self::Lost => self,
            Self::Length(literal) => Self::length(literal, *byte),
            Self::LongLength(literal, long) => Self::long_length(literal, long, *byte),
            Self::Name { left, matched } => {
                let matched = matched
                    .filter(|at| NAME.get(*at) == Some(byte))
                    .map(|at| at + 1);
                Self::name(left - 1, matched)
            }
            Self::Value { left, mend } => {
                if mend && !may_stand_in_an_authority(*byte) {
                    *byte = b'-';
                }
                Self::value(left - 1, mend)
            }
        }
    }

    fn field(byte: u8) -> Self {
        match byte {
            // An indexed field.
            0xff => Self::Number(Next::Field),
            0x80.. => Self::Start,
            // A literal field, to be remembered by both ends.
            0x7f => Self::Number(Next::Value),
            0x40.. => Self::literal(byte & 0x3f),
            // A new size of what is remembered.
            0x3f => Self::Number(Next::Field),
            0x20.. => Self::Start,
            // A literal field that is not remembered.
            0x1f | 0x0f => Self::Number(Next::Value),
            _ => Self::literal(byte & 0x0f),
        }
    }

    fn literal(name: u8) -> Self {
        Self::Length(match name {
            0 => Literal::Name,
            AUTHORITY => Literal::ValueOfAuthority,
            _ => Literal::OtherValue,
        })
    }

    fn length(literal: Literal, byte: u8) -> Self {
        let huffman = byte & HUFFMAN != 0;
        let length = byte & !HUFFMAN;
        if length == !HUFFMAN {
            let long = Long {
                value: length.into(),
                shift: 0,
                huffman,
            };
            return Self::LongLength(literal, long);
        }
        Self::text(literal, length.into(), huffman)
    }

    fn long_length(literal: Literal, long: Long, byte: u8) -> Self {
        if long.shift > LONGEST_SHIFT {
            return Self::Lost;
        }
        let value = long.value + (usize::from(byte & !MORE) << long.shift);
        if byte & MORE == 0 {
            return Self::text(literal, value, long.huffman);
        }
        let shift = long.shift + 7;
        Self::LongLength(
            literal,
            Long {
                value,
                shift,
                ..long
            },
        )
    }

    fn text(literal: Literal, left: usize, huffman: bool) -> Self {
        match literal {
            Literal::Name => Self::name(left, (!huffman).then_some(0)),
            Literal::ValueOfAuthority => Self::value(left, !huffman),
            Literal::OtherValue => Self::value(left, false),
        }
    }

    fn name(left: usize, matched: Option<usize>) -> Self {
        if left > 0 {
            return Self::Name { left, matched };
        }
        Self::Length(match matched {
            Some(length) if length == NAME.len() => Literal::ValueOfAuthority,
            _ => Literal::OtherValue,
        })
    }

    fn value(left: usize, mend: bool) -> Self {
        if left > 0 {
            return Self::Value { left, mend };
        }
        Self::Start
    }
}

/// The safest part of what may: the rest has meanings that a path may not have.
fn may_stand_in_an_authority(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-')
}

const NAME: &[u8] = b":authority";

/// The place of `:authority` in the static table (RFC 7541 Appendix A).
const AUTHORITY: u8 = 1;

/// More bytes of this number follow.
const MORE: u8 = 0x80;

/// The text is Huffman-coded.
const HUFFMAN: u8 = 0x80;

/// Numbers end before 2^28; the library knows no longer ones.
const LONGEST_SHIFT: u32 = 21;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn mended(block: &[u8]) -> Vec<u8> {
        let mut block = block.to_vec();
        Fields::default().mend(&mut block);
        block
    }

    #[test]
    fn every_way_to_write_the_field_is_found() {
        for name in [
            &b"\x41"[..],
            b"\x01",
            b"\x11",
            b"\x40\x0a:authority",
            b"\x10\x0a:authority",
        ] {
            let before = [b"\x82\x3f\xe1\x1f\x44\x02/a", name, b"\x04a%2F\x86"].concat();
            let after = [b"\x82\x3f\xe1\x1f\x44\x02/a", name, b"\x04a-2F\x86"].concat();
            assert_eq!(mended(&before), after);
        }
    }

    #[test]
    fn other_fields_and_coded_values_stay_as_they_are() {
        let other: [&[u8]; 7] = [
            b"\x44\x04/a/b",
            b"\x40\x05:path\x04/a/b",
            b"\x40\x0b:authority2\x02//",
            b"\x40\x8a:authority\x02//",
            b"\x41\x82//",
            b"\x7f\x00\x02//",
            b"\x0f\x31\x02//",
        ];
        for block in other {
            assert_eq!(mended(block), block);
        }
    }

    #[test]
    fn a_value_of_any_length_is_followed_to_its_end() {
        let value = vec![b'/'; 300];
        // 300 is 127 and 173: 0xad 0x01.
        let before = [b"\x41\x7f\xad\x01", value.as_slice(), b"\x44\x02/a"].concat();
        let after = [
            b"\x41\x7f\xad\x01",
            vec![b'-'; 300].as_slice(),
            b"\x44\x02/a",
        ]
        .concat();
        assert_eq!(mended(&before), after);
        let endless = b"\x41\x7f\xff\xff\xff\xff\xff\xff\xff\xff\xff\x41\x01/";
        assert_eq!(mended(endless), endless);
    }

    proptest! {
        #[test]
        fn whatever_was_there_can_be_read_as_an_authority(value in proptest::collection::vec(any::<u8>(), 1..99)) {
            let length = u8::try_from(value.len()).unwrap();
            let mended = mended(&[&[0x41, length], value.as_slice()].concat());
            let authority = mended.get(2..).unwrap();
            prop_assert!(http::uri::Authority::try_from(authority).is_ok());
        }
    }
}
