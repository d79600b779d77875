//! Random requests that this crate signs are accepted by its own verifier and by
//! scratchstack-aws-signature, and refused by both with one thing changed. Where the two differ is
//! listed at the end, each with its reason and a test; nothing else is kept from the random requests.

mod judge;

use std::{
    io::{self, Write},
    str::FromStr,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use aws_credential_types::Credentials;
use aws_sigv4::sign::v4::{calculate_signature, generate_signing_key};
use bytes::Bytes;
use fastrand::Rng;
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, Uri, header};
use judge::Judge;
use scratchstack_aws_signature::KSecretKey;
use tower_sigv4::{
    SigningSettings,
    sigv4::{AllExcept, Identity, PathForm, PayloadHash, SessionToken, Signer, SigningParams},
    verify::{PayloadKind, RejectionKind, Verifier, VerifySettings},
};

const COMPARED: usize = 4_000;
const SEED: u64 = 0x5197_0005;
const REGION: &str = "us-east-1";
const ID: &str = "AKIDEXAMPLE";
const SECRET: &str = "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY";

/// Who signs what for which service, and how each verifies it.
struct Case {
    service: &'static str,
    /// `None` for the service's own.
    form: Option<PathForm>,
    credentials: Credentials,
    time: SystemTime,
    now: SystemTime,
    payload_header: bool,
    every_header: bool,
    request: Request<Bytes>,
}

impl Case {
    fn new(service: &'static str, uri: &str) -> Self {
        let time = UNIX_EPOCH + Duration::from_secs(1_440_938_160); // 20150830T123600Z
        let mut request = Request::new(Bytes::new());
        *request.uri_mut() = uri.parse().expect("a URI");
        let host = HeaderValue::from_static("example.com");
        request.headers_mut().insert(header::HOST, host);
        Self {
            service,
            form: None,
            credentials: Credentials::new(ID, SECRET, None, None, "test"),
            time,
            now: time,
            payload_header: true,
            every_header: false,
            request,
        }
    }

    /// The header is signed.
    fn with(mut self, name: &'static str, value: &[u8]) -> Self {
        let value = HeaderValue::from_bytes(value).expect("legal");
        self.request.headers_mut().append(name, value);
        self
    }

    fn headers(&mut self) -> &mut HeaderMap {
        self.request.headers_mut()
    }

    fn signing_settings(&self) -> SigningSettings {
        let settings = SigningSettings::new(self.service, REGION)
            .expect("legal names")
            .with_payload_header(self.payload_header);
        let settings = match self.form {
            Some(form) => settings.with_path_form(form),
            None => settings,
        };
        match self.every_header {
            true => settings.with_signed_headers(AllExcept::default()),
            false => settings,
        }
    }

    fn settings(&self) -> VerifySettings {
        let settings = VerifySettings::new(self.service, REGION).expect("legal names");
        match self.form {
            Some(form) => settings.with_path_form(form),
            None => settings,
        }
    }

    /// Signs it with this crate.
    fn signed(self) -> Self {
        let settings = self.signing_settings();
        self.signed_by(&settings)
    }

    fn signed_by(mut self, settings: &SigningSettings) -> Self {
        let (mut head, body) = self.request.into_parts();
        let identity = Identity::new(self.credentials.clone()).expect("legal credentials");
        let params = SigningParams::new(settings, &identity, PayloadHash::of(&body), self.time);
        Signer::new().sign(&mut head, &params).expect("signed");
        self.request = Request::from_parts(head, body);
        self
    }

    /// Signs a canonical request as it is given, the hash of the body in its end, and names these
    /// headers as signed.
    fn signed_by_hand(self, canonical: &str, names: &str) -> Self {
        let canonical = format!("{canonical}\n{}", PayloadHash::of(self.request.body()));
        self.signed_by_hand_over(&canonical, names)
    }

