//! Where the admin endpoint may listen.

use std::{fmt, net::SocketAddr, path::PathBuf};

/// Where the admin endpoint listens: nobody reaches it from another machine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AdminAddress {
    /// A loopback address; with the port 0 the system chooses one.
    Loopback(SocketAddr),
    /// A Unix socket, for the user of the daemon and root.
    Socket(PathBuf),
}

/// Why the admin endpoint may not listen where it was told to.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AdminAddressError {
    /// Neither or both are given.
    #[error("admin: write either `listen`, as in 127.0.0.1:15000, or `socketPath`")]
    NotOne,
    /// It is no address.
    #[error("admin: listen `{0}` is not an IP address and port; write 127.0.0.1:15000")]
    NoAddress(String),
    /// Other machines would reach it.
    #[error(
        "admin: listen `{0}` can be reached from other machines, and the admin endpoint asks for \
         no credentials; write a loopback address such as 127.0.0.1:15000, or socketPath"
    )]
    NotLoopback(SocketAddr),
    /// Where that is depends on where the daemon was started.
    #[error("admin: socketPath `{0}` is not absolute; write a path that begins with /")]
    NotAbsolute(String),
}

impl AdminAddress {
    /// Of the two settings one is to be given.
    ///
    /// # Errors
    /// Both or neither is, or others could reach it.
    pub fn new(
        listen: Option<&str>,
        socket_path: Option<PathBuf>,
    ) -> Result<Self, AdminAddressError> {
        match (listen, socket_path) {
            (Some(text), None) => {
                let invalid = |_| AdminAddressError::NoAddress(text.to_owned());
                let address: SocketAddr = text.parse().map_err(invalid)?;
                match address.ip().to_canonical().is_loopback() {
                    true => Ok(Self::Loopback(address)),
                    false => Err(AdminAddressError::NotLoopback(address)),
                }
            }
            (None, Some(path)) if path.is_absolute() => Ok(Self::Socket(path)),
            (None, Some(path)) => {
                let path = path.display().to_string();
                Err(AdminAddressError::NotAbsolute(path))
            }
            (Some(_), Some(_)) | (None, None) => Err(AdminAddressError::NotOne),
        }
    }
}

impl fmt::Display for AdminAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Loopback(address) => write!(f, "{address}"),
            Self::Socket(path) => write!(f, "unix://{}", path.display()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refusal(listen: Option<&str>, path: Option<&str>) -> String {
        let refused = AdminAddress::new(listen, path.map(PathBuf::from));
        refused.unwrap_err().to_string()
    }

    #[test]
    fn it_listens_on_loopback_or_on_a_socket_and_nowhere_else() {
        for listen in ["127.0.0.1:15000", "[::1]:0", "127.9.9.9:1"] {
            let address = AdminAddress::new(Some(listen), None).unwrap();
            assert_eq!(address.to_string(), listen);
        }
        let socket = AdminAddress::new(None, Some("/run/a.sock".into())).unwrap();
        assert_eq!(socket.to_string(), "unix:///run/a.sock");
        for listen in ["0.0.0.0:1", "192.0.2.1:1", "[::]:1", "[::ffff:192.0.2.1]:1"] {
            let refused = refusal(Some(listen), None);
            assert!(refused.contains("other machines"), "{refused}");
        }
        assert!(refusal(Some("localhost:1"), None).contains("not an IP address"));
        assert!(refusal(None, Some("a.sock")).contains("not absolute"));
        assert!(refusal(None, None).contains("either"));
        assert!(refusal(Some("127.0.0.1:1"), Some("/a")).contains("either"));
    }
}
