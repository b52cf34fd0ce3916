//! What a connection begins with, as far as its first bytes tell.

/// What a connection begins with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Begins {
    /// A ClientHello of TLS.
    Tls,
    /// A request line of HTTP/1.
    Http1,
    /// The preface of HTTP/2.
    Http2,
    /// None of them.
    Other,
}

/// What could be said of one of them.
enum Guess {
    Yes,
    Perhaps,
    No,
}

/// Reads the first bytes of a connection; none if more of them are needed to tell.
pub(crate) fn begins(bytes: &[u8]) -> Option<Begins> {
    if bytes.is_empty() {
        return None;
    }
    let mut perhaps = false;
    for (what, guess) in [
        (Begins::Tls, tls(bytes)),
        (Begins::Http2, http2(bytes)),
        (Begins::Http1, http1(bytes)),
    ] {
        match guess {
            Guess::Yes => return Some(what),
            Guess::Perhaps => perhaps = true,
            Guess::No => {}
        }
    }
    (!perhaps).then_some(Begins::Other)
}

/// RFC 8446 §5.1 and §4: a record of the handshake, of whichever version, that holds a ClientHello.
fn tls(bytes: &[u8]) -> Guess {
    let holds = |at: usize, legal: fn(u8) -> bool| bytes.get(at).is_none_or(|byte| legal(*byte));
    let may_be = holds(0, |kind| kind == 22)
        && holds(1, |major| major == 3)
        && holds(2, |minor| minor <= 4)
        && holds(5, |message| message == 1);
    match bytes.len() {
        _ if !may_be => Guess::No,
        0..=5 => Guess::Perhaps,
        _ => Guess::Yes,
    }
}

/// RFC 9113 §3.4.
fn http2(bytes: &[u8]) -> Guess {
    match (bytes.starts_with(PREFACE), PREFACE.starts_with(bytes)) {
        (true, _) => Guess::Yes,
        (_, true) => Guess::Perhaps,
        _ => Guess::No,
    }
}

/// RFC 9112 §3: a method, a target and `HTTP/1.`, each one space apart.
fn http1(bytes: &[u8]) -> Guess {
    let mut words = bytes.splitn(3, |byte| *byte == b' ');
    let method = words.next().unwrap_or_default();
    let legal = |byte: &u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(byte);
    if method.is_empty() || method.len() > LONGEST_METHOD || !method.iter().all(legal) {
        return Guess::No;
    }
    let Some(target) = words.next() else {
        return Guess::Perhaps;
    };
    // However many bytes there are, what is no target does not become one.
    if !target.iter().all(|byte| byte.is_ascii_graphic()) {
        return Guess::No;
    }
    let Some(version) = words.next() else {
        return Guess::Perhaps;
    };
    match (version.starts_with(VERSION), VERSION.starts_with(version)) {
        (true, _) if !target.is_empty() => Guess::Yes,
        (_, true) => Guess::Perhaps,
        _ => Guess::No,
    }
}

const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
const VERSION: &[u8] = b"HTTP/1.";
const LONGEST_METHOD: usize = 32;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn each_is_known_as_soon_as_it_can_be() {
        for (bytes, wanted) in [
            (&b"\x16\x03\x01\x02\x00\x01"[..], Some(Begins::Tls)),
            (b"\x16\x03\x01\x02\x00", None),
            (b"\x16\x03\x01\x02\x00\x02", Some(Begins::Other)),
            (b"\x16\x02", Some(Begins::Other)),
            (b"GET / HTTP/1.", Some(Begins::Http1)),
            (b"GET / HTTP/1", None),
            (b"G", None),
            (b"GET /\r\n", Some(Begins::Other)),
            (b"PING\r\n", Some(Begins::Other)),
            (b"EHLO a.test\r\n", Some(Begins::Other)),
            (b"# \x7f HTTP/1.", Some(Begins::Other)),
            (b"get key\r\n", Some(Begins::Other)),
            (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r", None),
            (PREFACE, Some(Begins::Http2)),
            (b"\0\0\0\x08\x04\xd2\x16\x2f", Some(Begins::Other)),
            (b"", None),
        ] {
            assert_eq!(begins(bytes), wanted, "{bytes:?}");
        }
    }

    proptest! {
        /// More bytes never make another thing of what is known already.
        #[test]
        fn what_is_known_stays_known(bytes: Vec<u8>, http in "[A-Z]{1,4} /[a-z ]{0,3}HTTP/[12]") {
            for all in [bytes, http.into_bytes()] {
                let mut known = None;
                for end in 0..=all.len() {
                    let now = begins(&all[..end]);
                    prop_assert!(known.is_none() || known == now, "{all:?} at {end}");
                    known = now;
                }
            }
        }
    }
}
