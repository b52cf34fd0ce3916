//! Messages of gRPC in a body: each has five bytes before it, of which four are its length (gRPC
//! over HTTP/2, Length-Prefixed-Message).

/// Counts the messages of one body, whose bytes come in any pieces.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Messages {
    /// Bytes of the prefix that have come.
    prefix: u8,
    length: u32,
    /// Bytes of the message that are still to come.
    left: u32,
}

impl Messages {
    /// Takes the next bytes; how many messages begin in them, by the end of their prefix.
    pub(crate) fn take(&mut self, mut bytes: &[u8]) -> u64 {
        let mut begun = 0;
        while let Some((first, rest)) = bytes.split_first() {
            if self.left > 0 {
                let skipped = usize::try_from(self.left).unwrap_or(usize::MAX);
                let skipped = skipped.min(bytes.len());
                self.left -= u32::try_from(skipped).unwrap_or(self.left);
                bytes = bytes
                    .split_at_checked(skipped)
                    .map_or(&[], |(_, rest)| rest);
                continue;
            }
            if self.prefix > 0 {
                self.length = self.length << 8 | u32::from(*first);
            }
            self.prefix += 1;
            if self.prefix == PREFIX {
                begun += 1;
                self.left = self.length;
                (self.prefix, self.length) = (0, 0);
            }
            bytes = rest;
        }
        begun
    }
}

const PREFIX: u8 = 5;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn messages_are_counted_however_their_bytes_are_cut(
            lengths in prop::collection::vec(0_usize..700, 0..9),
            piece in 1_usize..50,
        ) {
            let mut bytes = Vec::new();
            for length in &lengths {
                bytes.push(0);
                bytes.extend(u32::try_from(*length).unwrap().to_be_bytes());
                bytes.extend(vec![7; *length]);
            }
            let mut messages = Messages::default();
            let counted: u64 = bytes.chunks(piece).map(|piece| messages.take(piece)).sum();
            prop_assert_eq!(counted, lengths.len() as u64);
        }
    }
}
