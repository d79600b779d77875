use std::sync::{Arc, PoisonError, RwLock};

use http::request::Parts;

use super::{
    ResolveOrigin, ResolvedOrigin,
    scope_lists::{HostScope, ScopeLists, settings_for},
};
use crate::{
    Origin, SigningSettings,
    error::Error,
    sigv4::{
        authorization::ParseError,
        client_scope::{ClientScope, ScopeRegion},
    },
};

/// Signs each request for the service and region that its client signed for.
///
/// Use it for one origin that serves several services or regions, such as a server that emulates AWS, or another
/// gateway. The client signs with placeholder keys; its SDK has put service and region into the credential scope.
/// Everything else is that of the [`Origin`]: URL, payload mode, limits, forwarding headers.
///
/// | request | signed for |
/// |---|---|
/// | signed with SigV4, in the header or in the query | service and region of the credential scope |
/// | signed with SigV4a (feature `sigv4a`) | service of the scope, and the client's region set |
/// | any, for an origin with a region set | service of the scope, and the origin's region set |
/// | not signed, or in another way | the settings of the origin |
///
/// Client scopes are not verified: anyone can name any service. So only those on the lists are accepted, and none that
/// the origin's host contradicts. Any other is an error of kind [`Scope`](crate::ErrorKind::Scope) with status 403,
/// and nothing is sent. Put a [`VerifyLayer`](crate::VerifyLayer) in front to verify them.
///
/// The settings of the origin are used for its own service; other services have their default rules. To use it for
/// one rule of a gateway, pass it to [`OriginRules::add_rule`](super::OriginRules::add_rule).
///
/// ```
/// use http::Request;
/// use tower_sigv4::{ErrorKind, Origin, SigningSettings, origin::{AsSigned, ResolveOrigin}};
///
/// let origin = Origin::new("http://localstack:4566", SigningSettings::new("s3", "us-east-1")?)?;
/// let target = AsSigned::new(origin)
///     .with_services(["s3", "dynamodb"])?
///     .with_regions(["us-east-1", "eu-*"])?;
///
/// let resolve = |scope: &str| {
///     let authorization = format!(
///         "AWS4-HMAC-SHA256 Credential=placeholder/20150830/{scope}/aws4_request, SignedHeaders=host, \
///          Signature=5fa00fa31553b73ebf1942676e86291e8372ff2a2260956d9b8aae1d763fbf31"
///     );
///     let request = Request::post("/").header("authorization", authorization);
///     target.resolve(&request.body(()).unwrap().into_parts().0)
/// };
/// let resolved = resolve("eu-west-1/dynamodb")?;
/// assert_eq!(resolved.settings().service(), "dynamodb");
/// assert_eq!(resolved.settings().region(), "eu-west-1");
///
/// let error = resolve("eu-west-1/iam").unwrap_err();
/// assert_eq!(error.kind(), ErrorKind::Scope);
/// assert!(error.to_string().contains(r#"service "iam", which is not one of s3, dynamodb"#));
/// # Ok::<(), tower_sigv4::Error>(())
/// ```
#[derive(Clone, Debug)]
#[must_use]
pub struct AsSigned {
    origin: Origin,
    host: HostScope,
    lists: ScopeLists,
    /// One origin for each service and region without a star, sorted by both.
    table: Arc<Vec<Origin>>,
    /// Origins of other regions, which clients name.
    cache: Arc<RwLock<Vec<Origin>>>,
}

/// Maximum number of cached origins. Clients can fill it with any names that a pattern matches, so more cost an
/// allocation each.
const MAX_CACHED: usize = 256;

/// Maximum number of origins in the table.
const MAX_TABLE: usize = 4096;

impl AsSigned {
    /// Signs for the service and region of the origin, and for no other until a list adds it.
    pub fn new(origin: Origin) -> Self {
        let settings = &origin.options().settings;
        let lists = ScopeLists {
            services: vec![settings.service().to_owned()],
            regions: settings.region().split(',').map(str::to_owned).collect(),
            setters: ["AsSigned::with_services", "AsSigned::with_regions"],
        };
        Self {
            host: HostScope::of(origin.host()),
            lists,
            table: Arc::default(),
            cache: Arc::default(),
            origin,
        }
        .with_table()
    }

    /// Sets the services that clients may sign for, by their signing names.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Config`](crate::ErrorKind::Config) if one is not valid in a credential scope, if there are none,
    /// or if the origin's host is that of another service.
    pub fn with_services(
        mut self,
        names: impl IntoIterator<Item = impl AsRef<str>>,
    ) -> Result<Self, Error> {
        self.lists.set_services(names)?;
        if let HostScope::Regional(service, _) | HostScope::MultiRegion(service) = self.host
            && !self.lists.services.iter().any(|name| name == service)
        {
            return Err(Error::config(format!(
                "host {:?} is that of service {service:?}, and the list of services lacks it; add it, or use another \
                 origin",
                self.origin.host(),
            )));
        }
        Ok(self.with_table())
    }

