//! Decisions on requests.

use http::{Method, header, request::Parts};
use tower_sigv4::{origin::ResolvedOrigin, sigv4::PathForm};

use super::{
    access::{Access, Target},
    denied::AccessDenied,
    grant::Grant,
    matching::CallerFacts,
    readings::all_readings,
    rules::{Authorization, BucketPlace, CallerRules, S3Facts},
    s3::{self, HeadAccesses, S3Head},
};

/// Decision on a request by its head.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Decision {
    Allowed,
    Denied,
    /// The objects that the body names decide.
    DependsOnBody(DeleteObjects),
}

/// A DeleteObjects request on a route.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct DeleteObjects {
    route: usize,
    bucket: Vec<u8>,
}

/// Headers by which some frameworks replace the method of a request.
const METHOD_HEADERS: [&str; 3] = [
    "x-http-method",
    "x-http-method-override",
    "x-method-override",
];

impl Authorization {
    /// Returns the sections that match a caller.
    pub(super) fn matching<'a>(
        &'a self,
        caller: CallerFacts<'a>,
    ) -> impl Iterator<Item = &'a CallerRules> + Clone {
        self.callers
            .iter()
            .filter(move |rules| rules.condition.matches(caller))
    }

    pub(super) fn denied(
        &self,
        id: &str,
        mechanism: &'static str,
        route: usize,
        method: &Method,
    ) -> AccessDenied {
        AccessDenied {
            caller: id.to_owned(),
            mechanism,
            method: method.clone(),
            route: self.routes[route].name.clone(),
        }
    }

    /// Decides on a request to the route at a position.
    ///
    /// # Errors
    ///
    /// Returns the error that signing the request would return.
    pub(super) fn decide(
        &self,
        caller: CallerFacts<'_>,
        route: usize,
        head: &Parts,
    ) -> Result<Decision, tower_sigv4::Error> {
        let grants = Grants(self.matching(caller).flat_map(|rules| &rules.allow));
        let facts = &self.routes[route];
        let Some(s3_facts) = &facts.s3 else {
            let is_allowed = self.allows_readings(&grants, route, head);
            return Ok(if is_allowed {
                Decision::Allowed
            } else {
                Decision::Denied
            });
        };
        if grants.0.clone().any(|grant| grant.is_unlimited_on(route)) {
            return Ok(Decision::Allowed);
        }
        let resolved = self.rules.resolve_at(route, head)?;
        let found = accesses(s3_facts, &resolved, head)?;
        let are_allowed = found
            .accesses
            .iter()
            .all(|access| grants.allow(route, access));
        Ok(match found.delete_from {
            _ if !are_allowed => Decision::Denied,
            None => Decision::Allowed,
            Some(_) if grants.allow(route, &Access::new(&Method::DELETE, Target::Everything)) => {
                Decision::Allowed
            }
            // A compressed body is not read.
            Some(_) if head.headers.contains_key(header::CONTENT_ENCODING) => Decision::Denied,
            // No key in the body could be allowed.
            Some(_) if !grants.have_method_on(route, &Method::DELETE) => Decision::Denied,
            Some(bucket) => Decision::DependsOnBody(DeleteObjects { route, bucket }),
        })
    }

    /// Decides on a whole request.
    pub(crate) fn allows(&self, caller: CallerFacts<'_>, head: &Parts, body: &[u8]) -> bool {
        let Ok(route) = self.rules.position(head) else {
            return false;
        };
        match self.decide(caller, route, head) {
            Ok(Decision::Allowed) => true,
            Ok(Decision::DependsOnBody(request)) => self.allows_body(caller, &request, body),
            Ok(Decision::Denied) | Err(_) => false,
        }
    }

    /// Returns `true` if a caller may delete all objects that the body of DeleteObjects names.
    pub(super) fn allows_body(
        &self,
        caller: CallerFacts<'_>,
        request: &DeleteObjects,
        body: &[u8],
    ) -> bool {
        let grants = Grants(self.matching(caller).flat_map(|rules| &rules.allow));
        s3::object_keys(body).is_some_and(|keys| {
            let targets = keys
                .into_iter()
                .flat_map(|key| s3::object_names(&request.bucket, &key));
            targets
                .map(|(bucket, key)| Access::new(&Method::DELETE, Target::Object { bucket, key }))
                .all(|access| grants.allow(request.route, &access))
        })
    }

    /// Judges each path that an origin may read in place of the one that chose the route, and each method.
    fn allows_readings<'a, I>(&self, grants: &Grants<I>, route: usize, head: &Parts) -> bool
    where
        I: Iterator<Item = &'a Grant> + Clone,
    {
        let Some(methods) = methods(head) else {
            return false;
        };
        let allows = |position: usize| {
            let mut accesses = methods.iter().map(|it| Access::new(it, Target::Everything));
            accesses.all(|access| grants.allow(position, &access))
        };
        let allows_reading = |reading: &Parts| match self.rules.position(reading) {
            Ok(position) => self.routes[position].is_open || allows(position),
            // The path of no route.
            Err(_) => grants.allow_all_routes(&methods),
        };
        allows(route)
            && all_readings(head).is_some_and(|readings| readings.iter().all(allows_reading))
    }
}