    /// The same for all of a canonical request.
    fn signed_by_hand_over(mut self, canonical: &str, names: &str) -> Self {
        let hash = PayloadHash::of(canonical.as_bytes());
        let scope = format!("20150830/{REGION}/{}/aws4_request", self.service);
        let text = format!("AWS4-HMAC-SHA256\n20150830T123600Z\n{scope}\n{hash}");
        let secret = self.credentials.secret_access_key();
        let key = generate_signing_key(secret, self.time, REGION, self.service);
        let signature = calculate_signature(key, text.as_bytes());
        let authorization = format!(
            "AWS4-HMAC-SHA256 Credential={ID}/{scope}, SignedHeaders={names}, Signature={signature}"
        );
        let value = HeaderValue::try_from(authorization).expect("legal");
        self.headers().insert(header::AUTHORIZATION, value);
        self
    }

    fn verifier(&self) -> Verifier {
        Verifier::new(self.settings())
    }

    fn judge(&self) -> Judge {
        Judge::new(&self.credentials, REGION, self.service, self.time)
    }

    /// Why this crate refuses it, if it does.
    fn ours(&self) -> Result<(), RejectionKind> {
        self.ours_by(&self.verifier())
    }

    fn ours_by(&self, verifier: &Verifier) -> Result<(), RejectionKind> {
        let (head, body) = self.request.clone().into_parts();
        let verdict = verifier.claim(&head, self.now).and_then(|claim| {
            verifier.verify(claim, &self.credentials, &PayloadHash::of(&body)).map(|_| ())
        });
        verdict.map_err(|rejection| rejection.kind())
    }

    /// What scratchstack says of a refusal, if it does refuse.
    fn theirs(&self) -> Result<(), String> {
        self.theirs_by(&self.judge())
    }

    fn theirs_by(&self, judge: &Judge) -> Result<(), String> {
        let verdict = judge.verify(self.request.clone(), self.now);
        verdict.map(|_| ()).map_err(|error| error.to_string())
    }

    #[track_caller]
    fn both_accept(&self) {
        assert_eq!((self.ours(), self.theirs()), (Ok(()), Ok(())), "{:#?}", self.request);
    }

    #[track_caller]
    fn only_ours_accepts(&self) {
        assert_eq!(self.ours(), Ok(()));
        assert!(self.theirs().is_err());
    }

    #[track_caller]
    fn only_theirs_accepts(&self, kind: RejectionKind) {
        assert_eq!((self.ours(), self.theirs()), (Err(kind), Ok(())));
    }

    #[track_caller]
    fn both_refuse(&self, kind: RejectionKind) {
        assert_eq!(self.ours(), Err(kind));
        assert!(self.theirs().is_err());
    }
}

#[test]
fn random_requests_are_judged_alike() {
    let mut rng = Rng::with_seed(SEED);
    let (mut accepted, mut refused) = (0, 0);
    while accepted < COMPARED {
        let Some(mut case) = random_case(&mut rng) else {
            continue; // no crate can be given it
        };
        case = case.signed();
        let (verifier, judge) = (case.verifier(), case.judge());
        let verdicts = |case: &Case| (case.ours_by(&verifier), case.theirs_by(&judge));
        assert_eq!(verdicts(&case), (Ok(()), Ok(())), "{:#?}", case.request);
        accepted += 1;
        let (request, now) = (case.request.clone(), case.now);
        for change in CHANGES {
            change.make(&mut case, &mut rng);
            let verdicts = verdicts(&case);
            assert!(
                matches!(verdicts, (Err(_), Err(_))),
                "{change:?}: {verdicts:?}, {request:#?} became {:#?}",
                case.request,
            );
            refused += 1;
            (case.request, case.now) = (request.clone(), now);
        }
    }
    writeln!(
        io::stdout(),
        "{accepted} random requests accepted by both, {refused} refused by both"
    )
    .expect("written");
}

