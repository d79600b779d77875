//! Services and regions that clients may choose, and the host that they must agree with.

use crate::{
    SigningSettings,
    error::{Error, ErrorKind, truncated},
    sigv4::{
        client_scope::{ClientScope, ScopeRegion},
        infer::AwsHost,
        scope::{check_scope_part, matches_pattern},
        service_rules::service_rules,
    },
};

/// Services and regions that a client's signature may name.
#[derive(Clone, Debug)]
pub(super) struct ScopeLists {
    /// Signing names.
    pub(super) services: Vec<String>,
    /// Names, or prefixes with a star at the end.
    pub(super) regions: Vec<String>,
    /// Methods that set services and regions.
    pub(super) setters: [&'static str; 2],
}

impl ScopeLists {
    pub(super) fn empty(setters: [&'static str; 2]) -> Self {
        Self {
            services: Vec::new(),
            regions: Vec::new(),
            setters,
        }
    }

    pub(super) fn set_services(
        &mut self,
        names: impl IntoIterator<Item = impl AsRef<str>>,
    ) -> Result<(), Error> {
        self.services = names
            .into_iter()
            .map(|name| {
                check_scope_part("service", name.as_ref(), "s3")?;
                Ok(name.as_ref().to_owned())
            })
            .collect::<Result<_, Error>>()?;
        not_empty("services", &self.services)
    }

    pub(super) fn set_regions(
        &mut self,
        patterns: impl IntoIterator<Item = impl AsRef<str>>,
    ) -> Result<(), Error> {
        self.regions = patterns
            .into_iter()
            .map(|pattern| {
                let text = pattern.as_ref();
                let name = text.strip_suffix('*').unwrap_or(text);
                if text != "*" {
                    check_scope_part("region", name, "us-east-1")?;
                }
                Ok(text.to_owned())
            })
            .collect::<Result<_, Error>>()?;
        not_empty("regions", &self.regions)
    }

    /// Returns `true` if a client may sign for a service of the S3 family.
    pub(super) fn allows_s3(&self) -> bool {
        self.services
            .iter()
            .any(|name| service_rules(name).s3_family)
    }

    /// Rejects a scope outside the lists.
    pub(super) fn check(&self, scope: &ClientScope<'_>) -> Result<(), Error> {
        let [services, regions] = self.setters;
        if !self.services.iter().any(|name| name == scope.service) {
            return Err(outside("service", scope.service, &self.services, services));
        }
        match self.find_region_outside(scope) {
            None => Ok(()),
            Some(region) => Err(outside("region", region, &self.regions, regions)),
        }
    }

    /// Returns the region that no pattern contains. One of a region set may be a prefix, which only a shorter prefix
    /// contains.
    pub(super) fn find_region_outside<'s>(&self, scope: &'s ClientScope<'_>) -> Option<&'s str> {
        let allowed = |region: &str| {
            self.regions
                .iter()
                .any(|pattern| matches_pattern(pattern, region))
        };
        scope.region.as_str().split(',').find(|name| !allowed(name))
    }
}

/// Service and region that an origin's host implies.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum HostScope {
    Regional(&'static str, String),
    MultiRegion(&'static str),
    /// The host is not one of AWS, or does not imply both.
    Unknown,
}

impl HostScope {
    /// Reads a host, with or without a port.
    pub(super) fn of(host: &str) -> Self {
        let lower = host.to_ascii_lowercase();
        let name = lower.split(':').next().unwrap_or_default();
        match AwsHost::parse(name) {
            Ok(AwsHost::Regional(service, region)) => Self::Regional(service, region.to_owned()),
            Ok(AwsHost::MultiRegion(service)) => Self::MultiRegion(service),
            Err(_) => Self::Unknown,
        }
    }

    /// Rejects a scope that the host contradicts.
    pub(super) fn check(&self, scope: &ClientScope<'_>, host: &str) -> Result<(), Error> {
        let (service, region) = match self {
            Self::Regional(service, region) => (*service, Some(region)),
            Self::MultiRegion(service) => (*service, None),
            Self::Unknown => return Ok(()),
        };
        let same_region = |name: &String| {
            let mut names = scope.region.as_str().split(',');
            match scope.region {
                ScopeRegion::One(one) => one == name,
                ScopeRegion::Set(_) => names.any(|pattern| matches_pattern(pattern, name)),
            }
        };
        if service == scope.service && region.is_none_or(same_region) {
            return Ok(());
        }
        let shown_region = region.map_or("several regions".to_owned(), |name| {
            format!("region {name:?}")
        });
        Err(Error::new(
            ErrorKind::Scope,
            format!(
                "the client signed for service {:?} in region {:?}, but host {host:?} is that of service \
                 {service:?} in {shown_region}; sign for the host",
                truncated(scope.service),
                truncated(scope.region.as_str()),
            ),
        ))
    }
}

/// Returns the settings for a client's scope: those of the origin, for another service or region.
pub(super) fn settings_for(
    own: &SigningSettings,
    host: &HostScope,
    scope: &ClientScope<'_>,
) -> Result<SigningSettings, Error> {
    let is_own_service = scope.service == own.service();
    let single = |region: &str| {
        if is_own_service {
            Ok(own.for_region(region))
        } else {
            SigningSettings::new(scope.service, region)
        }
    };
    if own.region_set().is_some() {
        // The origin requires SigV4a, for regions of its own.
        if let Some(region) = scope
            .region
            .as_str()
            .split(',')
            .find(|name| !own.covers(name))
        {
            return Err(Error::new(
                ErrorKind::Scope,
                format!(
                    "the client signed for region {:?}, but the origin takes signatures for {:?}",
                    truncated(region),
                    own.region(),
                ),
            ));
        }
        if is_own_service {
            return Ok(own.clone());
        }
        return multi_region(scope.service, own.region());
    }
    match (&scope.region, host) {
        // The endpoint of one region takes its signatures from any client.
        (_, HostScope::Regional(_, region)) => single(region),
        (ScopeRegion::One(region), _) => single(region),
        (ScopeRegion::Set(regions), _) => multi_region(scope.service, regions),
    }
}

#[cfg(feature = "sigv4a")]
fn multi_region(service: &str, regions: &str) -> Result<SigningSettings, Error> {
    SigningSettings::multi_region(service, crate::sigv4::RegionSet::new(regions)?)
}

#[cfg(not(feature = "sigv4a"))]
fn multi_region(_: &str, regions: &str) -> Result<SigningSettings, Error> {
    Err(Error::config(format!(
        "regions {regions:?} require SigV4a; enable the feature `sigv4a`"
    )))
}

fn not_empty(list: &str, names: &[String]) -> Result<(), Error> {
    if names.is_empty() {
        return Err(Error::config(format!(
            "the list of {list} is empty; add those that clients may sign for"
        )));
    }
    Ok(())
}

fn outside(part: &str, name: &str, allowed: &[String], setting: &str) -> Error {
    Error::new(
        ErrorKind::Scope,
        format!(
            "the client signed for {part} {:?}, which is not one of {}; sign for one of these, or add it by `{setting}`",
            truncated(name),
            allowed.join(", "),
        ),
    )
}
