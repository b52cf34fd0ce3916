//! Questions to endpoints that are well, unwell, and worse.

use std::{convert::Infallible, net::SocketAddr};

use http_body_util::{BodyExt as _, StreamBody};
use hyper::{body::Frame, server::conn::http2, service::service_fn};
use hyper_util::rt::{TokioExecutor, TokioIo};
use signet_mesh::HealthQuestion;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpListener,
};

use super::*;

fn probe(address: SocketAddr, question: HealthQuestion) -> Probe {
    Probe {
        way: dialer(address).into(),
        protocol: Protocol::Http,
        question,
        host: "shop.test".to_owned(),
        timeout: Duration::from_secs(1),
    }
}

fn ready() -> HealthQuestion {
    HealthQuestion::Http("/ready".into())
}

/// A server that says this to whoever connects, and then what it was asked.
async fn says(text: &'static str) -> (SocketAddr, tokio::task::JoinHandle<String>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let serving = TaskTracker::new().spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        let mut asked = [0; 512];
        let length = stream.read(&mut asked).await.unwrap();
        stream.write_all(text.as_bytes()).await.unwrap();
        String::from_utf8_lossy(&asked[..length]).into_owned()
    });
    (address, serving)
}

#[tokio::test(start_paused = true)]
async fn an_endpoint_that_takes_connections_is_well_and_one_that_does_not_is_not() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    assert_eq!(probe(address, HealthQuestion::Tcp).ask().await, Ok(()));
    drop(listener);
    let why = probe(address, HealthQuestion::Tcp).ask().await.unwrap_err();
    assert!(why.contains("cannot be connected to"), "{why}");
}

#[tokio::test(start_paused = true)]
async fn a_status_of_success_is_well_and_any_other_is_not() {
    for (status, is_well) in [
        ("200 OK", true),
        ("204 No Content", true),
        ("302 Found", false),
        ("404 Not Found", false),
        ("503 Service Unavailable", false),
    ] {
        let text = format!("HTTP/1.1 {status}\r\nconnection: close\r\ncontent-length: 0\r\n\r\n");
        let (address, serving) = says(text.leak()).await;
        let asked = probe(address, ready()).ask().await;
        assert_eq!(asked.is_ok(), is_well, "{asked:?}");
        let request = serving.await.unwrap().to_ascii_lowercase();
        assert!(request.starts_with("get /ready http/1.1\r\n"), "{request}");
        assert!(request.contains("host: shop.test\r\n"), "{request}");
    }
}

#[tokio::test(start_paused = true)]
async fn one_that_hangs_or_answers_without_end_or_sense_is_not_well() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let hangs = probe(listener.local_addr().unwrap(), ready());
    let why = hangs.ask().await.unwrap_err();
    assert!(why.contains("did not answer within 1s"), "{why}");
    let (address, _serving) = says("220 mail.test ESMTP\r\n").await;
    probe(address, ready()).ask().await.unwrap_err();
    let endless = "x".repeat(200_000);
    let text = format!("HTTP/1.1 200 OK\r\ncontent-length: 200000\r\n\r\n{endless}");
    let (address, _serving) = says(text.leak()).await;
    probe(address, ready()).ask().await.unwrap_err();
}

/// A server of gRPC whose answers have this body and status.
async fn grpc(body: &'static [u8], status: &'static str) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let answer = move |request: Request<Incoming>| async move {
        assert_eq!(request.uri().path(), "/grpc.health.v1.Health/Check");
        let asked = request.into_body().collect().await.unwrap().to_bytes();
        assert_eq!(&asked[..], b"\0\0\0\0\x06\x0a\x04shop");
        let mut trailers = http::HeaderMap::new();
        trailers.insert("grpc-status", http::HeaderValue::from_static(status));
        let frames = [
            Ok::<_, Infallible>(Frame::data(bytes::Bytes::from_static(body))),
            Ok(Frame::trailers(trailers)),
        ];
        let body = StreamBody::new(futures_util::stream::iter(frames));
        Ok::<_, Infallible>(Response::new(body))
    };
    TaskTracker::new().spawn(async move {
        let (stream, _) = listener.accept().await.unwrap();
        let served = http2::Builder::new(TokioExecutor::new())
            .serve_connection(TokioIo::new(stream), service_fn(answer))
            .await;
        drop(served);
    });
    address
}

#[tokio::test(start_paused = true)]
async fn a_service_of_grpc_is_well_that_says_that_it_serves() {
    for (body, status, expected) in [
        (&b"\0\0\0\0\x02\x08\x01"[..], "0", ""),
        (b"\0\0\0\0\x02\x08\x02", "0", "NOT_SERVING"),
        (b"\0\0\0\0\0", "0", "status"),
        (b"\0\0\0\0\x02\x08", "0", "status"),
        (b"", "5", "NOT_FOUND"),
        (b"", "12", "UNIMPLEMENTED"),
        (b"\0\0\0\0\x02\x08\x01", "14", "grpc-status"),
    ] {
        let address = grpc(body, status).await;
        let asked = probe(address, HealthQuestion::Grpc("shop".into()))
            .ask()
            .await;
        match expected {
            "" => assert_eq!(asked, Ok(())),
            part => assert!(asked.clone().unwrap_err().contains(part), "{asked:?}"),
        }
    }
    let (address, _serving) = says("HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n").await;
    let not_grpc = probe(address, HealthQuestion::Grpc("shop".into()))
        .ask()
        .await;
    not_grpc.unwrap_err();
}
