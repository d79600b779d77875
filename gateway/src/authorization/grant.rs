//! Entries of `allow`.

use http::Method;

use super::{
    access::{Access, Target},
    glob::Glob,
};

/// An entry of `allow`.
#[derive(Clone, Debug)]
pub(crate) struct Grant {
    /// Positions of its routes, or `None` for all.
    pub(crate) routes: Option<Vec<usize>>,
    /// `None` for all.
    pub(crate) methods: Option<Vec<Method>>,
    /// Objects of S3, or `None` for everything on the route.
    pub(crate) objects: Option<Vec<ObjectPattern>>,
}

/// A pattern of buckets and keys: `bucket-a/reports/**`.
#[derive(Clone, Debug)]
pub(crate) struct ObjectPattern {
    bucket: Glob,
    key: Glob,
}

/// Separator in object patterns.
const SLASH: &[u8] = b"/";

impl Grant {
    /// Returns `true` for a grant of everything on a route.
    pub(super) fn is_unlimited_on(&self, route: usize) -> bool {
        self.has_route(route) && self.methods.is_none() && self.objects.is_none()
    }

    /// Returns `true` if the grant has a method on a route, for some object at least.
    pub(super) fn has_method_on(&self, route: usize, method: &Method) -> bool {
        let contains = |methods: &Vec<Method>| methods.contains(method);
        self.has_route(route) && self.methods.as_ref().is_none_or(contains)
    }

    pub(super) fn allows(&self, route: usize, access: &Access) -> bool {
        let has_method = |methods: &Vec<Method>| methods.contains(&access.method);
        self.has_route(route)
            && self.methods.as_ref().is_none_or(has_method)
            && match &self.objects {
                None => true,
                Some(patterns) => patterns.iter().any(|it| it.covers(&access.target)),
            }
    }

    /// Returns `true` for a grant of everything that has a method, on all routes.
    pub(super) fn allows_all_routes(&self, method: &Method) -> bool {
        let has_method = |methods: &Vec<Method>| methods.contains(method);
        self.routes.is_none()
            && self.objects.is_none()
            && self.methods.as_ref().is_none_or(has_method)
    }

    fn has_route(&self, route: usize) -> bool {
        let contains = |routes: &Vec<usize>| routes.contains(&route);
        self.routes.as_ref().is_none_or(contains)
    }
}

impl ObjectPattern {
    /// Parses `BUCKET/KEY`. Returns `None` without a slash, or if a part is empty.
    pub(crate) fn parse(pattern: &str) -> Option<Self> {
        let (bucket, key) = pattern.split_once('/')?;
        (!bucket.is_empty() && !key.is_empty()).then(|| Self {
            bucket: Glob::new(bucket, SLASH),
            key: Glob::new(key, SLASH),
        })
    }

    fn covers(&self, target: &Target) -> bool {
        match target {
            Target::Everything => false,
            Target::Bucket(bucket) => self.key.is_any() && self.bucket.matches(bucket),
            Target::Listing { bucket, prefix } => {
                self.bucket.matches(bucket) && self.key.covers_prefix(prefix)
            }
            Target::Object { bucket, key } => self.bucket.matches(bucket) && self.key.matches(key),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn grants_have_methods_on_their_routes() {
        let grant = |routes: &[usize], methods: &[Method]| Grant {
            routes: Some(routes.to_vec()),
            methods: Some(methods.to_vec()),
            objects: Some(Vec::new()),
        };
        let all = Grant {
            routes: None,
            methods: None,
            objects: None,
        };
        for (written, expected) in [
            (all, true),
            (grant(&[1], &[Method::DELETE]), true),
            (grant(&[0, 1], &[Method::GET, Method::DELETE]), true),
            (grant(&[0], &[Method::DELETE]), false),
            (grant(&[1], &[Method::GET, Method::POST]), false),
        ] {
            let found = written.has_method_on(1, &Method::DELETE);
            assert_eq!(found, expected, "{written:?}");
        }
    }
}
