//! The bodies of signed and of verified requests.
//!
//! A signature covers the hash of the body and stands in the head that goes before it, so a body is
//! collected, and hashed as it comes, before the request is sent; unless it is to stream
//! ([`PayloadMode`](crate::origin::PayloadMode)). Its frames are kept as they came and not copied, but
//! for those below 1 KiB that follow another, which are joined.

mod aws_chunked;
mod budget;
mod collect;
mod frames;
mod response;
mod signed;
mod spool;
#[cfg(feature = "verify")]
mod verified;

#[cfg(feature = "verify")]
#[cfg_attr(docsrs, doc(cfg(feature = "verify")))]
pub use self::verified::VerifiedBody;
pub(crate) use self::{
    aws_chunked::Dechunk,
    budget::Waiting,
    collect::{Collect, Collected, Reserved, announced},
    frames::{Frames, into_bytes},
    response::Held,
};
pub use self::{budget::BodyBudget, response::ResponseBody, signed::SignedBody};