fn random_case(rng: &mut Rng) -> Option<Case> {
    let methods = ["GET", "POST", "PUT", "DELETE", "HEAD", "PATCH", "OPTIONS", "PURGE", "m-search"];
    let services = ["execute-api", "s3", "sqs"];
    let mut case = Case::new(services[rng.usize(..services.len())], "/");
    // OnceFolded is scratchstack's form of all but S3.
    case.form = (case.service == "sqs").then_some(PathForm::OnceFolded);
    let origins = ["", "http://example.com", "https://EXAMPLE.com:8443", "https://[::1]"];
    let origin = origins[rng.usize(..origins.len())];
    let uri: Uri =
        format!("{origin}{}{}", random_path(rng, &case), random_query(rng)).parse().ok()?;
    let request = &mut case.request;
    if let Some(authority) = uri.authority() {
        request.headers_mut().remove(header::HOST);
        if rng.bool() {
            let host = HeaderValue::from_str(authority.as_str()).expect("legal");
            request.headers_mut().insert(header::HOST, host);
        }
    }
    *request.uri_mut() = uri;
    *request.method_mut() =
        Method::from_bytes(methods[rng.usize(..methods.len())].as_bytes()).ok()?;
    *request.body_mut() = (0..rng.usize(..200)).map(|_| rng.u8(..)).collect();
    random_headers(rng, request.headers_mut());
    let secret: String = (0..40).map(|_| rng.alphanumeric()).collect();
    let token = rng.bool().then(|| random_text(rng, &["a", "Z", "9", "/", "+", "="], 600) + "T");
    case.credentials = Credentials::new(ID, secret, token, None, "test");
    // 2000 to 2100; scratchstack's clock window is 15 minutes, this crate's 5 but for S3.
    case.time = UNIX_EPOCH + Duration::from_millis(rng.u64(946_684_800_000..4_102_444_800_000));
    case.now = case.time + Duration::from_secs(rng.u64(..600)) - Duration::from_secs(300);
    case.payload_header = case.service == "s3" || rng.bool();
    case.every_header = rng.bool();
    Some(case)
}

fn random_text(rng: &mut Rng, pieces: &[&str], most: usize) -> String {
    (0..rng.usize(..=most)).map(|_| pieces[rng.usize(..pieces.len())]).collect()
}

fn random_path(rng: &mut Rng, case: &Case) -> String {
    let mut pieces = vec![
        "a", "Z", "0", "~", "-", "_", "x.", ":", "@", "!", "$", "&", "'", "(", ")", "*", ",", ";",
        "=", "é", "ሴ", "|", "{", "}", "\"", "[", "]", "^", "\\",
    ];
    let once = case.service == "s3" || case.form.is_some();
    if once {
        pieces.extend(["%3A", "%20", "%C3%A9", "%c3%a9", "%2B", "%25", "%41", "%7e", "%FF", "%26"]);
    }
    if case.form.is_some() {
        pieces.extend(["%2F", "%2f"]);
    }
    let mut path = String::new();
    let segments = rng.usize(1..6);
    for i in 1..=segments {
        path.push('/');
        match rng.u8(..6) {
            0 if case.service == "s3" => path.push_str(["", ".", ".."][rng.usize(..3)]),
            1 => path.push_str("..."),
            2 if i == segments => {} // what ends in a slash
            _ => path.push_str(
                &(pieces[rng.usize(..pieces.len())].to_owned() + &random_text(rng, &pieces, 4)),
            ),
        }
    }
    path
}

/// No key, encoded, is the beginning of another.
fn random_query(rng: &mut Rng) -> String {
    let keys = [
        "a", "bb", "Z~", "%41x", "c%20d", "c+d", "%C3%A9", "%c3%a9", "é", "q/r", "q%2Fr", "q%2fr",
        "x-b", "X_1", "9", "%FF", "(", "*", "%2B", "|", "{",
    ];
    let pieces = [
        "a", "b", "Z", "~", "-", "=", "+", "%20", "%2F", "%2f", "%41", "%7e", "%2B", "%C3%A9",
        "%c3%a9", "%FF", "é", "ሴ", "/", "?", ":", "@", "!", "*", "'", "(", ")", ",", ";", "|", "{",
        "[", "^",
    ];
    if rng.u8(..4) == 0 {
        return String::new();
    }
    let mut query = "?".to_owned();
    for _ in 0..rng.usize(..8) {
        query.push_str(keys[rng.usize(..keys.len())]);
        if rng.u8(..4) > 0 {
            query.push('=');
            query.push_str(&random_text(rng, &pieces, 5));
        }
        query.push_str(if rng.u8(..8) == 0 { "&&" } else { "&" });
    }
    if rng.u8(..8) > 0 && query.ends_with('&') {
        query.truncate(query.len() - 1);
    }
    query
}

