//! Bodies of signed and of verified requests.
//!
//! A signature covers the hash of the body, and the headers that carry it are sent first. So a body is
//! collected and hashed before the request is sent, unless it streams
//! ([`PayloadMode`](crate::origin::PayloadMode)). Frames are stored as they arrive and are not copied.
//! Only frames below 1 KiB that follow another frame are joined.

mod aws_chunked;
mod budget;
mod checked;
mod collect;
mod failure;
#[cfg(feature = "verify")]
mod form;
#[cfg(feature = "verify")]
mod form_file;
mod frames;
mod response;
mod signed;
mod source;
mod spool;
#[cfg(feature = "verify")]
mod verified;

#[cfg(feature = "verify")]
pub(crate) use self::form::FormBody;
#[cfg(feature = "verify")]
#[cfg_attr(docsrs, doc(cfg(feature = "verify")))]
pub use self::verified::VerifiedBody;
pub(crate) use self::{
    aws_chunked::AwsChunkedDecoder,
    collect::{Collect, Collected, declared_len},
    failure::BodyFailure,
    frames::{Frames, into_bytes, poll_data},
    response::BodyPrefix,
    source::SourceBody,
};
pub use self::{
    budget::BodyBudget,
    response::ResponseBody,
    signed::{BoxedBody, SignedBody},
};
