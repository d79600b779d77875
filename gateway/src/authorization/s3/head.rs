//! Accesses that the head of a request asks for.

use http::{HeaderMap, Method};

use super::{
    copy_source::{copied, renamed},
    headers::{self, HeaderRight},
    names::names,
    parameters::{Parameters, Right},
};
use crate::authorization::access::{Access, Target};

/// Head of a request as it is sent to S3.
#[derive(Clone, Copy)]
pub(crate) struct S3Head<'a> {
    pub(crate) method: &'a Method,
    /// Bucket in the host, for virtual-hosted requests.
    pub(crate) bucket: Option<&'a str>,
    pub(crate) path: &'a str,
    pub(crate) query: &'a str,
    pub(crate) headers: &'a HeaderMap,
}

/// Accesses of a request, as its head shows them.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct HeadAccesses {
    pub(crate) accesses: Vec<Access>,
    /// Bucket of a DeleteObjects request, whose body names the objects.
    pub(crate) delete_from: Option<Vec<u8>>,
}

/// Returns all accesses of a request.
pub(crate) fn head_accesses(head: S3Head<'_>) -> HeadAccesses {
    let method = head.method;
    let everything = || HeadAccesses {
        accesses: vec![Access::new(method, Target::Everything)],
        delete_from: None,
    };
    let Some(parameters) = Parameters::parse(head.query) else {
        return everything();
    };
    let names = names(head.bucket, head.path);
    let mut found = HeadAccesses {
        accesses: Vec::new(),
        delete_from: None,
    };
    for (bucket, key) in &names {
        if bucket.is_empty() {
            return everything(); // ListBuckets
        }
        let target = match parameters.right(method, !key.is_empty()) {
            Right::DeleteObjects => {
                found.delete_from = Some(bucket.clone());
                continue;
            }
            Right::Everything => Target::Everything,
            Right::Bucket => Target::Bucket(bucket.clone()),
            Right::Listing => Target::Listing {
                bucket: bucket.clone(),
                prefix: parameters.prefix().to_vec(),
            },
            Right::Object => Target::Object {
                bucket: bucket.clone(),
                key: key.clone(),
            },
        };
        found.accesses.push(Access::new(method, target));
    }
    if found.delete_from.is_some() && names.len() > 1 {
        return everything();
    }
    let bucket = &names[0].0;
    for right in head
        .headers
        .keys()
        .map(|name| headers::right(name.as_str(), head.headers))
    {
        found.accesses.extend(match right {
            HeaderRight::Object => vec![],
            HeaderRight::Bucket => vec![Access::new(method, Target::Bucket(bucket.clone()))],
            HeaderRight::Everything => vec![Access::new(method, Target::Everything)],
            HeaderRight::CopySource => copied(head.headers),
            HeaderRight::RenameSource => renamed(head.headers, bucket),
        });
    }
    found
}
