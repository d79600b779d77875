//! Bodies in the frames of `aws-chunked`.

mod codec;
mod decode;
mod encode;

pub(crate) use self::decode::AwsChunkedDecoder;
pub(super) use self::encode::AwsChunkedEncoder;
