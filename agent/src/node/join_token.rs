//! Attestation by a token that an administrator generated for this node; it works once.

use std::{fs, io, path::PathBuf};

use zeroize::Zeroizing;

/// Where the token comes from.
#[derive(Clone, PartialEq, Eq)]
pub(crate) enum JoinToken {
    /// It stands in the configuration or on the command line.
    Given(Zeroizing<String>),
    /// It stands in a file, which is read for each attempt: a new token in it lets an agent that
    /// was evicted come back without a restart.
    File(PathBuf),
    /// There is none; an agent that attested earlier does not need it.
    Absent,
}

/// Why there is no token to show.
#[derive(Debug, thiserror::Error)]
pub(crate) enum TokenError {
    #[error(
        "there is no join token: generate one with `signet server token generate` and pass it as \
         --join-token, or as join_token or join_token_file in the configuration"
    )]
    Absent,
    #[error("reading the join token from {0}")]
    File(PathBuf, #[source] io::Error),
    #[error("{0} holds no join token")]
    Empty(PathBuf),
}

impl JoinToken {
    /// The payload: the token itself.
    pub(super) fn payload(&self) -> Result<Vec<u8>, TokenError> {
        match self {
            Self::Given(token) => Ok(token.as_bytes().to_vec()),
            Self::File(path) => {
                let read = fs::read_to_string(path).map(Zeroizing::new);
                let text = read.map_err(|error| TokenError::File(path.clone(), error))?;
                match text.trim() {
                    "" => Err(TokenError::Empty(path.clone())),
                    token => Ok(token.as_bytes().to_vec()),
                }
            }
            Self::Absent => Err(TokenError::Absent),
        }
    }
}

impl std::fmt::Debug for JoinToken {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Given(_) => f.write_str("Given"),
            Self::File(path) => f.debug_tuple("File").field(path).finish(),
            Self::Absent => f.write_str("Absent"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_file_is_read_anew_and_trimmed() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let token = JoinToken::File(file.path().to_owned());
        assert!(matches!(token.payload(), Err(TokenError::Empty(_))));
        fs::write(file.path(), "  the-token\n").unwrap();
        assert_eq!(token.payload().unwrap(), b"the-token");
    }

    #[test]
    fn a_token_is_not_printed() {
        let token = JoinToken::Given(Zeroizing::new("secret-token".to_owned()));
        assert!(!format!("{token:?}").contains("secret"));
    }

    #[test]
    fn a_missing_token_says_how_to_get_one() {
        let error = JoinToken::Absent.payload().unwrap_err();
        assert!(error.to_string().contains("token generate"), "{error}");
    }
}
