//! The sections `[route.request_headers]` and `[route.response_headers]`, and the setting `authorization`.

use std::collections::BTreeMap;

use http::{HeaderName, HeaderValue, header};
use schemars::JsonSchema;
use serde::Deserialize;
use tower_sigv4::sigv4::PayloadHash;

use super::{
    error::ConfigError,
    value::{Secret, Spanned, header_name, secret_header},
};

type Names = BTreeMap<Spanned<String>, Spanned<String>>;

/// Values may be secrets.
type Values = BTreeMap<Spanned<String>, Spanned<Secret>>;

/// Changes of the headers that an origin receives.
#[derive(Deserialize, JsonSchema, Default)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct RequestHeadersSection {
    remove: Vec<Spanned<String>>,
    copy: Names,
    set: Values,
    add: Values,
}

/// Changes of the headers that a client receives.
#[derive(Deserialize, JsonSchema, Default)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct ResponseHeadersSection {
    remove: Vec<Spanned<String>>,
    set: Values,
    add: Values,
}

/// Changes of headers, in the order in which they apply.
#[derive(Default)]
pub(crate) struct HeaderChanges {
    pub(crate) remove: Vec<HeaderName>,
    /// Each name, and the name of the header that its values come from.
    pub(crate) copy: Vec<(HeaderName, HeaderName)>,
    pub(crate) set: Vec<(HeaderName, HeaderValue)>,
    pub(crate) add: Vec<(HeaderName, HeaderValue)>,
}

/// Handling of a client's `authorization` that is no signature of AWS.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum ClientAuthorization {
    Drop,
    Keep,
    Move(HeaderName),
}

impl RequestHeadersSection {
    pub(crate) fn changes(&self) -> Result<HeaderChanges, ConfigError> {
        let remove = names(&self.remove, forbidden_in_request)?;
        let mut copy = Vec::new();
        for (target, source) in &self.copy {
            let to = allowed_name(target, |name| {
                forbidden_target(name).or_else(|| copied_remedy(name))
            })?;
            let from = allowed_name(source, forbidden_source)?;
            if remove.contains(&from) {
                return Err(source.error(format!(
                    "copy reads {from}, which remove has removed before; take it out of remove"
                )));
            }
            push_once(&mut copy, to, from, target)?;
        }
        let set = values(&self.set, forbidden_target)?;
        for name in self.set.keys() {
            if copy
                .iter()
                .any(|(to, _)| to.as_str().eq_ignore_ascii_case(name.get_ref()))
            {
                return Err(name.error(format!(
                    "{:?} is in copy and in set; remove one of them",
                    name.get_ref()
                )));
            }
        }
        let add = values(&self.add, |name| {
            forbidden_target(name).or_else(|| {
                name.as_str().starts_with("x-amz-").then(|| {
                    "is one that AWS reads once; use set, which replaces the client's".to_owned()
                })
            })
        })?;
        Ok(HeaderChanges {
            remove,
            copy,
            set,
            add,
        })
    }
}

impl ResponseHeadersSection {
    pub(crate) fn changes(&self) -> Result<HeaderChanges, ConfigError> {
        Ok(HeaderChanges {
            remove: names(&self.remove, forbidden_in_response)?,
            copy: Vec::new(),
            set: values(&self.set, forbidden_in_response)?,
            add: values(&self.add, forbidden_in_response)?,
        })
    }
}

impl HeaderChanges {
    /// Describes the changes without their values, which may be secrets.
    pub(crate) fn digest(&self) -> String {
        let mut text = Vec::new();
        let mut push = |kind: &str, name: &HeaderName, value: &[u8]| {
            for part in [kind.as_bytes(), name.as_str().as_bytes(), value] {
                text.extend_from_slice(&(part.len() as u64).to_be_bytes());
                text.extend_from_slice(part);
            }
        };
        for name in &self.remove {
            push("remove", name, b"");
        }
        for (to, from) in &self.copy {
            push("copy", to, from.as_str().as_bytes());
        }
        for (kind, list) in [("set", &self.set), ("add", &self.add)] {
            for (name, value) in list {
                push(kind, name, value.as_bytes());
            }
        }
        PayloadHash::of(&text).to_string()
    }
}

/// Parses `"drop"`, `"keep"` or `"move:x-name"`.
pub(super) fn client_authorization(
    setting: &Spanned<String>,
) -> Result<ClientAuthorization, ConfigError> {
    let written = setting.get_ref();
    match &**written {
        "drop" => return Ok(ClientAuthorization::Drop),
        "keep" => return Ok(ClientAuthorization::Keep),
        _ => {}
    }
    let Some(target) = written.strip_prefix("move:") else {
        return Err(setting.error(format!(
            "{written:?} is unknown; write \"drop\", \"keep\" or \"move:x-client-authorization\""
        )));
    };
    let name = HeaderName::try_from(target)
        .map_err(|_| setting.error(format!("{target:?} is not a valid header name")))?;
    let problem = forbidden_target(&name).or_else(|| {
        name.as_str()
            .starts_with("x-amz-")
            .then(|| "is one that AWS reads; choose one such as x-client-authorization".to_owned())
    });
    match problem {
        Some(text) => Err(setting.error(format!("{name} {text}"))),
        None => Ok(ClientAuthorization::Move(name)),
    }
}

