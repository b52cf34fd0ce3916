//! The application behind the proxies: as cheap as it can be, on a thread of its own.

use std::{io, net::SocketAddr};

use anyhow::Context as _;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
};
use tokio_util::task::TaskTracker;

use super::{
    load::{HEADER, lengths, wide},
    runtime,
};
use crate::load::TRUST_DOMAIN;

/// What the application speaks.
#[derive(Clone, Copy, Debug)]
pub(super) enum Application {
    /// A header says how many bytes follow and how many are to be answered.
    Bytes,
    /// HTTP/1.1, where `GET /N` is answered with N bytes.
    Http,
}

impl Application {
    /// Its name in the proxies' configuration.
    pub(super) fn protocol(self) -> &'static str {
        match self {
            Self::Bytes => "TCP",
            Self::Http => "HTTP",
        }
    }

    /// What the inbound proxy enforces in front of it.
    pub(super) fn policy(self) -> String {
        let operation = match self {
            Self::Bytes => "",
            Self::Http => "    to: [{ operation: { methods: [GET], paths: ['/*'] } }]\n",
        };
        format!(
            "apiVersion: security.istio.io/v1
kind: AuthorizationPolicy
metadata: {{ name: application, namespace: default }}
spec:
  action: ALLOW
  rules:
  - from: [{{ source: {{ principals: [{TRUST_DOMAIN}/proxy] }} }}]
{operation}"
        )
    }

    /// Starts it on `address`; it ends with the process.
    pub(super) fn start(self, address: SocketAddr) -> anyhow::Result<SocketAddr> {
        let listener = std::net::TcpListener::bind(address)?;
        listener.set_nonblocking(true)?;
        let address = listener.local_addr()?;
        runtime::on_thread("application", move || self.serve(listener))?;
        Ok(address)
    }

    async fn serve(self, listener: std::net::TcpListener) -> anyhow::Result<()> {
        let listener = TcpListener::from_std(listener)?;
        let connections = TaskTracker::new();
        loop {
            let (stream, _) = listener.accept().await.context("application")?;
            stream.set_nodelay(true)?;
            connections.spawn(async move {
                // How a connection ends is its client's affair.
                drop(match self {
                    Self::Bytes => bytes(stream).await,
                    Self::Http => http(stream).await,
                });
            });
        }
    }
}

async fn bytes(mut stream: TcpStream) -> io::Result<()> {
    let mut buffer = vec![0; BUFFER];
    let mut header = [0; HEADER];
    loop {
        stream.read_exact(&mut header).await?;
        let [mut coming, answer] = lengths(header);
        while coming > 0 {
            let most = usize::try_from(coming).unwrap_or(BUFFER).min(BUFFER);
            let part = buffer.get_mut(..most).unwrap_or_default();
            let read = stream.read(part).await?;
            if read == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            coming = coming.saturating_sub(wide(read));
        }
        send(&mut stream, &buffer, answer).await?;
    }
}

async fn http(mut stream: TcpStream) -> io::Result<()> {
    let body = vec![b'x'; BUFFER];
    let mut received = Vec::with_capacity(4096);
    loop {
        while !received.windows(END.len()).any(|part| part == END) {
            if stream.read_buf(&mut received).await? == 0 {
                return Ok(());
            }
        }
        let length = asked(&received).ok_or(io::ErrorKind::InvalidData)?;
        received.clear();
        let mut answer = format!(
            "HTTP/1.1 200 OK\r\ncontent-type: application/octet-stream\r\ncontent-length: {length}\r\n\r\n"
        )
        .into_bytes();
        let with_head = usize::try_from(length).unwrap_or(BUFFER).min(BUFFER);
        answer.extend_from_slice(body.get(..with_head).unwrap_or_default());
        stream.write_all(&answer).await?;
        send(&mut stream, &body, length.saturating_sub(wide(with_head))).await?;
    }
}

/// N of `GET /N HTTP/1.1`.
fn asked(head: &[u8]) -> Option<u64> {
    let text = std::str::from_utf8(head).ok()?;
    let path = text.split(' ').nth(1)?;
    path.strip_prefix('/')?.parse().ok()
}

async fn send(stream: &mut TcpStream, buffer: &[u8], mut length: u64) -> io::Result<()> {
    while length > 0 {
        let most = usize::try_from(length)
            .unwrap_or(usize::MAX)
            .min(buffer.len());
        stream
            .write_all(buffer.get(..most).unwrap_or_default())
            .await?;
        length = length.saturating_sub(wide(most));
    }
    Ok(())
}

const BUFFER: usize = 256 * 1024;
const END: &[u8] = b"\r\n\r\n";