fn random_headers(rng: &mut Rng, headers: &mut HeaderMap) {
    let names = [
        "accept",
        "content-type",
        "content-md5",
        "date",
        "x-amz-target",
        "x-amz-meta-a",
        "x-amz-meta-b",
        "user-agent",
        "x-amzn-trace-id",
        "transfer-encoding",
        "my-header",
        "zeta",
        "range",
        "content-length",
        "te",
    ];
    let words: [&[u8]; 10] = [
        b"a",
        b"value",
        b"\"q r\"",
        b"1,2",
        b"  ",
        b" ",
        b"   ",
        b"text/plain;",
        b"\xff\xfe",
        b"\xc3\xa9",
    ];
    for _ in 0..rng.usize(..24) {
        let name = HeaderName::from_static(names[rng.usize(..names.len())]);
        let words = (0..rng.usize(..6)).map(|_| words[rng.usize(..words.len())]);
        let value = words.collect::<Vec<_>>().concat();
        headers.append(name, HeaderValue::from_bytes(&value).expect("legal"));
    }
}

/// One thing to change in a signed request.
#[derive(Clone, Copy, Debug)]
enum Change {
    Method,
    PathByte,
    QueryByte,
    Header,
    HeaderRemoved,
    HeaderRepeated,
    HeaderAdded,
    Signature,
    Body,
    Clock,
}

const CHANGES: [Change; 10] = [
    Change::Method,
    Change::PathByte,
    Change::QueryByte,
    Change::Header,
    Change::HeaderRemoved,
    Change::HeaderRepeated,
    Change::HeaderAdded,
    Change::Signature,
    Change::Body,
    Change::Clock,
];

impl Change {
    fn make(self, case: &mut Case, rng: &mut Rng) {
        match self {
            Self::Method => {
                let other = if *case.request.method() == Method::GET { "POST" } else { "GET" };
                *case.request.method_mut() = other.parse().expect("a method");
            }
            Self::PathByte | Self::QueryByte => {
                let uri = case.request.uri().to_string();
                let (path, query) = uri.split_once('?').unwrap_or((&uri, ""));
                // The path begins behind the authority.
                let start = path.len() - case.request.uri().path().len();
                let (origin, path) = path.split_at(start);
                let changed = match self {
                    Self::PathByte => format!("{origin}{}?{query}", other_byte(path, rng)),
                    _ => format!("{origin}{path}?{}", other_byte(query, rng)),
                };
                *case.request.uri_mut() = changed.parse().expect("a URI");
            }
            Self::Header | Self::HeaderRemoved | Self::HeaderRepeated => {
                let name = signed_header(case, rng);
                let value = case.headers().get_mut(&name).expect("signed and present");
                match self {
                    Self::Header => {
                        let changed = [value.as_bytes(), b"x"].concat();
                        *value = HeaderValue::from_bytes(&changed).expect("legal");
                    }
                    Self::HeaderRemoved => drop(case.headers().remove(name)),
                    _ => drop(case.headers().append(name, HeaderValue::from_static("x"))),
                }
            }
            Self::HeaderAdded => {
                let value = HeaderValue::from_static("x");
                case.headers().insert("x-amz-meta-unsigned", value);
            }
            Self::Signature => {
                let value = case.headers().get_mut(header::AUTHORIZATION).expect("signed");
                let mut bytes = value.as_bytes().to_vec();
                let at = bytes.len() - 1 - rng.usize(..64);
                bytes[at] = if bytes[at] == b'f' { b'0' } else { b'f' };
                *value = HeaderValue::from_bytes(&bytes).expect("legal");
            }
            Self::Body => {
                let mut body = case.request.body().to_vec();
                if body.is_empty() {
                    body.push(b'a');
                } else {
                    let at = rng.usize(..body.len());
                    body[at] ^= 1 << rng.u8(..8);
                }
                *case.request.body_mut() = body.into();
            }
            Self::Clock => {
                let off = Duration::from_secs(rng.u64(902..1_000_000));
                case.now = if rng.bool() { case.time + off } else { case.time - off };
            }
        }
    }
}

