//! Path templates: `{*}` stands for one segment, `{**}` for any rest, also none.

use std::fmt;

/// A compiled template such as `/tenants/{*}/orders/{**}`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Template {
    text: Box<str>,
    segments: Box<[Segment]>,
    /// What must end the rest that `{**}` stands for; `None` without `{**}`.
    rest: Option<Box<str>>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Segment {
    Literal(Box<str>),
    Any,
}

impl Template {
    /// Whether Istio reads a path with these characters as a template.
    pub(crate) fn is_meant(text: &str) -> bool {
        text.contains(['{', '}'])
    }

    /// The template, or in words what is wrong with it.
    pub(crate) fn parse(text: &str) -> Result<Self, &'static str> {
        let Some(path) = text.strip_prefix('/') else {
            return Err("a template begins with /");
        };
        let (head, rest) = match path.split_once("{**}") {
            None => (path, None),
            Some((head, rest)) if head.is_empty() || head.ends_with('/') => {
                (head.trim_end_matches('/'), Some(rest))
            }
            Some(_) => return Err("{**} must be a segment of its own"),
        };
        if rest.is_some_and(|rest| {
            rest.contains(['{', '}', '*']) || !(rest.is_empty() || rest.starts_with('/'))
        }) {
            return Err("{**} must be a segment of its own, and the last {} of the template");
        }
        let segments = if head.is_empty() && rest.is_some() {
            Vec::new()
        } else {
            head.split('/').map(segment).collect::<Result<_, _>>()?
        };
        Ok(Self {
            text: text.into(),
            segments: segments.into(),
            rest: rest.map(Into::into),
        })
    }

    /// What every path begins with that matches.
    pub(crate) fn beginning(&self) -> String {
        let mut beginning = String::from("/");
        for segment in &self.segments {
            match segment {
                Segment::Literal(text) => beginning.push_str(text),
                Segment::Any => return beginning,
            }
            beginning.push('/');
        }
        if self.rest.is_none() {
            beginning.pop();
        }
        beginning
    }

    pub(crate) fn matches(&self, path: &[u8]) -> bool {
        let Some(mut left) = path.strip_prefix(b"/") else {
            return false;
        };
        let mut ended = false;
        for segment in &self.segments {
            if ended {
                return false;
            }
            let (name, after) = match left.iter().position(|byte| *byte == b'/') {
                Some(slash) => (
                    left.get(..slash).unwrap_or_default(),
                    left.get(slash.saturating_add(1)..),
                ),
                None => (left, None),
            };
            if !segment.matches(name) {
                return false;
            }
            ended = after.is_none();
            left = after.unwrap_or_default();
        }
        match &self.rest {
            None => ended,
            Some(rest) => !ended && left.ends_with(rest.as_bytes()),
        }
    }
}

impl Segment {
    fn matches(&self, name: &[u8]) -> bool {
        match self {
            Self::Literal(text) => text.as_bytes() == name,
            Self::Any => !name.is_empty(),
        }
    }
}

impl fmt::Display for Template {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

fn segment(text: &str) -> Result<Segment, &'static str> {
    match text {
        "{*}" => Ok(Segment::Any),
        _ if text.contains(['{', '}']) => Err("{*} and {**} must be segments of their own"),
        _ if text.contains('*') => Err("a template holds no * outside of {*} and {**}"),
        _ => Ok(Segment::Literal(text.into())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A value, what it must match, what it must not match.
    type Row = (
        &'static str,
        &'static [&'static str],
        &'static [&'static str],
    );

    #[test]
    fn templates_match_whole_segments() {
        let table: &[Row] = &[
            (
                "/a/{*}",
                &["/a/b"],
                &["/a", "/a/", "/a/b/", "/a/b/c", "/b/b", "/ab"],
            ),
            (
                "/a/{*}/c",
                &["/a/b/c"],
                &["/a/c", "/a//c", "/a/b/d", "/a/b/c/d"],
            ),
            ("/{*}", &["/a"], &["/", "/a/b"]),
            ("/{**}", &["/", "/a", "/a/b/"], &["", "*"]),
            (
                "/a/{**}",
                &["/a/", "/a/b", "/a/b/c"],
                &["/a", "/ab", "/b/a/"],
            ),
            ("/a/{*}/{**}", &["/a/b/", "/a/b/c/d"], &["/a/b", "/a/"]),
            (
                "/a/{**}/end",
                &["/a/x/end", "/a/x/y/end"],
                &["/a/x/ends", "/a/end", "/a/x/the-end"],
            ),
            ("/{*}/", &["/a/"], &["/a", "/a/b"]),
        ];
        for (template, yes, no) in table {
            let compiled = Template::parse(template).expect("a template");
            for path in *yes {
                assert!(
                    compiled.matches(path.as_bytes()),
                    "{template} must match {path}"
                );
                assert!(path.starts_with(&compiled.beginning()), "{template}");
            }
            for path in *no {
                assert!(
                    !compiled.matches(path.as_bytes()),
                    "{template} must not match {path}"
                );
            }
        }
    }

    #[test]
    fn what_is_no_template_is_refused() {
        for text in [
            "a/{*}",
            "{*}",
            "/a{*}",
            "/{*}b",
            "/{**}b",
            "/a{**}",
            "/{**}/{*}",
            "/{**}/{**}",
            "/{x}",
            "/a*/{*}",
            "/{*",
            "/*}",
            "/{***}",
            "/{**}/*",
        ] {
            assert!(Template::parse(text).is_err(), "{text}");
        }
    }
}
