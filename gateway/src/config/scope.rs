//! Service and region that requests to an origin are signed for.

use std::slice;

use tower_sigv4::{SigningSettings, sigv4::PathForm};

use super::{
    error::ConfigError,
    list::OneOrMany,
    origin::OriginSection,
    route::RouteSection,
    value::{Spanned, located},
};

/// Value of `service` and `region` that takes them from the client's signature.
const CLIENT: &str = "client";

/// Source of the service or the region of an origin.
pub(crate) enum ScopePart<'a> {
    /// The host of the URL.
    Host,
    Fixed(&'a Spanned<String>),
    /// The client's signature, if the list has it.
    Client(&'a [Spanned<String>]),
    /// A region set of SigV4a.
    Set(&'a [Spanned<String>]),
}

impl OriginSection {
    /// Returns the source of the service. Its names are valid.
    pub(crate) fn service_scope(&self) -> Result<ScopePart<'_>, ConfigError> {
        let part = part("service", self.service.as_ref(), self.services.as_ref())?;
        for name in part.names() {
            drop(SigningSettings::new(name.get_ref(), "any").map_err(located(name))?);
        }
        Ok(part)
    }

    /// Rejects a cache for an origin whose responses may differ by the scope that a client has chosen.
    pub(crate) fn check_cache(&self, route: &RouteSection) -> Result<(), ConfigError> {
        let by_client = [self.service_scope()?, self.region_scope()?]
            .iter()
            .any(|part| matches!(part, ScopePart::Client(_)));
        if route.cache && by_client {
            return Err(route.origin.error(
                "cache = true needs an origin with one service and one region, since responses may differ by those \
                 of the client; remove cache, or give the route an origin of its own",
            ));
        }
        Ok(())
    }

    /// Returns the source of the region. Its names are valid, except those of a region set.
    pub(crate) fn region_scope(&self) -> Result<ScopePart<'_>, ConfigError> {
        if let Some(set) = &self.region_set {
            return region_set(set, self.region.as_ref());
        }
        let part = part("region", self.region.as_ref(), self.regions.as_ref())?;
        let is_list = matches!(part, ScopePart::Client(_));
        for name in part.names() {
            let written = name.get_ref();
            let prefix = written.strip_suffix('*').filter(|_| is_list);
            if prefix == Some("") {
                continue;
            }
            let checked = prefix.unwrap_or(written);
            if checked.contains(['*', ',']) {
                return Err(name.error("a region has one name; list several in region_set"));
            }
            drop(SigningSettings::new("any", checked).map_err(located(name))?);
        }
        Ok(part)
    }
}

impl<'a> ScopePart<'a> {
    fn names(&self) -> &'a [Spanned<String>] {
        match self {
            Self::Host => &[],
            Self::Fixed(name) => slice::from_ref(*name),
            Self::Client(names) | Self::Set(names) => names,
        }
    }
}

fn region_set<'a>(
    set: &'a OneOrMany,
    region: Option<&Spanned<String>>,
) -> Result<ScopePart<'a>, ConfigError> {
    if let Some(named) = region {
        return Err(named.error("region and region_set exclude each other; remove one"));
    }
    if set.as_slice().is_empty() {
        return Err(set.error("region_set is empty; list regions, or write \"*\" for all"));
    }
    Ok(ScopePart::Set(set.as_slice()))
}

/// Reads `service` with its list `services`, or `region` with `regions`.
fn part<'a>(
    key: &str,
    value: Option<&'a Spanned<String>>,
    list: Option<&'a OneOrMany>,
) -> Result<ScopePart<'a>, ConfigError> {
    let is_client = value.is_some_and(|name| name.get_ref() == CLIENT);
    match (value, list) {
        (Some(_), Some(allowed)) if is_client && allowed.as_slice().is_empty() => {
            Err(allowed.error(format!(
                "{key}s is empty, so every signed request is rejected; list each {key} that clients may sign for"
            )))
        }
        (Some(_), Some(allowed)) if is_client => Ok(ScopePart::Client(allowed.as_slice())),
        (Some(client), None) if is_client => Err(client.error(format!(
            "{key} = \"client\" needs {key}s, a list of each {key} that clients may sign for"
        ))),
        (_, Some(unused)) => Err(unused.error(format!(
            "{key}s needs {key} = \"client\"; set it, or remove {key}s"
        ))),
        (Some(fixed), None) => Ok(ScopePart::Fixed(fixed)),
        (None, None) => Ok(ScopePart::Host),
    }
}

/// Returns `true` for the signing names of S3's protocol.
pub(crate) fn is_s3_family(service: &str) -> bool {
    SigningSettings::new(service, "any")
        .is_ok_and(|settings| settings.path_form() == PathForm::Once)
}