/// One letter or digit made another, in whatever case; one more if there is none.
fn other_byte(text: &str, rng: &mut Rng) -> String {
    let places: Vec<usize> = text
        .bytes()
        .enumerate()
        .filter(|(_, byte)| byte.is_ascii_alphanumeric())
        .map(|(at, _)| at)
        .collect();
    if places.is_empty() {
        return format!("{text}x");
    }
    let at = places[rng.usize(..places.len())];
    let others = b"0123456789abcdefxyz"
        .iter()
        .filter(|other| !other.eq_ignore_ascii_case(&text.as_bytes()[at]));
    let others: Vec<u8> = others.copied().collect();
    let mut bytes = text.as_bytes().to_vec();
    bytes[at] = others[rng.usize(..others.len())];
    String::from_utf8(bytes).expect("one ASCII byte for another")
}

fn signed_header(case: &Case, rng: &mut Rng) -> HeaderName {
    let authorization = &case.request.headers()[header::AUTHORIZATION];
    let authorization = authorization.to_str().expect("ASCII");
    let (_, rest) = authorization.split_once("SignedHeaders=").expect("there");
    let names: Vec<_> = rest.split(',').next().expect("one").split(';').collect();
    names[rng.usize(..names.len())].parse().expect("a name")
}

// What follows are the inputs on which scratchstack is wrong. ----------------------------------------

/// The services but S3 encode the path as it stands, its escapes as well (AWS IAM User Guide, "Create a
/// signed AWS API request"). scratchstack decodes it and encodes it once.
#[test]
fn escapes_in_a_path_are_encoded_again() {
    for uri in ["/a%20b", "/a%3Ab", "/a%2Fb", "/%41", "/%C3%A9"] {
        Case::new("execute-api", uri).signed().only_ours_accepts();
    }
}

/// In a path `+` stands for itself. scratchstack takes it for a space there, too.
#[test]
fn a_plus_in_a_path_is_no_space() {
    Case::new("execute-api", "/a+b").signed().only_ours_accepts();
    Case::new("s3", "/a+b").signed().only_ours_accepts();
    Case::new("s3", "/a%20b").signed().both_accept();
    // So that it takes one path for another.
    let mut case = Case::new("s3", "/a%20b").signed();
    *case.request.uri_mut() = Uri::from_static("/a+b");
    case.only_theirs_accepts(RejectionKind::SignatureMismatch);
}

/// Parameters are sorted by name, then by value. scratchstack sorts the texts `name=value`, in which
/// the end of a name is a `=`, greater than digits, `-`, `.` and `%`.
#[test]
fn parameters_are_sorted_by_name() {
    for uri in ["/?a=1&a1=1", "/?a=1&a-=1", "/?a=1&a.=1", "/?a=1&a%20=1", "/?=1&1=1"] {
        Case::new("execute-api", uri).signed().only_ours_accepts();
    }
    Case::new("execute-api", "/?a=1&ab=1&a~=1&a_=1").signed().both_accept();
}

/// A tab is white space as a space is (RFC 9110, section 5.6.3). scratchstack leaves it.
#[test]
fn tabs_are_white_space() {
    for value in [&b"a\tb"[..], b"a \t b", b"\ta", b"a\t"] {
        Case::new("execute-api", "/").with("x-amz-meta-a", value).signed().only_ours_accepts();
    }
}

