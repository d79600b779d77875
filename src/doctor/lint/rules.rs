//! Rules of the lint.

use http::{
    HeaderName, Method, Request,
    header::CONTENT_LENGTH,
    uri::{Authority, Scheme},
};

use super::{Finding, HttpClient, LintRule};
use crate::{
    ErrorKind, Origin, SigningSettings,
    origin::Sending,
    sigv4::{
        Payload, SessionToken,
        infer::{AwsHost, InferError, accepts_unsigned_payload},
        service_rules::service_rules,
    },
};

/// Returns the findings of all rules. Equal findings for several methods are one; uploads, for which policies make
/// exceptions, come last.
pub(super) fn all(origin: &Origin, client: &HttpClient) -> Vec<Finding> {
    let settings = &origin.options().settings;
    let methods = [Method::GET, Method::POST, Method::PUT];
    let mut payload: Vec<_> = methods.map(|method| payload(origin, method)).into();
    payload.dedup();
    let others = [
        (LintRule::Http2Host, http2(origin, client)),
        (LintRule::PlainHttp, plain_http(origin)),
        (LintRule::DefaultPort, default_port(origin)),
        (LintRule::Redirects, redirects(client)),
        (LintRule::Retries, retries(settings, client)),
        (LintRule::UnsignedHost, unsigned_host(origin)),
        (LintRule::Scope, scope(origin)),
        (LintRule::SessionToken, session_token(settings)),
        (LintRule::PayloadHeader, payload_header(origin)),
        (LintRule::PathForm, path_form(settings)),
        (LintRule::SignedHeaders, signed_headers(settings)),
    ];
    others
        .into_iter()
        .filter_map(|(rule, problem)| Some((rule, problem?)))
        .chain(payload.into_iter().flatten())
        .map(|(rule, message)| Finding { rule, message })
        .collect()
}

fn http2(origin: &Origin, client: &HttpClient) -> Option<String> {
    let (signed, connected) = (origin.host(), origin.authority());
    (client.http2 && signed != connected.as_str()).then(|| {
        format!(
            "signed host {signed:?} is not {:?}, the host of the URL, but HTTP/2 sends only the latter, so \
             the origin receives a host that was not signed; use only HTTP/1.1 in the client",
            connected.as_str(),
        )
    })
}

fn plain_http(origin: &Origin) -> Option<String> {
    let host = origin.authority().host();
    let is_aws = !matches!(
        AwsHost::parse(&host.to_ascii_lowercase()),
        Err(InferError::NotAws)
    );
    (is_aws && *origin.scheme() == Scheme::HTTP).then(|| {
        format!(
            "plain http to {host:?}, a host of AWS, lets an observer read the session token and send the \
             request again; start the URL with \"https://\""
        )
    })
}

fn default_port(origin: &Origin) -> Option<String> {
    let signed = authority(origin)?;
    let port = signed.port_u16().filter(|port| [80, 443].contains(port))?;
    // The URL's port is known only if it is not the default of the scheme.
    (origin.authority().port_u16() != Some(port)).then(|| {
        format!(
            "signed host {:?} has a default port, which clients and servers omit, so the origin derives \
             the signature for {:?}; remove the port",
            signed.as_str(),
            signed.host(),
        )
    })
}

fn redirects(client: &HttpClient) -> Option<String> {
    client.redirects.then(|| {
        "the HTTP client follows redirects, and sends the signature, which is invalid there, and the \
         session token to another host; disable redirects, in reqwest with redirect::Policy::none()"
            .to_owned()
    })
}

fn retries(settings: &SigningSettings, client: &HttpClient) -> Option<String> {
    client.retries.then(|| {
        format!(
            "the HTTP client retries with the date and the signature of the first attempt, which {:?} \
             rejects after {} minutes; put the retry layer outside of the signing layer",
            settings.service(),
            service_rules(settings.service()).clock_window.as_secs() / 60,
        )
    })
}

fn unsigned_host(origin: &Origin) -> Option<String> {
    let host = signed_name(origin)?;
    match AwsHost::parse(&host) {
        Err(InferError::NotSigned(reason)) => Some(format!("host {host:?} {reason}")),
        _ => None,
    }
}

fn scope(origin: &Origin) -> Option<String> {
    let settings = &origin.options().settings;
    let (service, region) = (settings.service(), settings.region());
    let host = signed_name(origin)?;
    let expected = match AwsHost::parse(&host) {
        Ok(AwsHost::Regional(name, at)) if name != service || !is_valid_at(settings, &host, at) => {
            format!("{name:?} in {at:?}")
        }
        Ok(AwsHost::MultiRegion(name)) if name != service || settings.region_set().is_none() => {
            format!(
                "{name:?} in several regions (`SigningSettings::multi_region`, feature `sigv4a`)"
            )
        }
        Err(InferError::MultipleServices(names))
            if names.split(" or ").all(|name| name != service) =>
        {
            names.to_owned()
        }
        Err(InferError::UnknownRegion(name)) if name != service => format!("{name:?}"),
        _ => return None,
    };
    Some(format!(
        "requests are signed for {service:?} in {region:?}, but host {host:?} expects {expected}, so it \
         rejects their scope; sign for the scope of the host"
    ))
}

