//! gRPC's codes in the words of Go's programs, which scripts look for.

/// The name of a code, also of one that a peer made up.
#[must_use]
pub fn code_name(code: i32) -> String {
    const NAMES: [&str; 17] = [
        "OK",
        "Canceled",
        "Unknown",
        "InvalidArgument",
        "DeadlineExceeded",
        "NotFound",
        "AlreadyExists",
        "PermissionDenied",
        "ResourceExhausted",
        "FailedPrecondition",
        "Aborted",
        "OutOfRange",
        "Unimplemented",
        "Internal",
        "Unavailable",
        "DataLoss",
        "Unauthenticated",
    ];
    let name = usize::try_from(code).ok().and_then(|code| NAMES.get(code));
    name.map_or_else(|| format!("Code({code})"), |&name| name.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_have_the_names_that_scripts_know() {
        for (code, name) in [
            (0, "OK"),
            (6, "AlreadyExists"),
            (16, "Unauthenticated"),
            (99, "Code(99)"),
            (-1, "Code(-1)"),
        ] {
            assert_eq!(code_name(code), name);
        }
    }
}