/// scratchstack takes the credential of a presigned URL apart where it has a `/`, after it has escaped
/// each: it finds one part where it wants five, whatever the credential.
#[test]
fn presigned_urls_are_refused_by_scratchstack() {
    for credential in
        ["AKIDEXAMPLE/20150830/us-east-1/execute-api/aws4_request", "a%2Fb%2Fc%2Fd%2Fe"]
    {
        let uri = format!(
            "/?X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Credential={credential}\
             &X-Amz-Date=20150830T123600Z&X-Amz-Expires=60&X-Amz-SignedHeaders=host\
             &X-Amz-Signature={}",
            "0".repeat(64),
        );
        let refusal = Case::new("execute-api", &uri).theirs().expect_err("refused");
        assert!(refusal.starts_with("Credential must have exactly 5 slash-delimited elements"));
    }
}

/// scratchstack signs the hash of the body received, whatever `x-amz-content-sha256` says, so that
/// nothing can be left unsigned.
#[test]
fn an_unsigned_payload_can_be_allowed() {
    let text = "PUT\n/\n\nhost:example.com\nx-amz-content-sha256:UNSIGNED-PAYLOAD\n\
                x-amz-date:20150830T123600Z\n\nhost;x-amz-content-sha256;x-amz-date";
    let mut case = Case::new("s3", "/")
        .with("x-amz-date", b"20150830T123600Z")
        .with("x-amz-content-sha256", b"UNSIGNED-PAYLOAD");
    *case.request.method_mut() = Method::PUT;
    let names = "host;x-amz-content-sha256;x-amz-date";
    let case = case.signed_by_hand_over(&format!("{text}\nUNSIGNED-PAYLOAD"), names);
    assert_eq!(case.ours(), Err(RejectionKind::PayloadKind));
    let settings = case.settings().add_payload_kind(PayloadKind::Unsigned);
    assert_eq!(case.ours_by(&Verifier::new(settings)), Ok(()));
    assert!(case.theirs().is_err());
}

/// A key of another length than 40 bytes is as good. scratchstack has no type for it.
#[test]
fn a_secret_may_have_any_length() {
    for secret in ["secret".to_owned(), "s".repeat(41)] {
        assert!(KSecretKey::<44>::from_str(&secret).is_err());
        let mut case = Case::new("execute-api", "/");
        case.credentials = Credentials::new(ID, secret, None, None, "test");
        assert_eq!(case.signed().ours(), Ok(()));
    }
}

/// AWS IoT leaves the token unsigned. Where scratchstack demands every `x-amz-*`, it cannot spare one.
#[test]
fn a_token_may_be_left_unsigned_for_aws_iot() {
    let mut case = Case::new("execute-api", "/");
    case.credentials = Credentials::new(ID, SECRET, Some("token".to_owned()), None, "test");
    let signing = case.signing_settings().with_session_token(SessionToken::Unsigned);
    let case = case.signed_by(&signing);
    let settings = case.settings().with_session_token(SessionToken::Unsigned);
    assert_eq!(case.ours_by(&Verifier::new(settings)), Ok(()));
    assert!(case.theirs().is_err());
}

/// A service that encodes twice without folding, scratchstack does not know.
#[test]
fn a_path_may_be_left_unfolded() {
    for uri in ["/a//b", "/a/../b", "/a/./b"] {
        let mut case = Case::new("execute-api", uri);
        case.form = Some(PathForm::Twice);
        case.signed().only_ours_accepts();
    }
}

/// `*` is the path of an `OPTIONS` to the server itself. scratchstack wants a slash first.
#[test]
fn an_asterisk_is_a_path() {
    let mut case = Case::new("execute-api", "*");
    *case.request.method_mut() = Method::OPTIONS;
    case.signed().only_ours_accepts();
}

// What follows are inputs that scratchstack accepts and this crate refuses by intent. ------------------

/// Where a path is decoded, an escaped dot segment has the canonical form of the segment itself.
/// scratchstack takes it as S3 does, and folds it elsewhere, so that it derives another path.
#[test]
fn escaped_dots_are_refused_where_a_path_is_decoded() {
    for uri in ["/a/%2e%2e/b", "/a/%2e/b", "/a/.%2E"] {
        Case::new("s3", uri).signed().only_theirs_accepts(RejectionKind::Target);
        let mut case = Case::new("execute-api", uri);
        case.form = Some(PathForm::OnceFolded);
        case.signed().both_refuse(RejectionKind::Target);
    }
}

