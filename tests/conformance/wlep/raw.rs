//! gRPC calls in which everything is the test's choice: path, metadata, bytes.

use prost::bytes::{Buf as _, BufMut as _};
use tonic::{
    Code, Request, Status, Streaming,
    client::Grpc,
    codec::{Codec, DecodeBuf, Decoder, EncodeBuf, Encoder},
    codegen::http::uri::PathAndQuery,
    metadata::{AsciiMetadataKey, AsciiMetadataValue},
    transport::Channel,
};

/// The calls of the standard, in the order of its file.
pub(crate) const RPCS: [&str; 7] = [
    "FetchX509SVID",
    "FetchX509Bundles",
    "FetchJWTSVID",
    "FetchJWTBundles",
    "ValidateJWTSVID",
    "FetchWITSVID",
    "FetchWITBundles",
];

/// The one good header.
pub(crate) const TRUE: &[(&str, &str)] = &[("workload.spiffe.io", "true")];

/// Opens a stream of raw messages.
pub(crate) async fn open(
    channel: Channel,
    path: &str,
    metadata: &[(&str, &str)],
    message: &[u8],
) -> Result<Streaming<Vec<u8>>, Status> {
    let mut grpc = Grpc::new(channel);
    let not_ready = |error| Status::unavailable(format!("{error}"));
    grpc.ready().await.map_err(not_ready)?;
    let mut request = Request::new(message.to_vec());
    for (name, value) in metadata {
        let name = AsciiMetadataKey::from_bytes(name.as_bytes()).unwrap();
        let value = AsciiMetadataValue::try_from(*value).unwrap();
        request.metadata_mut().append(name, value);
    }
    let path = PathAndQuery::try_from(path).unwrap();
    let answer = grpc.server_streaming(request, path, Bytes).await?;
    Ok(answer.into_inner())
}

/// The first message of a call of the Workload API.
pub(crate) async fn call(
    channel: Channel,
    rpc: &str,
    metadata: &[(&str, &str)],
    message: &[u8],
) -> Result<Vec<u8>, Status> {
    let path = format!("/SpiffeWorkloadAPI/{rpc}");
    let mut stream = open(channel, &path, metadata, message).await?;
    let message = stream.message().await?;
    message.ok_or_else(|| Status::new(Code::Unknown, "ended without a message"))
}

/// A request that each call of [`RPCS`] accepts.
pub(crate) fn request_of(rpc: &str) -> Vec<u8> {
    use prost::Message as _;
    use signet_proto::workload::{JwtSvidRequest, ValidateJwtSvidRequest};
    match rpc {
        "FetchJWTSVID" => JwtSvidRequest {
            audience: vec!["orders".to_owned()],
            spiffe_id: String::new(),
        }
        .encode_to_vec(),
        "ValidateJWTSVID" => ValidateJwtSvidRequest {
            audience: "orders".to_owned(),
            svid: "a.b.c".to_owned(),
        }
        .encode_to_vec(),
        _ => Vec::new(),
    }
}

#[derive(Clone, Copy, Debug, Default)]
struct Bytes;

impl Codec for Bytes {
    type Encode = Vec<u8>;
    type Decode = Vec<u8>;
    type Encoder = Self;
    type Decoder = Self;

    fn encoder(&mut self) -> Self {
        *self
    }

    fn decoder(&mut self) -> Self {
        *self
    }
}

impl Encoder for Bytes {
    type Item = Vec<u8>;
    type Error = Status;

    fn encode(&mut self, item: Vec<u8>, buffer: &mut EncodeBuf<'_>) -> Result<(), Status> {
        buffer.put_slice(&item);
        Ok(())
    }
}

impl Decoder for Bytes {
    type Item = Vec<u8>;
    type Error = Status;

    fn decode(&mut self, buffer: &mut DecodeBuf<'_>) -> Result<Option<Vec<u8>>, Status> {
        let bytes = buffer.copy_to_bytes(buffer.remaining());
        Ok(Some(bytes.to_vec()))
    }
}
