//! A proxy in front of an application, and strangers that knock at it with certificates of their
//! own.

use std::{
    io::{ErrorKind, Read as _, Write as _},
    net::{Ipv4Addr, TcpListener, TcpStream},
    sync::Arc,
    thread,
    time::Duration,
};

use rustls::{ClientConnection, StreamOwned, pki_types::ServerName};
use signet_identity::{
    TrustDomain,
    bundle::Bundle,
    tls::{Expect, Identity, client_config},
    trust::Trust,
};
use signet_tests::testbed::{Server, free_port};
use tokio::sync::watch;

use super::ca::Svid;
use crate::jwt::world::World;

/// Where the proxy listens, and by whom its own certificate is signed.
pub(crate) struct Gate {
    port: u16,
    trust: Arc<Trust>,
}

impl Gate {
    /// A gate and the proxy's configuration for it.
    pub(crate) fn config(server: &Server<'_>, application: u16) -> (Self, String) {
        let pem = server.run(&["bundle", "show"]).ok();
        let own = Bundle::from_pem(TrustDomain::new("example.org").unwrap(), &pem).unwrap();
        let trust = Arc::new(Trust::new(&[own]));
        let port = free_port();
        let config = format!(
            "mesh: []
inbound:
  - {{ name: gate, listen: '127.0.0.1:{port}', protocol: TCP, forward: '127.0.0.1:{application}' }}
"
        );
        (Self { port, trust }, config)
    }
}

/// A connection through the gate.
pub(crate) struct Guest(StreamOwned<ClientConnection, TcpStream>);

impl Guest {
    /// Whether the application still answers.
    pub(crate) fn is_answered(&mut self) -> bool {
        let mut answer = [0; 4];
        // In TLS 1.3 the client learns what the server thinks of it with the first byte it reads.
        let asked = self.0.write_all(b"ping").and_then(|()| self.0.flush());
        asked.and_then(|()| self.0.read_exact(&mut answer)).is_ok() && answer == *b"ping"
    }

    /// Waits until the connection is closed from the other side, nothing being said on it.
    pub(crate) fn is_cut(&mut self) -> bool {
        match self.0.read(&mut [0]) {
            Ok(length) => length == 0,
            Err(error) => !matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut),
        }
    }
}

impl World {
    /// Whether the application answers somebody who comes with this SVID.
    pub(crate) fn admits(&self, svid: &Svid) -> bool {
        self.knock(svid).is_answered()
    }

    /// A connection of somebody who comes with this SVID.
    pub(crate) fn knock(&self, svid: &Svid) -> Guest {
        let (_trust, trust) = watch::channel(Arc::clone(&self.gate.trust));
        let identity = Identity::new(svid.chain.clone(), &svid.key).unwrap();
        let (_identity, identity) = watch::channel(Some(Arc::new(identity)));
        let config = client_config(Some(identity), trust, Expect::AnyTrusted, &[]).unwrap();
        let tcp = TcpStream::connect((Ipv4Addr::LOCALHOST, self.gate.port)).unwrap();
        tcp.set_read_timeout(Some(PATIENCE)).unwrap();
        let name = ServerName::try_from("gate").unwrap();
        Guest(StreamOwned::new(
            ClientConnection::new(config, name).unwrap(),
            tcp,
        ))
    }
}

/// An application that says what it hears.
pub(crate) fn application() -> u16 {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let port = listener.local_addr().unwrap().port();
    thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            thread::spawn(move || {
                let mut heard = [0; 4];
                while stream.read_exact(&mut heard).is_ok() && stream.write_all(&heard).is_ok() {}
            });
        }
    });
    port
}

const PATIENCE: Duration = Duration::from_secs(20);