fn names(
    list: &[Spanned<String>],
    forbidden: impl Fn(&HeaderName) -> Option<String>,
) -> Result<Vec<HeaderName>, ConfigError> {
    let mut parsed = Vec::new();
    for name in list {
        push_once(&mut parsed, allowed_name(name, &forbidden)?, (), name)?;
    }
    Ok(parsed.into_iter().map(|(name, ())| name).collect())
}

/// Adds a header, unless the list has it in another case.
fn push_once<T>(
    list: &mut Vec<(HeaderName, T)>,
    parsed: HeaderName,
    value: T,
    written: &Spanned<String>,
) -> Result<(), ConfigError> {
    if list.iter().any(|(other, _)| *other == parsed) {
        return Err(written.error(format!("{parsed} is listed twice; remove one of them")));
    }
    list.push((parsed, value));
    Ok(())
}

fn values(
    list: &Values,
    forbidden: impl Fn(&HeaderName) -> Option<String>,
) -> Result<Vec<(HeaderName, HeaderValue)>, ConfigError> {
    let mut parsed = Vec::new();
    for (name, text) in list {
        let header = allowed_name(name, &forbidden)?;
        let value = secret_header(&text.get_ref().0).ok_or_else(|| {
            text.error("this is not a valid header value; remove control characters")
        })?;
        // S3 reads other values as other bytes.
        if !value.as_bytes().is_ascii() {
            return Err(text.error(
                "this header value is not ASCII; encode it (RFC 2047, or percent-encoding)",
            ));
        }
        push_once(&mut parsed, header, value, name)?;
    }
    Ok(parsed)
}

fn allowed_name(
    name: &Spanned<String>,
    forbidden: impl Fn(&HeaderName) -> Option<String>,
) -> Result<HeaderName, ConfigError> {
    let parsed = header_name(name)?;
    match forbidden(&parsed) {
        Some(problem) => Err(name.error(format!("{parsed} {problem}"))),
        None => Ok(parsed),
    }
}

/// Headers of the connection, and of the framing of a body (RFC 9110, section 7.6.1; RFC 9112, section 6).
fn is_of_connection(name: &HeaderName) -> bool {
    matches!(
        name.as_str(),
        "connection"
            | "content-length"
            | "expect"
            | "http2-settings"
            | "keep-alive"
            | "proxy-authenticate"
            | "proxy-authorization"
            | "proxy-connection"
            | "te"
            | "trailer"
            | "transfer-encoding"
            | "upgrade"
    )
}

/// Returns the reason why no header of this name in a request may be changed, with the remedy.
fn forbidden_in_request(name: &HeaderName) -> Option<String> {
    let text = match name.as_str() {
        "authorization" => "is that of the signature; set authorization of the route",
        "host" => "is that of the origin; set signed_host of the origin",
        "x-request-id" => "is set by the gateway; read it in the log",
        "content-encoding" | "x-amz-decoded-content-length" | "x-amz-trailer" => {
            "describes the form of the body; set payload of the origin"
        }
        "x-amz-content-sha256"
        | "x-amz-date"
        | "x-amz-region-set"
        | "x-amz-s3session-token"
        | "x-amz-security-token" => "is set by signing; take it out",
        _ if is_of_connection(name) => "belongs to the connection; take it out",
        _ => return None,
    };
    Some(text.to_owned())
}

/// Returns the reason why no header of this name may be created.
fn forbidden_target(name: &HeaderName) -> Option<String> {
    forbidden_in_request(name)
        .or_else(|| forwarding_remedy(name))
        .or_else(|| {
            name.as_str().contains('_').then(|| {
                "has an underscore, which some servers read as a hyphen; write hyphens".to_owned()
            })
        })
}

/// The gateway writes these itself, and the cache reads them as those of a proxy in front.
fn forwarding_remedy(name: &HeaderName) -> Option<String> {
    let text = name.as_str();
    (text == "forwarded" || text.starts_with("x-forwarded-")).then(|| {
        "is a forwarding header; set forwarded of the origin, or choose another name".to_owned()
    })
}

/// A client could read or change other objects by the value, which callers' rights do not cover.
fn copied_remedy(name: &HeaderName) -> Option<String> {
    let text = name.as_str();
    let is_instruction = text.starts_with("x-amz-") && !text.starts_with("x-amz-meta-");
    is_instruction.then(|| {
        "is an instruction to AWS, which a client would choose; use set with a fixed value"
            .to_owned()
    })
}

/// Returns the reason why no header of this name may be copied.
fn forbidden_source(name: &HeaderName) -> Option<String> {
    if *name == header::AUTHORIZATION {
        return Some(format!(
            "is not copied; set authorization = \"move:x-client-authorization\" of the route to send {name} on"
        ));
    }
    if *name == header::HOST {
        return Some(
            "is not copied; set forwarded of the origin, which sends x-forwarded-host".to_owned(),
        );
    }
    let is_readable = name.as_str() == "x-request-id" || forbidden_in_request(name).is_none();
    (!is_readable).then(|| {
        "belongs to the connection, the body or the client's signature; take it out".to_owned()
    })
}

fn forbidden_in_response(name: &HeaderName) -> Option<String> {
    let text = match name.as_str() {
        "x-request-id" => "is set by the gateway; take it out",
        "date" => "is set by the server; take it out",
        "content-encoding" | "content-range" => "describes the body; take it out",
        other if other.starts_with("access-control-") => "belongs to CORS; set [route.cors]",
        _ if is_of_connection(name) => "belongs to the connection; take it out",
        _ => return None,
    };
    Some(text.to_owned())
}
