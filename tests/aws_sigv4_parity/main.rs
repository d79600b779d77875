//! Comparison with `aws_sigv4::http_request::sign`, stage by stage. The end of the file lists the inputs for which
//! aws-sigv4 is wrong, each with its reason and a test.

#[path = "../common/mod.rs"]
mod common;
mod differences;

use std::{
    fmt,
    io::{self, Write},
    sync::{Arc, Mutex},
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use aws_sigv4::http_request::{
    PayloadChecksumKind, PercentEncodingMode, SessionTokenMode, SignableBody, SignableRequest,
    SignatureLocation, UriPathNormalizationMode, sign,
};
use aws_smithy_runtime_api::client::identity::Identity as SmithyIdentity;
use fastrand::Rng;
use http::{Request, request::Parts};
use percent_encoding::percent_decode_str;
use tower_sigv4::{
    SigningSettings,
    credentials::Credentials,
    sigv4::{
        AllExcept, Explanation, Identity, PathForm, PayloadHash, SessionToken, Signer,
        SigningParams,
    },
};
use tracing::{
    Event, Metadata, Subscriber,
    field::{Field, Visit},
    span,
};

use crate::common::random;

const COMPARED: usize = 20_000;

/// Fewer, since each takes a hundred times as long.
#[cfg(feature = "sigv4a")]
const COMPARED_4A: usize = 500;

const SEED: u64 = 0x5197_0004;

/// Inputs of one signature.
#[derive(Debug)]
struct Case {
    method: &'static str,
    uri: String,
    headers: Vec<(&'static str, String)>,
    body: Vec<u8>,
    form: PathForm,
    secret: String,
    token: Option<String>,
    token_mode: SessionToken,
    payload_header: bool,
    /// Lifetime of a signature in the query in seconds; `None` for one in the header.
    presigned: Option<u64>,
    time: SystemTime,
    /// Region set of SigV4a.
    #[cfg(feature = "sigv4a")]
    regions: Option<&'static str>,
}

impl Default for Case {
    fn default() -> Self {
        Self {
            method: "GET",
            uri: "https://service.us-east-1.amazonaws.com/".to_owned(),
            headers: Vec::new(),
            body: Vec::new(),
            form: PathForm::TwiceFolded,
            secret: "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY".to_owned(),
            token: None,
            token_mode: SessionToken::Signed,
            payload_header: true,
            presigned: None,
            time: UNIX_EPOCH + Duration::from_secs(1_440_938_160),
            #[cfg(feature = "sigv4a")]
            regions: None,
        }
    }
}

/// Results of a signer.
#[derive(Debug, PartialEq)]
struct SignerOutput {
    canonical_request: String,
    signature: String,
    headers: Vec<(String, String)>,
}

#[test]
fn random_requests_match_at_each_stage() {
    compare(COMPARED, random_case);
    writeln!(
        io::stdout(),
        "{COMPARED} random requests compare with aws-sigv4"
    )
    .expect("written");
}

/// Both signers use deterministic nonces (RFC 6979), so that signatures are comparable.
#[cfg(feature = "sigv4a")]
#[test]
fn random_sigv4a_requests_match_at_each_stage() {
    let sets = [
        "us-east-1",
        "us-east-1,us-west-2",
        "*",
        "eu-*",
        "us-*,eu-west-1,ap_x.y",
    ];
    compare(COMPARED_4A, |rng| {
        let mut case = random_case(rng);
        case.regions = Some(sets[rng.usize(..sets.len())]);
        if case.token_mode == SessionToken::S3Session {
            // S3 Express does not support SigV4a, for which aws-sigv4 signs one name and sends the other.
            case.token_mode = SessionToken::Signed;
        }
        case
    });
    writeln!(
        io::stdout(),
        "{COMPARED_4A} random requests of version 4a compare with aws-sigv4"
    )
    .expect("written");
}

fn compare(count: usize, random_case: impl Fn(&mut Rng) -> Case) {
    let mut rng = Rng::with_seed(SEED);
    let signer = Signer::new();
    let mut compared = 0;
    while compared < count {
        let case = random_case(&mut rng);
        let Ok(uri) = case.uri.parse::<http::Uri>() else {
            continue; // not a valid URI
        };
        let query = percent_decode_str(uri.query().unwrap_or_default());
        if query.decode_utf8().is_err() {
            continue; // `non_utf8_queries_are_preserved`
        }
        let sign_with_aws_sigv4 = sign_with_aws_sigv4(&case).expect("aws-sigv4 signs it");
        let (sign_with_this_crate, explanation) = sign_with_this_crate(&signer, &case);
        assert_eq!(sign_with_this_crate, sign_with_aws_sigv4, "{case:#?}");
        let hash = explanation.string_to_sign.rsplit('\n').next();
        let rehashed = PayloadHash::of(&explanation.canonical_request).to_string();
        assert_eq!(
            hash,
            Some(&*rehashed),
            "the string to sign contains the hash: {case:#?}"
        );
        compared += 1;
    }
}

fn parts(case: &Case) -> Parts {
    let mut request = Request::builder().method(case.method).uri(&*case.uri);
    for (name, value) in &case.headers {
        request = request.header(*name, &**value);
    }
    request.body(()).expect("a request").into_parts().0
}

fn settings(case: &Case) -> SigningSettings {
    let settings = SigningSettings::new("service", "us-east-1").expect("valid");
    #[cfg(feature = "sigv4a")]
    let settings = match case.regions {
        None => settings,
        Some(regions) => {
            let regions = tower_sigv4::sigv4::RegionSet::new(regions).expect("valid");
            SigningSettings::multi_region("service", regions).expect("valid")
        }
    };
    settings
        .with_path_form(case.form)
        .with_session_token(case.token_mode)
        .with_payload_header(case.payload_header)
        .with_signed_headers(AllExcept::default())
}

fn sign_with_this_crate(signer: &Signer, case: &Case) -> (SignerOutput, Explanation) {
    let credentials = Credentials::new("AKID", &*case.secret, case.token.clone(), None, "test");
    let identity = Identity::new(credentials).expect("valid");
    let settings = settings(case);
    let params = SigningParams::new(&settings, &identity, PayloadHash::of(&case.body), case.time);
    let mut parts = parts(case);
    let explanation = match case.presigned.map(Duration::from_secs) {
        None => {
            let explanation = signer.explain(&parts, &params).expect("explained");
            signer.sign(&mut parts, &params).expect("signed");
            explanation
        }
        Some(expires) => {
            let explanation = signer.explain_presigned(&parts, &params, expires);
            signer
                .presign(&mut parts, &params, expires)
                .expect("signed");
            explanation.expect("explained")
        }
    };
    let added = [
        "authorization",
        "x-amz-content-sha256",
        "x-amz-date",
        "x-amz-region-set",
        "x-amz-s3session-token",
        "x-amz-security-token",
    ];
    let headers = added
        .iter()
        .filter_map(|name| Some((*name, parts.headers.get(*name)?)))
        .map(|(name, value)| (name.to_owned(), value.to_str().expect("ASCII").to_owned()))
        .collect();
    let canonical = String::from_utf8(explanation.canonical_request.clone()).expect("UTF-8");
    let signed = SignerOutput {
        canonical_request: redact(&canonical),
        signature: explanation.signature.clone(),
        headers,
    };
    (signed, explanation)
}

/// aws-sigv4 redacts the token in the canonical request that it traces, except that of S3 Express.
fn redact(canonical_request: &str) -> String {
    let redacted = canonical_request.split('\n').map(|line| {
        match line.strip_prefix("x-amz-security-token:") {
            Some(token) => {
                format!(
                    "x-amz-security-token:** redacted (length={}) **",
                    token.len()
                )
            }
            None => line.to_owned(),
        }
    });
    redacted.collect::<Vec<_>>().join("\n")
}

fn sign_with_aws_sigv4(case: &Case) -> Result<SignerOutput, String> {
    let mut settings = aws_sigv4::http_request::SigningSettings::default();
    settings.percent_encoding_mode = match case.form {
        PathForm::Once | PathForm::OnceFolded => PercentEncodingMode::Single,
        _ => PercentEncodingMode::Double,
    };
    let folds = matches!(case.form, PathForm::OnceFolded | PathForm::TwiceFolded);
    settings.uri_path_normalization_mode = UriPathNormalizationMode::from(folds);
    settings.session_token_mode = match case.token_mode {
        SessionToken::Unsigned => SessionTokenMode::Exclude,
        _ => SessionTokenMode::Include,
    };
    if case.token_mode == SessionToken::S3Session {
        settings.session_token_name_override = Some(match case.presigned {
            None => "x-amz-s3session-token",
            Some(_) => "X-Amz-S3session-Token",
        });
    }
    if let Some(expires) = case.presigned {
        settings.signature_location = SignatureLocation::QueryParams;
        settings.expires_in = Some(Duration::from_secs(expires));
    }
    settings.payload_checksum_kind = if case.payload_header && case.presigned.is_none() {
        PayloadChecksumKind::XAmzSha256
    } else {
        PayloadChecksumKind::NoHeader
    };
    let credentials = Credentials::new("AKID", &*case.secret, case.token.clone(), None, "test");
    let identity = SmithyIdentity::new(credentials, None);
    let params = aws_sigv4_params(case, &identity, settings);
    let headers = case.headers.iter().map(|(name, value)| (*name, &**value));
    let request = SignableRequest::new(
        case.method,
        &*case.uri,
        headers,
        SignableBody::Bytes(&case.body),
    )
    .map_err(|error| error.to_string())?;
    let trace = Trace::default();
    let output = tracing::subscriber::with_default(trace.clone(), || sign(request, &params))
        .map_err(|error| error.to_string())?;
    let (instructions, signature) = output.into_parts();
    let mut headers: Vec<_> = instructions
        .headers()
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .collect();
    headers.sort();
    let canonical_request = trace.0.lock().expect("not poisoned").clone();
    Ok(SignerOutput {
        canonical_request,
        signature,
        headers,
    })
}

fn aws_sigv4_params<'a>(
    case: &Case,
    identity: &'a SmithyIdentity,
    settings: aws_sigv4::http_request::SigningSettings,
) -> aws_sigv4::http_request::SigningParams<'a> {
    #[cfg(feature = "sigv4a")]
    if let Some(regions) = case.regions {
        return aws_sigv4::sign::v4a::SigningParams::builder()
            .identity(identity)
            .region_set(regions)
            .name("service")
            .time(case.time)
            .settings(settings)
            .build()
            .expect("complete")
            .into();
    }
    common::aws_params(identity, "service", case.time, settings)
}

