//! The bodies of signed and of verified requests.
//!
//! A signature covers the hash of the body and stands in the head that goes before it, so a body is
//! collected, and hashed as it comes, before the request is sent; unless it is to stream
//! ([`PayloadMode`](crate::origin::PayloadMode)). Its frames are kept as they came and not copied, but
//! for those below 1 KiB that follow another, which are joined.

mod chunked;
mod collect;
mod dechunk;
mod recode;
mod signed;
mod verified;

pub(crate) use self::{collect::Collect, dechunk::Dechunk, signed::Frames};
pub use self::{signed::SignedBody, verified::VerifiedBody};
