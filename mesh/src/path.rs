//! The path on which policy decides, and the only one that may be forwarded.
//!
//! One resource has many spellings, and a policy that compares text can be stepped around with any
//! of them. So a request's path is brought into one form first (RFC 3986 §6.2.2): percent-encoded
//! unreserved characters are written plainly, the hex digits of the others in capitals, dot
//! segments resolved, slashes merged. What has two meanings is refused rather than guessed: an
//! encoded slash, backslash or control character, a literal backslash, characters that no URI may
//! hold, `..` above the root, and dot segments with parameters (`/..;/`, which servlet containers
//! resolve). Nothing is decoded silently: the proxy must forward [`HttpPath::as_str`], and
//! [`HttpPath::was_changed`] says whether that differs from what came in.
//!
//! Two things are left to the application and to whoever writes its policy: `/a` and `/a/` are two
//! paths, and so are `/a` and `/A`.

use std::borrow::Cow;

use thiserror::Error;

/// A path without query, in normal form.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HttpPath<'a> {
    normal: Cow<'a, str>,
    plain: Option<Box<[u8]>>,
    changed: bool,
}

/// Why a request's path has no single meaning. Such a request is answered with 400, whatever the
/// policy.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum PathError {
    /// Neither an absolute path nor `*`.
    #[error("the path does not begin with a slash")]
    NotAbsolute,
    /// `%` without two hexadecimal digits.
    #[error("the path holds a % without two hexadecimal digits")]
    BadEscape,
    /// `%2F`, `%5C` or an encoded control character.
    #[error(
        "the path holds an encoded slash, backslash or control character, which servers read differently"
    )]
    AmbiguousEscape,
    /// A character that must be percent-encoded, or never belongs to a path.
    #[error("the path holds a character that is not allowed there")]
    BadCharacter,
    /// More `..` than segments before it.
    #[error("the path climbs above its root")]
    AboveRoot,
    /// `.` or `..` followed by parameters.
    #[error("the path holds a dot segment with parameters, which servers read differently")]
    DotParameters,
}

impl<'a> HttpPath<'a> {
    /// Brings the path of a request, without query and exactly as it came in, into normal form.
    ///
    /// # Errors
    /// The path has no normal form that all servers would read in the same way.
    pub fn parse(raw: &'a str) -> Result<Self, PathError> {
        if raw == "*" || is_plainly_normal(raw) {
            return Ok(Self {
                normal: Cow::Borrowed(raw),
                plain: None,
                changed: false,
            });
        }
        if !raw.starts_with('/') {
            return Err(PathError::NotAbsolute);
        }
        let normal = resolve(&unescape_unreserved(raw)?)?;
        let plain = plain(&normal).filter(|plain| **plain != *normal.as_bytes());
        let changed = normal != raw;
        let normal = if changed {
            Cow::Owned(normal)
        } else {
            Cow::Borrowed(raw)
        };
        Ok(Self {
            normal,
            plain,
            changed,
        })
    }

    /// That of a `CONNECT`, which has none (RFC 9110 §9.3.6): no rule that names a path is about
    /// it.
    #[must_use]
    pub const fn none() -> HttpPath<'static> {
        HttpPath {
            normal: Cow::Borrowed(""),
            plain: None,
            changed: false,
        }
    }

    /// The path to decide on and to forward.
    pub fn as_str(&self) -> &str {
        &self.normal
    }

    /// The same path on its own.
    pub fn into_owned(self) -> HttpPath<'static> {
        HttpPath {
            normal: Cow::Owned(self.normal.into_owned()),
            plain: self.plain,
            changed: self.changed,
        }
    }

    /// Whether the normal form differs from what came in.
    pub fn was_changed(&self) -> bool {
        self.changed
    }

    /// What an application may make of the path: all escapes decoded, parameters (`;v=1`) cut off.
    /// Only where matching more is the safe side, this form is tried too.
    pub(crate) fn plain(&self) -> Option<&[u8]> {
        self.plain.as_deref()
    }
}