    /// Sets the regions that clients may sign for: names, or prefixes with a star such as `eu-*` and `*`.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Config`](crate::ErrorKind::Config) if one is not valid in a credential scope, if there are none,
    /// or if the origin's host is that of another region.
    pub fn with_regions(
        mut self,
        patterns: impl IntoIterator<Item = impl AsRef<str>>,
    ) -> Result<Self, Error> {
        self.lists.set_regions(patterns)?;
        if let HostScope::Regional(service, region) = &self.host {
            let scope = ClientScope {
                service,
                region: ScopeRegion::One(region),
            };
            if self.lists.find_region_outside(&scope).is_some() {
                return Err(Error::config(format!(
                    "host {:?} is that of region {region:?}, and the list of regions lacks it; add it, or use another \
                     origin",
                    self.origin.host(),
                )));
            }
        }
        Ok(self.with_table())
    }

    /// Creates the origins that requests can have without an allocation.
    fn with_table(mut self) -> Self {
        self.origin = self.origin.with_redirect_regions(&self.lists.regions);
        let regions = self
            .lists
            .regions
            .iter()
            .filter(|name| !name.ends_with('*'));
        let scopes = self.lists.services.iter().flat_map(|service| {
            regions.clone().map(move |region| ClientScope {
                service,
                region: ScopeRegion::One(region),
            })
        });
        let mut table: Vec<_> = scopes
            .take(MAX_TABLE)
            .filter_map(|scope| self.create(&scope).ok())
            .filter(|origin| origin.options().settings.region_set().is_none())
            .collect();
        table.sort_by(|a, b| key(a).cmp(&key(b)));
        table.dedup_by(|a, b| key(a) == key(b));
        self.table = Arc::new(table);
        self.cache = Arc::default();
        self
    }

    /// Returns the origin for a scope that was not seen before.
    fn create(&self, scope: &ClientScope<'_>) -> Result<Origin, Error> {
        self.lists.check(scope)?;
        self.host.check(scope, self.origin.host())?;
        let own = &self.origin.options().settings;
        let settings = settings_for(own, &self.host, scope)?;
        let is_own = (settings.service(), settings.region(), settings.region_set())
            == (own.service(), own.region(), own.region_set());
        Ok(if is_own {
            self.origin.clone()
        } else {
            self.origin.with_settings(settings)
        })
    }

    /// Returns the origin whose settings are those of a scope.
    fn origin_for(&self, scope: &ClientScope<'_>) -> Result<Origin, Error> {
        if let ScopeRegion::One(region) = scope.region {
            let wanted = (scope.service, region);
            if let Ok(at) = self.table.binary_search_by(|entry| key(entry).cmp(&wanted)) {
                return Ok(self.table[at].clone());
            }
        }
        let is_set = matches!(scope.region, ScopeRegion::Set(_));
        let cached = self.cache.read().unwrap_or_else(PoisonError::into_inner);
        let found = cached.iter().find(|entry| {
            key(entry) == (scope.service, scope.region.as_str())
                && entry.options().settings.region_set().is_some() == is_set
        });
        if let Some(origin) = found {
            return Ok(origin.clone());
        }
        drop(cached);
        let created = self.create(scope)?;
        // Settings that do not come from the scope would not be found again.
        if key(&created) == (scope.service, scope.region.as_str()) {
            let mut entries = self.cache.write().unwrap_or_else(PoisonError::into_inner);
            if entries.len() < MAX_CACHED {
                entries.push(created.clone());
            }
        }
        Ok(created)
    }

    pub(super) fn origin(&self) -> &Origin {
        &self.origin
    }

    pub(super) fn lists(&self) -> &ScopeLists {
        &self.lists
    }

    /// Returns the origin of a request, which is the one without a scope if the layer does not sign.
    pub(super) fn choose(&self, head: &Parts) -> Result<Origin, Error> {
        if !self.origin.options().signs(head) {
            return Ok(self.origin.clone());
        }
        match parse_scope(head)? {
            Some(scope) => self.origin_for(&scope),
            None => Ok(self.origin.clone()),
        }
    }
}

/// Reads a client's scope; a malformed signature is an error.
pub(super) fn parse_scope(head: &Parts) -> Result<Option<ClientScope<'_>>, Error> {
    ClientScope::parse(head).map_err(|error| {
        let problem = match error {
            ParseError::Malformed(problem) => problem,
            _ => "the request has more than one signature",
        };
        Error::request(format!("{problem}; sign the request once, with SigV4"))
    })
}

fn key(origin: &Origin) -> (&str, &str) {
    let settings: &SigningSettings = &origin.options().settings;
    (settings.service(), settings.region())
}

impl ResolveOrigin for AsSigned {
    fn resolve(&self, head: &Parts) -> Result<ResolvedOrigin, Error> {
        self.choose(head).map(ResolvedOrigin::from)
    }
}