/// Captures the canonical request from a trace event, since aws-sigv4 has no other API for it.
#[derive(Clone, Default)]
struct Trace(Arc<Mutex<String>>);

impl Subscriber for Trace {
    fn enabled(&self, _: &Metadata<'_>) -> bool {
        true
    }
    fn new_span(&self, _: &span::Attributes<'_>) -> span::Id {
        span::Id::from_u64(1)
    }
    fn record(&self, _: &span::Id, _: &span::Record<'_>) {}
    fn record_follows_from(&self, _: &span::Id, _: &span::Id) {}
    fn event(&self, event: &Event<'_>) {
        event.record(&mut CanonicalRequestVisitor(&self.0));
    }
    fn enter(&self, _: &span::Id) {}
    fn exit(&self, _: &span::Id) {}
}

struct CanonicalRequestVisitor<'a>(&'a Mutex<String>);

impl Visit for CanonicalRequestVisitor<'_> {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        if field.name() == "canonical_request" {
            *self.0.lock().expect("not poisoned") = format!("{value:?}");
        }
    }
}

fn random_case(rng: &mut Rng) -> Case {
    let methods = [
        "GET", "POST", "PUT", "DELETE", "HEAD", "PATCH", "OPTIONS", "PURGE", "m-search",
    ];
    let forms = [
        PathForm::Once,
        PathForm::OnceFolded,
        PathForm::Twice,
        PathForm::TwiceFolded,
    ];
    let form = forms[rng.usize(..forms.len())];
    let token_modes = [
        SessionToken::Signed,
        SessionToken::Unsigned,
        SessionToken::S3Session,
    ];
    Case {
        method: methods[rng.usize(..methods.len())],
        uri: random::uri(rng, form),
        headers: random::headers(rng),
        body: (0..rng.usize(..200)).map(|_| rng.u8(..)).collect(),
        form,
        secret: (0..rng.usize(1..80)).map(|_| rng.alphanumeric()).collect(),
        token: rng
            .bool()
            .then(|| (0..rng.usize(1..600)).map(|_| rng.alphanumeric()).collect()),
        token_mode: token_modes[rng.usize(..3)],
        payload_header: rng.bool(),
        presigned: (rng.u8(..4) == 0).then(|| rng.u64(1..=604_800)),
        time: UNIX_EPOCH + Duration::from_millis(rng.u64(..253_402_300_800_000)),
        #[cfg(feature = "sigv4a")]
        regions: None,
    }
}