/// A router sees another path than the one that was signed.
#[test]
fn a_path_that_folds_is_refused() {
    for uri in ["/a/../b", "/a/./b", "/a//b", "/a/..", "//"] {
        Case::new("execute-api", uri).signed().only_theirs_accepts(RejectionKind::Target);
    }
    // scratchstack takes no path above the root, and leaves out the slash that a dot segment at the end
    // stands for (RFC 3986, section 5.2.4).
    for uri in ["/..", "/../a", "/a/.", "/a/b/.."] {
        Case::new("execute-api", uri).signed().both_refuse(RejectionKind::Target);
    }
}

/// S3 takes a `%2F` for a slash, and a router may not. scratchstack takes it for no slash.
#[test]
fn an_escaped_slash_is_refused_for_s3() {
    Case::new("s3", "/a%2Fb").signed().both_refuse(RejectionKind::Target);
    let empty = PayloadHash::EMPTY;
    let text = format!(
        "GET\n/a%2Fb\n\nhost:example.com\nx-amz-content-sha256:{empty}\n\
         x-amz-date:20150830T123600Z\n\nhost;x-amz-content-sha256;x-amz-date"
    );
    Case::new("s3", "/a%2Fb")
        .with("x-amz-date", b"20150830T123600Z")
        .with("x-amz-content-sha256", empty.to_string().as_bytes())
        .signed_by_hand(&text, "host;x-amz-content-sha256;x-amz-date")
        .only_theirs_accepts(RejectionKind::Target);
}

/// An escape without two digits has no meaning. Both say so; this crate signs it all the same.
#[test]
fn an_escape_that_is_not_whole_is_refused() {
    for uri in ["/%zz", "/a%", "/a%4", "/?a=%zz", "/?a=%", "/?a=%4"] {
        Case::new("execute-api", uri).signed().both_refuse(RejectionKind::Target);
    }
}

/// scratchstack takes the first of two.
#[test]
fn what_is_given_twice_is_refused() {
    for name in ["authorization", "x-amz-content-sha256", "x-amz-date", "x-amz-security-token"] {
        let mut case = Case::new("execute-api", "/");
        case.credentials = Credentials::new(ID, SECRET, Some("token".to_owned()), None, "test");
        let mut case = case.signed();
        case.headers().append(name, HeaderValue::from_static("x"));
        match name {
            "authorization" => case.only_theirs_accepts(RejectionKind::SeveralAuthentications),
            _ => case.both_refuse(RejectionKind::Malformed), // they are signed
        }
    }
    let query = "/?X-Amz-Expires=60";
    Case::new("execute-api", query)
        .signed()
        .only_theirs_accepts(RejectionKind::SeveralAuthentications);
}

/// The canonical request of a plain request.
const PLAIN: &str = "GET\n/\n\nhost:example.com\nx-amz-date:20150830T123600Z\n\nhost;x-amz-date";

fn plain() -> Case {
    Case::new("execute-api", "/").with("x-amz-date", b"20150830T123600Z")
}

/// Elements of the Authorization header in disorder: scratchstack sorts the names, takes the last of
/// two fields, skips what is empty and knows no field as unknown.
#[test]
fn an_authorization_is_read_strictly() {
    plain().signed_by_hand(PLAIN, "host;x-amz-date").both_accept();
    for names in [
        "x-amz-date;host",
        "host, SignedHeaders=host;x-amz-date",
        "host;x-amz-date,",
        "host;x-amz-date, Unknown=1",
    ] {
        plain().signed_by_hand(PLAIN, names).only_theirs_accepts(RejectionKind::Malformed);
    }
    let twice = PLAIN.replace("host;x", "host;host;x");
    plain().signed_by_hand(&twice, "host;host;x-amz-date").both_refuse(RejectionKind::Malformed);
}

