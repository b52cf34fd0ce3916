//! Reads the few lines of `/proc/<pid>/status` that attestation needs.
//! Pure text in, values out; see `proc(5)`.

/// Who a process acts as.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Credentials {
    /// Effective user.
    pub(crate) uid: u32,
    /// Effective group.
    pub(crate) gid: u32,
    /// Supplementary groups, in the kernel's order.
    pub(crate) groups: Vec<u32>,
}

/// A line of `/proc` that does not look as `proc(5)` says.
#[derive(Debug, thiserror::Error)]
#[error("the kernel's text has no readable {0}")]
pub(crate) struct FactsError(&'static str);

impl Credentials {
    /// From the text of `/proc/<pid>/status`.
    pub(crate) fn parse(status: &str) -> Result<Self, FactsError> {
        Ok(Self {
            uid: effective(status, "Uid")?,
            gid: effective(status, "Gid")?,
            groups: numbers(status, "Groups")?,
        })
    }
}

/// The second of the four numbers: real, effective, saved, file system.
fn effective(status: &str, key: &'static str) -> Result<u32, FactsError> {
    numbers(status, key)?.get(1).copied().ok_or(FactsError(key))
}

fn numbers(status: &str, key: &'static str) -> Result<Vec<u32>, FactsError> {
    // The kernel escapes line feeds in the command name, so no process can forge a line.
    status
        .lines()
        .find_map(|line| line.strip_prefix(key)?.strip_prefix(':'))
        .ok_or(FactsError(key))?
        .split_ascii_whitespace()
        .map(|number| number.parse().map_err(|_unreadable| FactsError(key)))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const STATUS: &str = "Name:\tx\\nUid:\t0\t0\t0\t0\nUmask:\t0022\nUid:\t1000\t1001\t1002\t1003\n\
                          Gid:\t20\t21\t22\t23\nFDSize:\t64\nGroups:\t4 20 65534 \n";

    #[test]
    fn credentials_are_the_effective_ones() {
        let credentials = Credentials::parse(STATUS).unwrap();
        assert_eq!((credentials.uid, credentials.gid), (1001, 21));
        assert_eq!(credentials.groups, [4, 20, 65534]);
    }

    #[test]
    fn a_process_without_supplementary_groups_has_none() {
        let text = STATUS.replace("4 20 65534 ", "");
        assert!(Credentials::parse(&text).unwrap().groups.is_empty());
    }

    #[test]
    fn a_status_without_a_needed_line_is_refused() {
        for line in ["Uid:\t1000", "Gid:", "Groups:"] {
            let text = STATUS.replace(line, "Other:");
            assert!(Credentials::parse(&text).is_err(), "{line}");
        }
    }

    #[test]
    fn a_number_that_is_none_is_refused_whole() {
        let text = STATUS.replace("65534", "-1");
        assert!(Credentials::parse(&text).is_err());
    }
}
