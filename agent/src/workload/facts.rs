//! Reads the few lines of `/proc/<pid>/stat` and `/proc/<pid>/status` that attestation needs.
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

/// When the process started, in ticks since boot, from the text of `/proc/<pid>/stat`.
pub(crate) fn start_time(stat: &str) -> Result<u64, FactsError> {
    // The command name stands in parentheses and may itself hold blanks and parentheses;
    // everything after the last one is numbers.
    stat.rsplit_once(')')
        .and_then(|(_, fields)| fields.split_ascii_whitespace().nth(START_TIME_AFTER_NAME))
        .and_then(|field| field.parse().ok())
        .ok_or(FactsError("start time"))
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

/// Field 22 of the line; the name is field 2, and the next one is counted from 0.
const START_TIME_AFTER_NAME: usize = 22 - 3;

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

    #[test]
    fn a_command_name_with_parentheses_does_not_shift_the_fields() {
        let fields: Vec<String> = (4..53).map(|field| field.to_string()).collect();
        let text = format!("17 (a) R 1 (x) S {}", fields.join(" "));
        assert_eq!(start_time(&text).unwrap(), 22);
    }

    #[test]
    fn a_cut_stat_line_is_refused() {
        assert!(start_time("17 (sh) S 1 2 3").is_err());
        assert!(start_time("").is_err());
    }
}