/// scratchstack leaves a header that is signed and not present out of the canonical request.
#[test]
fn a_header_signed_and_not_present_is_refused() {
    let text = PLAIN.replace("host;", "host;range;");
    plain()
        .signed_by_hand(&text, "host;range;x-amz-date")
        .only_theirs_accepts(RejectionKind::SignedHeaderMissing);
}

/// HTTP/2 has `:authority` instead of a host, which is no header by the time a request is a `Request`.
#[test]
fn an_authority_signed_as_a_header_is_no_host() {
    let text = PLAIN.replace("host:example.com\n", "").replace("host;", ":authority;");
    plain()
        .signed_by_hand(&text, ":authority;x-amz-date")
        .only_theirs_accepts(RejectionKind::HeaderNotSigned);
}

/// Who routes by the request line's authority sees another host. scratchstack does not look there.
#[test]
fn a_host_other_than_the_request_lines_is_refused() {
    let mut case = Case::new("execute-api", "/").signed();
    *case.request.uri_mut() = Uri::from_static("http://example.org/");
    case.only_theirs_accepts(RejectionKind::Target);
}

/// The time is `x-amz-date`'s, in its one form. scratchstack takes that of `date` if there is none, and
/// knows more forms of ISO 8601.
#[test]
fn the_time_is_that_of_x_amz_date_in_one_form() {
    let text =
        PLAIN.replace("host:example.com\nx-amz-date:", "date:").replace("host;x-amz-date", "");
    let text = text.replace("Z\n\n", "Z\nhost:example.com\n\ndate;host");
    Case::new("execute-api", "/")
        .with("date", b"20150830T123600Z")
        .signed_by_hand(&text, "date;host")
        .only_theirs_accepts(RejectionKind::Date);
    for time in ["2015-08-30T12:36:00Z", "20150830T123600.000Z", "20150830T143600+0200"] {
        let text = PLAIN.replace("20150830T123600Z", time);
        Case::new("execute-api", "/")
            .with("x-amz-date", time.as_bytes())
            .signed_by_hand(&text, "host;x-amz-date")
            .only_theirs_accepts(RejectionKind::Date);
    }
}

/// The window of scratchstack is S3's, 15 minutes, for every service.
#[test]
fn the_clock_window_is_that_of_the_service() {
    for seconds in [301, 900] {
        for (service, verdict) in [("s3", Ok(())), ("execute-api", Err(RejectionKind::Expired))] {
            let mut case = Case::new(service, "/").signed();
            case.now = case.time + Duration::from_secs(seconds);
            assert_eq!((case.ours(), case.theirs()), (verdict, Ok(())));
        }
    }
}

/// What `x-amz-content-sha256` says is what a handler may read. scratchstack does not look at it.
#[test]
fn a_hash_other_than_the_bodys_is_refused() {
    let hash = PayloadHash::of(b"another").to_string();
    for (value, kind) in [
        (&*hash, RejectionKind::SignatureMismatch),
        ("UNSIGNED-PAYLOAD", RejectionKind::PayloadKind),
        ("STREAMING-AWS4-HMAC-SHA256-PAYLOAD", RejectionKind::PayloadKind),
        ("x", RejectionKind::PayloadHash),
    ] {
        let text = format!(
            "GET\n/\n\nhost:example.com\nx-amz-content-sha256:{value}\n\
             x-amz-date:20150830T123600Z\n\nhost;x-amz-content-sha256;x-amz-date"
        );
        plain()
            .with("x-amz-content-sha256", value.as_bytes())
            .signed_by_hand(&text, "host;x-amz-content-sha256;x-amz-date")
            .only_theirs_accepts(kind);
    }
}

/// S3 wants to be told the hash.
#[test]
fn s3_without_a_hash_is_refused() {
    let mut case = Case::new("s3", "/").with("x-amz-date", b"20150830T123600Z");
    case = case.signed_by_hand(PLAIN, "host;x-amz-date");
    case.only_theirs_accepts(RejectionKind::PayloadHash);
}
