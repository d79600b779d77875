//! Builds the service and region that an origin's requests are signed for.

use http::Uri;
use tower_sigv4::{
    Origin, SigningSettings,
    origin::{AsSigned, RuleTarget},
};

use crate::config::{ConfigError, OriginSection, ScopePart, Spanned, is_s3_family, located};

/// Returns the service and region of the section, or else those of the host. Where the client's signature decides,
/// they are those of requests without one: what the host names, or else the first of the list.
pub(super) fn signing_settings(section: &OriginSection) -> Result<SigningSettings, ConfigError> {
    let (service_part, region_part) = (section.service_scope()?, section.region_scope()?);
    match (&service_part, &region_part) {
        (ScopePart::Host, ScopePart::Host) => return inferred(section),
        (ScopePart::Host, ScopePart::Fixed(alone)) | (ScopePart::Fixed(alone), ScopePart::Host) => {
            return Err(alone
                .error("service and region go together; set both, or neither for a host of AWS"));
        }
        (ScopePart::Client(names), ScopePart::Set(_)) => {
            return Err(names[0].error(
                "service = \"client\" and region_set exclude each other; set service to one name",
            ));
        }
        _ => {}
    }
    let of_host = inferred(section);
    let service = part(&service_part, || Ok(of_host.clone()?.service().to_owned()))?;
    if let ScopePart::Set(regions) = region_part {
        return multi_region(&service, regions);
    }
    let region = part(&region_part, || Ok(of_host.clone()?.region().to_owned()))?;
    SigningSettings::new(&service, &region).map_err(located(&section.name))
}

/// Returns `true` if requests may be signed for S3 or a service of its family.
pub(super) fn may_be_s3(section: &OriginSection) -> Result<bool, ConfigError> {
    match section.service_scope()? {
        ScopePart::Client(names) => Ok(names.iter().any(|name| is_s3_family(name.get_ref()))),
        _ => signing_settings(section).map(|settings| is_s3_family(settings.service())),
    }
}

fn inferred(section: &OriginSection) -> Result<SigningSettings, ConfigError> {
    let url = &section.url;
    drop(Origin::infer(url.get_ref()).map_err(located(url))?);
    let uri = section.uri();
    let host = uri.as_ref().and_then(Uri::host).unwrap_or_default();
    SigningSettings::infer(host).map_err(located(url))
}

fn part(
    part: &ScopePart<'_>,
    of_host: impl FnOnce() -> Result<String, ConfigError>,
) -> Result<String, ConfigError> {
    match part {
        ScopePart::Fixed(name) => Ok(name.get_ref().clone()),
        ScopePart::Client(listed) => match of_host() {
            Ok(named) => Ok(named),
            Err(_) => first_name(listed),
        },
        ScopePart::Host | ScopePart::Set(_) => of_host(),
    }
}

/// Returns the first name that is no pattern.
fn first_name(listed: &[Spanned<String>]) -> Result<String, ConfigError> {
    let is_name = |name: &&Spanned<String>| !name.get_ref().ends_with('*');
    let first = listed.iter().find(is_name).ok_or_else(|| {
        listed[0].error("add a region without a star, for requests that are not signed")
    })?;
    Ok(first.get_ref().clone())
}

/// Returns the target of a rule, which may take its service and region from the client.
pub(super) fn target(section: &OriginSection, origin: Origin) -> Result<RuleTarget, ConfigError> {
    let (service, region) = (section.service_scope()?, section.region_scope()?);
    if !matches!(service, ScopePart::Client(_)) && !matches!(region, ScopePart::Client(_)) {
        return Ok(origin.into());
    }
    let mut target = AsSigned::new(origin);
    if let ScopePart::Client(names) = service {
        let services = names.iter().map(Spanned::get_ref);
        target = target.with_services(services).map_err(located(&names[0]))?;
    }
    if let ScopePart::Client(names) = region {
        let regions = names.iter().map(Spanned::get_ref);
        target = target.with_regions(regions).map_err(located(&names[0]))?;
    }
    Ok(target.into())
}

#[cfg(feature = "sigv4a")]
fn multi_region(
    service: &str,
    regions: &[Spanned<String>],
) -> Result<SigningSettings, ConfigError> {
    use tower_sigv4::sigv4::RegionSet;

    // Separately, so that an error has the line of its region.
    for region in regions {
        drop(RegionSet::new(region.get_ref()).map_err(located(region))?);
    }
    let names: Vec<_> = regions.iter().map(|region| &**region.get_ref()).collect();
    let set = RegionSet::new(&names.join(",")).map_err(located(&regions[0]))?;
    SigningSettings::multi_region(service, set).map_err(located(&regions[0]))
}

#[cfg(not(feature = "sigv4a"))]
fn multi_region(_: &str, regions: &[Spanned<String>]) -> Result<SigningSettings, ConfigError> {
    Err(regions[0].error(
        "region_set needs a gateway that was built with the feature sigv4a, which is on by default",
    ))
}
