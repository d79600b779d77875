//! Builds the service and region that an origin's requests are signed for.

use http::Uri;
use tower_sigv4::{Origin, SigningSettings};

use crate::config::{ConfigError, OriginSection, ScopePart, Spanned, located};

/// Returns the service and region of the section, or else those of the host. Where the client's signature decides,
/// they are those of requests without one: what the host names if it is listed, or else the first of the list.
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
            Err(_) => Ok(listed[0].get_ref().clone()),
            Ok(named) if listed.iter().any(|name| *name.get_ref() == named) => Ok(named),
            Ok(named) => Err(listed[0].error(format!(
                "the host of the url is one of {named:?}, so every signed request is rejected; list {named:?}"
            ))),
        },
        ScopePart::Host | ScopePart::Set(_) => of_host(),
    }
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
