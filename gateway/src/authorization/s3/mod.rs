//! Objects of S3 that a request reaches.
//!
//! A request is judged by the path and query that are signed and sent, decoded once as S3 does. A request that this
//! module does not know needs a grant without objects, so new operations are rejected until they are listed here.

mod copy_source;
mod delete_objects;
mod head;
mod headers;
mod host;
mod names;
mod parameters;
#[cfg(test)]
mod tests;

pub(crate) use self::{
    delete_objects::object_keys,
    head::{HeadAccesses, S3Head, head_accesses},
    host::bucket_in_host,
    names::object_names,
};
