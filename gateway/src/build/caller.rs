//! Builds the authorization of callers.

use http::uri::Authority;
use tower_sigv4::{Origin, SigningSettings, origin::OriginRules};

use super::scope::may_be_s3;
use crate::{
    authorization::{
        ArnPattern, Authorization, BucketPlace, CallerLimits, CallerMatch, CallerRules, Grant,
        ObjectPattern, RouteFacts, S3Facts, bucket_in_host,
    },
    config::{
        AllowSection, CallerSection, ConfigError, ConfigFile, MatchSection, OriginSection,
        RouteSection, Spanned,
    },
    rate::SharedRates,
};

/// Returns the facts about a route that decisions depend on.
pub(super) fn route_facts(
    section: &RouteSection,
    origin: &OriginSection,
    built: &Origin,
) -> Result<RouteFacts, ConfigError> {
    let s3_facts = || S3Facts {
        host: built.host().to_owned(),
        bucket: bucket_place(built.host()),
    };
    Ok(RouteFacts {
        name: section.name.as_ref().map(|name| name.get_ref().clone()),
        is_open: !section.is_verified(),
        s3: may_be_s3(origin)?.then(s3_facts),
    })
}

/// Returns the place of the bucket in requests to a host, which may have a port.
fn bucket_place(host: &str) -> BucketPlace {
    let authority: Option<Authority> = host.parse().ok();
    let name = authority.as_ref().map_or(host, Authority::host);
    if SigningSettings::infer(name).is_err() {
        return BucketPlace::Path; // no host of AWS
    }
    match bucket_in_host(&name.to_ascii_lowercase()) {
        Some("") => BucketPlace::Path,
        Some(bucket) => BucketPlace::Host(bucket.to_owned()),
        None => BucketPlace::Unknown,
    }
}

/// Builds the sections, or returns `None` without one.
pub(super) fn authorization(
    file: &ConfigFile,
    rules: &OriginRules,
    routes: Vec<RouteFacts>,
    rates: Option<&SharedRates>,
) -> Result<Option<Authorization>, ConfigError> {
    let mut callers: Vec<CallerRules> = Vec::new();
    for (position, section) in file.caller.iter().enumerate() {
        let built = caller(file, section, position, &routes, rates)?;
        if callers.iter().any(|other| other.name == built.name) {
            let message = format!(
                "there is another caller {:?}; give each its own name",
                built.name
            );
            return Err(match &section.name {
                Some(name) => name.error(message),
                None => section.condition.error(message),
            });
        }
        callers.push(built);
    }
    Ok((!callers.is_empty()).then(|| Authorization::new(callers, rules.clone(), routes)))
}

fn caller(
    file: &ConfigFile,
    section: &CallerSection,
    position: usize,
    routes: &[RouteFacts],
    rates: Option<&SharedRates>,
) -> Result<CallerRules, ConfigError> {
    let name = match &section.name {
        Some(name) if name.get_ref().is_empty() || name.get_ref().len() > MAX_NAME_LEN => {
            return Err(name.error(format!("name must have 1 to {MAX_NAME_LEN} bytes")));
        }
        Some(name) => name.get_ref().clone(),
        None => format!("caller-{}", position + 1),
    };
    let condition = condition(file, &section.condition)?;
    let entries = section.allow.as_slice();
    if entries.is_empty() {
        let message = "allow is empty, so the caller may send no request; name a route, or remove the [[caller]]: \
                       callers that no [[caller]] matches are rejected";
        return Err(section.allow.error(message));
    }
    let allow = entries.iter().map(|entry| grant(entry, routes));
    let limits = CallerLimits::new(section.rate()?, section.max_concurrency()?);
    Ok(CallerRules {
        limits: limits.with_shared(rates.cloned(), &name),
        name,
        condition,
        allow: allow.collect::<Result<_, _>>()?,
    })
}

/// Maximum length of a caller's name, in bytes.
const MAX_NAME_LEN: usize = 64;

fn condition(
    file: &ConfigFile,
    section: &Spanned<MatchSection>,
) -> Result<CallerMatch, ConfigError> {
    let MatchSection {
        access_key_id,
        arn,
        claim,
        issuer,
        any,
    } = section.get_ref();
    let kinds = [
        access_key_id.is_some(),
        arn.is_some(),
        claim.is_some() || issuer.is_some(),
        any.is_some(),
    ];
    if kinds.iter().filter(|is_set| **is_set).count() != 1 {
        return Err(section.error(
            "match needs exactly one of access_key_id, arn, claim and any; add a [[caller]] for each",
        ));
    }
    let Some(verify) = &file.verify else {
        return Err(section.error("match needs verified callers; add a section [verify]"));
    };
    if let Some(flag) = any {
        let message = "any = false matches no caller; set it to true, or name callers";
        return if flag.get() {
            Ok(CallerMatch::Any)
        } else {
            Err(flag.error(message))
        };
    }
    if let Some(list) = access_key_id {
        if !verify.accepts_signatures() {
            let message =
                "access_key_id matches no caller without keys; set service and keys of [verify]";
            return Err(list.error(message));
        }
        if list.as_slice().is_empty() {
            return Err(list.error("access_key_id is empty, so no caller matches; name a key"));
        }
        let ids = list.as_slice().iter().map(access_key_id_of);
        return Ok(CallerMatch::AccessKeyIds(ids.collect::<Result<_, _>>()?));
    }
    if let Some(list) = arn {
        if list.as_slice().is_empty() {
            return Err(list.error("arn is empty, so no caller matches; name an ARN"));
        }
        let patterns = list.as_slice().iter().map(arn_pattern);
        let parsed = patterns.collect::<Result<_, _>>()?;
        if verify.iam.is_none() {
            let message =
                "arn matches no caller without IAM principals; add a section [verify.iam]";
            return Err(list.error(message));
        }
        return Ok(CallerMatch::Arns(parsed));
    }
    check_issuer(file, section, issuer.as_ref())?;
    let named = claim.iter().flatten();
    let mut claims = Vec::new();
    for (name, values) in named {
        if values.as_slice().is_empty() {
            let message =
                format!("claim {name:?} has no value, so no caller matches; name a value");
            return Err(values.error(message));
        }
        let texts = values.names().into_iter().map(str::to_owned).collect();
        claims.push((name.clone(), texts));
    }
    if claims.is_empty() && claim.is_some() {
        return Err(section.error("claim is empty; name a claim and its value"));
    }
    Ok(CallerMatch::Claims {
        issuer: issuer.as_ref().map(|it| it.get_ref().clone()),
        claims,
    })
}