/// The common case, recognised without allocating.
fn is_plainly_normal(raw: &str) -> bool {
    let simple =
        |byte: u8| is_unreserved(byte) || matches!(byte, b'/' | b':' | b'@' | b'+' | b',' | b'=');
    raw.starts_with('/') && raw.bytes().all(simple) && !raw.contains("//") && !raw.contains("/.")
}

/// RFC 3986 §6.2.2.1 and §6.2.2.2, refusing what must not be in a path at all.
fn unescape_unreserved(raw: &str) -> Result<String, PathError> {
    let mut text = String::with_capacity(raw.len());
    let mut bytes = raw.bytes();
    while let Some(byte) = bytes.next() {
        match byte {
            b'%' => {
                let escaped = escaped(bytes.next(), bytes.next()).ok_or(PathError::BadEscape)?;
                push_escaped(&mut text, escaped)?;
            }
            b'?' | b'#' | b'\\' | 0..=b' ' | 0x7f.. => return Err(PathError::BadCharacter),
            _ => text.push(char::from(byte)),
        }
    }
    Ok(text)
}

fn push_escaped(text: &mut String, byte: u8) -> Result<(), PathError> {
    match byte {
        b'/' | b'\\' | 0x7f | 0..=0x1f => return Err(PathError::AmbiguousEscape),
        _ if is_unreserved(byte) => text.push(char::from(byte)),
        _ => text.push_str(&format!("%{byte:02X}")),
    }
    Ok(())
}

/// RFC 3986 §5.2.4 with empty segments dropped.
fn resolve(path: &str) -> Result<String, PathError> {
    let mut segments: Vec<&str> = Vec::new();
    let mut open = true; // whether the result ends with a slash
    for segment in path.split('/') {
        open = matches!(segment, "" | "." | "..");
        match segment {
            "" | "." => {}
            ".." => {
                segments.pop().ok_or(PathError::AboveRoot)?;
            }
            _ if is_dots_with_parameters(segment) => return Err(PathError::DotParameters),
            _ => segments.push(segment),
        }
    }
    let mut normal = String::with_capacity(path.len());
    for segment in &segments {
        normal.push('/');
        normal.push_str(segment);
    }
    if open || normal.is_empty() {
        normal.push('/');
    }
    Ok(normal)
}

fn is_dots_with_parameters(segment: &str) -> bool {
    let end = segment.find(';').or_else(|| segment.find("%3B"));
    end.and_then(|end| segment.get(..end))
        .is_some_and(|name| matches!(name, "." | ".."))
}

fn plain(normal: &str) -> Option<Box<[u8]>> {
    if !normal.contains(['%', ';']) {
        return None;
    }
    let mut plain = Vec::with_capacity(normal.len());
    for (index, segment) in normal.split('/').enumerate() {
        if index > 0 {
            plain.push(b'/');
        }
        let name = segment.split(';').next().unwrap_or_default();
        let mut bytes = name.bytes();
        while let Some(byte) = bytes.next() {
            // The normal form holds no broken escape, so the fallback is never taken.
            plain.push(if byte == b'%' {
                escaped(bytes.next(), bytes.next()).unwrap_or(byte)
            } else {
                byte
            });
        }
    }
    Some(plain.into_boxed_slice())
}

fn escaped(high: Option<u8>, low: Option<u8>) -> Option<u8> {
    let digit = |byte: Option<u8>| byte.and_then(|byte| char::from(byte).to_digit(16));
    u8::try_from(digit(high)? * 16 + digit(low)?).ok()
}