#[derive(Clone)]
struct Grants<I>(I);

impl<'a, I> Grants<I>
where
    I: Iterator<Item = &'a Grant> + Clone,
{
    fn allow(&self, route: usize, access: &Access) -> bool {
        self.0.clone().any(|grant| grant.allows(route, access))
    }

    fn have_method_on(&self, route: usize, method: &Method) -> bool {
        self.0
            .clone()
            .any(|grant| grant.has_method_on(route, method))
    }

    fn allow_all_routes(&self, methods: &[Method]) -> bool {
        methods
            .iter()
            .all(|method| self.0.clone().any(|grant| grant.allows_all_routes(method)))
    }
}

/// Returns the methods that an origin may apply, or `None` if a header names an invalid one.
fn methods(head: &Parts) -> Option<Vec<Method>> {
    let mut methods = vec![head.method.clone()];
    for name in METHOD_HEADERS {
        for value in head.headers.get_all(name) {
            let method = value.to_str().ok()?.trim().to_ascii_uppercase();
            methods.push(Method::from_bytes(method.as_bytes()).ok()?);
        }
    }
    Some(methods)
}

fn accesses(
    facts: &S3Facts,
    resolved: &ResolvedOrigin,
    head: &Parts,
) -> Result<HeadAccesses, tower_sigv4::Error> {
    let everything = HeadAccesses {
        accesses: vec![Access::new(&head.method, Target::Everything)],
        delete_from: None,
    };
    // The client's signature may choose another service.
    if resolved.settings().path_form() != PathForm::Once {
        return Ok(everything);
    }
    let uri = resolved.uri(head)?;
    let Some(bucket) = bucket(facts, resolved.host()) else {
        return Ok(everything);
    };
    Ok(s3::head_accesses(S3Head {
        method: &head.method,
        bucket,
        path: uri.path(),
        query: uri.query().unwrap_or_default(),
        headers: &head.headers,
    }))
}

/// Returns the bucket in the host of a request, if there is one. Returns `None` if the host is not judged.
fn bucket<'a>(facts: &'a S3Facts, host: &'a str) -> Option<Option<&'a str>> {
    match &facts.bucket {
        BucketPlace::Unknown => None,
        BucketPlace::Host(bucket) => (host == facts.host).then_some(Some(bucket)),
        BucketPlace::Path if host == facts.host => Some(None),
        BucketPlace::Path => {
            let bucket = host.strip_suffix(&*facts.host)?.strip_suffix('.')?;
            Some(Some(bucket))
        }
    }
}