/// Returns `true` if the settings cover the region of the host.
fn is_valid_at(settings: &SigningSettings, host: &str, region: &str) -> bool {
    // A host of S3 without a region serves buckets of all regions, and each needs a signature for its own.
    let global = settings.service() == "s3"
        && host
            .split('.')
            .all(|label| label.strip_prefix("s3-").unwrap_or(label) != region);
    global || settings.covers(region)
}

fn session_token(settings: &SigningSettings) -> Option<String> {
    let (service, signed) = (settings.service(), settings.session_token());
    let message = match (service_rules(service).session_token, signed) {
        (SessionToken::Signed | SessionToken::S3Session, SessionToken::Unsigned) => format!(
            "the session token is added after signing, but service {service:?} accepts only a signed one; \
             remove `SigningSettings::with_session_token`"
        ),
        (SessionToken::Unsigned, SessionToken::Signed) => format!(
            "the session token is signed, but service {service:?} derives the signature without it; remove \
             `SigningSettings::with_session_token`"
        ),
        (SessionToken::Signed | SessionToken::Unsigned, SessionToken::S3Session) => format!(
            "the session token is sent in x-amz-s3session-token, but service {service:?} has no sessions of S3 \
             Express; remove `SigningSettings::with_session_token`"
        ),
        _ => return None,
    };
    Some(message)
}

fn payload_header(origin: &Origin) -> Option<String> {
    let options = origin.options();
    let service = options.settings.service();
    let missing = !options.settings.payload_header() && options.presigned.is_none();
    (missing && service_rules(service).requires_payload_header).then(|| {
        format!(
            "x-amz-content-sha256 is not sent, but service {service:?} rejects requests without it; remove \
             `SigningSettings::with_payload_header`"
        )
    })
}

fn path_form(settings: &SigningSettings) -> Option<String> {
    let service = settings.service();
    (settings.path_form() != service_rules(service).path_form).then(|| {
        format!(
            "the path form is not that of service {service:?}, so it rejects paths with escapes, \"//\" or dot \
             segments; remove `SigningSettings::with_path_form`"
        )
    })
}

fn signed_headers(settings: &SigningSettings) -> Option<String> {
    // The most dangerous header to leave unsigned.
    const X_AMZ_COPY_SOURCE: HeaderName = HeaderName::from_static("x-amz-copy-source");
    let (service, policy) = (settings.service(), settings.signed_headers());
    let rules = service_rules(service);
    let message = if rules.rejects_signed_length && policy.is_signed(&CONTENT_LENGTH) {
        format!(
            "content-length is signed, but service {service:?} derives the signature without it; leave it \
             unsigned by `SigningSettings::with_signed_headers`"
        )
    } else if rules.s3_family && !policy.is_signed(&X_AMZ_COPY_SOURCE) {
        format!(
            "{X_AMZ_COPY_SOURCE} is not signed, but service {service:?} rejects requests with an unsigned \
             x-amz-*; sign all of them by `SigningSettings::with_signed_headers`"
        )
    } else {
        return None;
    };
    Some(message)
}

fn payload(origin: &Origin, method: Method) -> Option<(LintRule, String)> {
    let options = origin.options();
    let service = options.settings.service();
    let mut head = Request::new(()).into_parts().0;
    head.method = method;
    let sending = origin.body_plan(&head).map(|plan| plan.sending);
    let (rule, message) = match sending {
        Err(error) if error.kind() == ErrorKind::Config => {
            (LintRule::PayloadMode, error.to_string())
        }
        Ok(Sending::Stream(Payload::Unsigned)) if !accepts_unsigned_payload(service) => (
            LintRule::UnsignedPayload,
            format!(
                "the payload is UNSIGNED-PAYLOAD, but service {service:?} derives the signature from the \
                 hash of what it receives; choose `PayloadMode::Buffer`, or `PayloadMode::Spool` for large bodies"
            ),
        ),
        Ok(Sending::Collect { signed: None, .. } | Sending::Large(..))
            if service_rules(service).requires_unsigned_payload =>
        {
            (
                LintRule::HashedPayload,
                format!(
                    "the payload is hashed, but service {service:?} accepts only UNSIGNED-PAYLOAD; choose \
                 `PayloadMode::Unsigned`"
                ),
            )
        }
        _ => return None,
    };
    Some((rule, message))
}

/// Returns the signed host in lower case, without its port.
fn signed_name(origin: &Origin) -> Option<String> {
    let signed = authority(origin)?;
    Some(signed.host().trim_end_matches('.').to_ascii_lowercase())
}

/// Returns the signed host.
fn authority(origin: &Origin) -> Option<Authority> {
    Authority::try_from(origin.host()).ok()
}