/// RFC 3986 §2.3.
fn is_unreserved(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~')
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn each_spelling_of_a_path_has_one_normal_form() {
        let table = [
            ("/", "/"),
            ("/admin", "/admin"),
            ("/admin/", "/admin/"),
            ("//admin", "/admin"),
            ("/a///b//", "/a/b/"),
            ("/./admin", "/admin"),
            ("/x/../admin", "/admin"),
            ("/x/..", "/"),
            ("/x/.", "/x/"),
            ("/x/y/..", "/x/"),
            ("/%2e%2E/", ""),
            ("/x/%2e%2e/admin", "/admin"),
            ("/x/.%2e/admin", "/admin"),
            ("/%61dmin", "/admin"),
            ("/%41%7e%5F", "/A~_"),
            ("/a%3fb%c3%a4", "/a%3Fb%C3%A4"),
            ("/a%252fb", "/a%252fb"),
            ("/.well-known/x", "/.well-known/x"),
            ("/...", "/..."),
            ("/a;v=1/b", "/a;v=1/b"),
            ("/pkg.Service/Method", "/pkg.Service/Method"),
            ("*", "*"),
        ];
        for (raw, normal) in table.into_iter().filter(|(_, normal)| !normal.is_empty()) {
            let path = HttpPath::parse(raw).unwrap_or_else(|e| panic!("{raw}: {e}"));
            assert_eq!(path.as_str(), normal, "{raw}");
            assert_eq!(path.was_changed(), raw != normal, "{raw}");
        }
    }

    #[test]
    fn what_servers_read_differently_is_refused() {
        let table = [
            ("", PathError::NotAbsolute),
            ("admin", PathError::NotAbsolute),
            ("example.org:443", PathError::NotAbsolute),
            ("/a%2fb", PathError::AmbiguousEscape),
            ("/a%2Fb", PathError::AmbiguousEscape),
            ("/a%5cb", PathError::AmbiguousEscape),
            ("/a%00", PathError::AmbiguousEscape),
            ("/a%0d%0aX", PathError::AmbiguousEscape),
            ("/a%7f", PathError::AmbiguousEscape),
            ("/a\\b", PathError::BadCharacter),
            ("/a b", PathError::BadCharacter),
            ("/a?b", PathError::BadCharacter),
            ("/a#b", PathError::BadCharacter),
            ("/ä", PathError::BadCharacter),
            ("/a\u{0}", PathError::BadCharacter),
            ("/a%", PathError::BadEscape),
            ("/a%4", PathError::BadEscape),
            ("/a%zz", PathError::BadEscape),
            ("/a%+1", PathError::BadEscape),
            ("/..", PathError::AboveRoot),
            ("/a/../../b", PathError::AboveRoot),
            ("/%2e%2e/b", PathError::AboveRoot),
            ("/a/..;/b", PathError::DotParameters),
            ("/a/..;x=1/b", PathError::DotParameters),
            ("/a/%2e%2e;/b", PathError::DotParameters),
            ("/a/..%3b/b", PathError::DotParameters),
            ("/a/.;/b", PathError::DotParameters),
        ];
        for (raw, error) in table {
            assert_eq!(HttpPath::parse(raw), Err(error), "{raw:?}");
        }
    }

    #[test]
    fn the_plain_form_is_what_a_servlet_container_would_route_by() {
        let plain = |raw| {
            HttpPath::parse(raw)
                .expect("a path")
                .plain()
                .map(<[u8]>::to_vec)
        };
        assert_eq!(plain("/admin;x=1/%40me"), Some(b"/admin/@me".to_vec()));
        assert_eq!(plain("/admin"), None);
        assert_eq!(plain("/a%25b"), Some(b"/a%b".to_vec()));
    }

    proptest! {
        #[test]
        fn the_normal_form_of_a_normal_form_is_itself(raw in "/[a./%;2eEfF\\\\0-9]{0,24}") {
            if let Ok(path) = HttpPath::parse(&raw) {
                let normal = path.as_str().to_owned();
                let again = HttpPath::parse(&normal).expect("a normal path is a path");
                prop_assert_eq!(again.as_str(), normal.as_str());
                prop_assert!(!again.was_changed());
                prop_assert!(!normal.contains("//"));
                prop_assert!(!normal.split('/').any(|segment| segment == "." || segment == ".."));
            }
        }

        #[test]
        fn any_text_is_answered(raw in "\\PC{0,24}") {
            let _ = HttpPath::parse(&raw);
        }
    }
}
