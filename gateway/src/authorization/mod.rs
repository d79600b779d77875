//! Authorization of verified callers: the sections `[[caller]]`.
//!
//! Once a section exists, a caller may send a request only if an entry of `allow` of a section that matches it covers
//! each access of the request. Routes with `verify = false` stay open.

mod access;
mod decision;
mod denied;
mod glob;
mod grant;
mod limits;
mod matching;
mod readings;
mod rules;
mod s3;
mod service;

pub(crate) use self::{
    denied::AccessDenied,
    grant::{Grant, ObjectPattern},
    limits::{CallerLimited, CallerLimits},
    matching::{ArnPattern, CallerFacts, CallerMatch},
    rules::{Authorization, BucketPlace, CallerRules, RouteFacts, S3Facts},
    s3::bucket_in_host,
    service::authorized,
};
