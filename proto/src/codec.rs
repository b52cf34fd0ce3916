//! Protobuf messages in gRPC, each in a buffer of its own size.

use std::marker::PhantomData;

use prost::Message;
use tonic::{
    Status,
    codec::{BufferSettings, EncodeBuf, Encoder},
};
use tonic_prost::ProstDecoder;

/// The codec of every generated client and server.
///
/// tonic's own gives each call 8 KiB to write into, which a stream then holds as long as it
/// lives, however little it says: on an agent, 4 KiB resident of a workload's 29.
#[derive(Debug)]
pub struct Codec<T, U>(PhantomData<(T, U)>);

/// Makes room for just the message, and writes it there.
#[derive(Debug)]
pub struct Exact<T>(PhantomData<T>);

impl<T, U> Default for Codec<T, U> {
    fn default() -> Self {
        Self(PhantomData)
    }
}

impl<T, U> tonic::codec::Codec for Codec<T, U>
where
    T: Message + Send + 'static,
    U: Message + Default + Send + 'static,
{
    type Encode = T;
    type Decode = U;
    type Encoder = Exact<T>;
    type Decoder = ProstDecoder<U>;

    fn encoder(&mut self) -> Self::Encoder {
        Exact(PhantomData)
    }

    fn decoder(&mut self) -> Self::Decoder {
        ProstDecoder::new(BufferSettings::default())
    }
}

impl<T: Message> Encoder for Exact<T> {
    type Item = T;
    type Error = Status;

    fn encode(&mut self, message: T, buffer: &mut EncodeBuf<'_>) -> Result<(), Status> {
        buffer.reserve(message.encoded_len());
        message
            .encode(buffer)
            .map_err(|error| Status::internal(error.to_string()))
    }

    fn buffer_settings(&self) -> BufferSettings {
        BufferSettings::new(0, SENT_FROM)
    }
}

/// Bytes of a stream's messages that are sent together; tonic's own figure.
const SENT_FROM: usize = 32 * 1024;