/// Rejects an issuer whose tokens are not accepted, and claims without an issuer if there are several.
fn check_issuer(
    file: &ConfigFile,
    section: &Spanned<MatchSection>,
    issuer: Option<&Spanned<String>>,
) -> Result<(), ConfigError> {
    let known: Vec<_> = file.issuers().collect();
    match issuer {
        _ if known.is_empty() => {
            Err(section.error("match needs callers with tokens; add a [[verify.jwt]]"))
        }
        Some(name) if !known.contains(&&**name.get_ref()) => Err(name.error(format!(
            "there is no [[verify.jwt]] of issuer {:?}; name one of {known:?}",
            name.get_ref()
        ))),
        None if known.len() > 1 => Err(section.error(format!(
            "issuers may use the same claim differently; set issuer to one of {known:?}"
        ))),
        _ => Ok(()),
    }
}

fn access_key_id_of(id: &Spanned<String>) -> Result<String, ConfigError> {
    let text = id.get_ref();
    if text.is_empty() || text.contains('*') {
        return Err(id.error(format!(
            "{text:?} is not an access key ID; write it in full, or use any = true for all callers"
        )));
    }
    Ok(text.clone())
}

/// Parses a pattern of ARNs, and rejects those that no caller has.
fn arn_pattern(pattern: &Spanned<String>) -> Result<ArnPattern, ConfigError> {
    let text = pattern.get_ref();
    if !text.starts_with("arn:") && text != "**" {
        return Err(pattern.error(format!(
            "{text:?} is not an ARN; write one such as \"arn:aws:iam::123456789012:role/orders-*\""
        )));
    }
    let role = text.split_once(":role/").map(|(_, role)| role);
    if role.is_some_and(|it| it.contains('/') && !it.contains("**")) {
        return Err(pattern.error(format!(
            "{text:?} matches no caller, since the ARN of a session has no path of its role; write only the name after \
             \"role/\""
        )));
    }
    Ok(ArnPattern::new(text))
}

fn grant(entry: &AllowSection, routes: &[RouteFacts]) -> Result<Grant, ConfigError> {
    let route = entry.route();
    let positions = match route.get_ref().as_str() {
        "*" => None,
        name => Some(route_position(&route, name, routes)?),
    };
    let objects = match entry.objects()? {
        None => None,
        Some(patterns) => {
            let reaches_s3 = match positions {
                Some(position) => routes[position].has_objects(),
                None => routes.iter().any(RouteFacts::has_objects),
            };
            if !reaches_s3 {
                return Err(route.error(format!(
                    "the origin of route {:?} is not S3, so it has no buckets; remove the pattern",
                    route.get_ref()
                )));
            }
            let parsed = patterns.iter().map(object_pattern);
            Some(parsed.collect::<Result<Vec<_>, _>>()?)
        }
    };
    Ok(Grant {
        routes: positions.map(|position| vec![position]),
        methods: entry.methods()?,
        objects,
    })
}

fn route_position(
    route: &Spanned<String>,
    name: &str,
    routes: &[RouteFacts],
) -> Result<usize, ConfigError> {
    let position = routes
        .iter()
        .position(|it| it.name.as_deref() == Some(name));
    let Some(found) = position else {
        let known: Vec<_> = routes.iter().filter_map(|it| it.name.as_deref()).collect();
        return Err(route.error(if known.is_empty() {
            format!("there is no route {name:?}; set name of a [[route]]")
        } else {
            format!("there is no route {name:?}; name one of {known:?}, or set name of a [[route]]")
        }));
    };
    if routes[found].is_open {
        return Err(route.error(format!(
            "route {name:?} has verify = false and is open to everyone; remove it from allow"
        )));
    }
    Ok(found)
}

fn object_pattern(pattern: &Spanned<String>) -> Result<ObjectPattern, ConfigError> {
    let text = pattern.get_ref();
    ObjectPattern::parse(text).ok_or_else(|| {
        let bucket = text.trim_matches('/');
        let example = if bucket.is_empty() { "bucket" } else { bucket };
        pattern.error(format!(
            "{text:?} is not a pattern of objects; write bucket and key, such as \"{example}/**\" for a whole bucket"
        ))
    })
}
