//! Why a saved answer refused a signature, for `--explain` and for the workbench of the status page.

mod curl;
mod exchange;

use std::{fmt, time::Duration};

use http::{HeaderMap, StatusCode};
use serde_json::{Value, json};
use similar::{ChangeTag, TextDiff};
use tower_sigv4::doctor::{Diagnosis, Rejection, SignedRequest, diagnose};

use self::exchange::Exchange;

/// How much of an answer's body is read: what it says stands at its beginning.
const LONGEST_ANSWER: usize = 64 * 1024;
/// How long lines are compared, before the rest counts as changed.
const PATIENCE: Duration = Duration::from_millis(200);

/// What is the matter with an exchange: of what curl has printed, `curl -v ... 2>&1` or `curl -i ...`, of the body of
/// an answer alone, or of a request, raw or as a curl command, with the answer behind it, or without.
pub(crate) struct Explained {
    /// There if there was an answer.
    diagnosis: Option<Diagnosis>,
    note: Option<String>,
    signed: Option<Texts>,
    derived: Option<Texts>,
}

/// What a signature is made from, session tokens blotted out.
struct Texts {
    canonical_request: String,
    string_to_sign: Option<String>,
}

impl Explained {
    pub(crate) fn read(saved: &str) -> Result<Self, String> {
        let exchange = Exchange::read(saved)?;
        let sent = exchange
            .request
            .as_ref()
            .map(|(head, payload)| SignedRequest::from_parts(head, *payload));
        let read = sent.as_ref().and_then(|sent| sent.as_ref().ok());
        let signed = read.map(|sent| Texts {
            canonical_request: sent.canonical_request(),
            string_to_sign: sent.string_to_sign().map(str::to_owned),
        });
        let answered = exchange.answer.is_some() || !exchange.body.trim().is_empty();
        if let Some(sent) = sent.as_ref().filter(|_| !answered) {
            sent.as_ref().map_err(ToString::to_string)?;
            let note =
                "There is no answer, so this is what was signed, as the request's head says it.";
            return Ok(Self {
                diagnosis: None,
                note: Some(note.to_owned()),
                signed,
                derived: None,
            });
        }
        let (status, headers) = exchange
            .answer
            .unwrap_or((StatusCode::FORBIDDEN, HeaderMap::new()));
        let body = exchange.body.as_bytes();
        let refusal =
            Rejection::from_response(status, &headers, &body[..body.len().min(LONGEST_ANSWER)]);
        let diagnosis = diagnose(&refusal, read).ok_or_else(|| {
            format!(
                "the answer, of status {status}, does not speak of a signature; give what curl -v prints, or a \
                 request and the answer to it"
            )
        })?;
        let note = match sent {
            None => Some(
                "From the answer alone; of an exchange that curl -v has printed (curl -v ... >FILE 2>&1) more can \
                 be told."
                    .to_owned(),
            ),
            Some(Err(error)) => Some(format!("From the answer alone, since {error}.")),
            Some(Ok(_)) => None,
        };
        let derived = refusal.canonical_request().map(|canonical_request| Texts {
            canonical_request,
            string_to_sign: refusal.string_to_sign().map(str::to_owned),
        });
        Ok(Self {
            diagnosis: Some(diagnosis),
            note,
            signed,
            derived,
        })
    }

    pub(crate) fn json(&self) -> Value {
        let texts = |texts: &Texts| {
            json!({
                "canonical_request": texts.canonical_request,
                "string_to_sign": texts.string_to_sign,
            })
        };
        let diagnosis = self.diagnosis.as_ref().map(|diagnosis| {
            json!({
                "cause": diagnosis.cause().name(),
                "sentence": diagnosis.summary(),
                "remedy": diagnosis.remedy(),
            })
        });
        json!({
            "diagnosis": diagnosis,
            "note": self.note,
            "signed": self.signed.as_ref().map(texts),
            "derived": self.derived.as_ref().map(texts),
            "lines": self.lines(),
        })
    }

    /// The two canonical requests line by line, each line with what it is: `same`, `signed` or `derived`.
    fn lines(&self) -> Option<Vec<(&'static str, String)>> {
        let (signed, derived) = self.signed.as_ref().zip(self.derived.as_ref())?;
        let [signed, derived] = [signed, derived].map(|it| it.canonical_request.as_str());
        let (signed, derived): (Vec<_>, Vec<_>) =
            (signed.lines().collect(), derived.lines().collect());
        let compared = TextDiff::configure()
            .timeout(PATIENCE)
            .diff_slices(&signed, &derived);
        let line = |change: similar::Change<&str>| {
            let tag = match change.tag() {
                ChangeTag::Equal => "same",
                ChangeTag::Delete => "signed",
                ChangeTag::Insert => "derived",
            };
            (tag, change.value().to_owned())
        };
        Some(compared.iter_all_changes().map(line).collect())
    }
}

impl fmt::Display for Explained {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(diagnosis) = &self.diagnosis {
            let (cause, sentence, remedy) =
                (diagnosis.cause(), diagnosis.summary(), diagnosis.remedy());
            write!(f, "cause  {cause}\nwhy    {sentence}\nremedy {remedy}\n")?;
            if let Some(note) = &self.note {
                writeln!(f, "\n{note}")?;
            }
            for difference in diagnosis.differences() {
                let (part, signed) = (&difference.part, &difference.signed);
                write!(
                    f,
                    "\n{part}\n  signed   {signed}\n  derived  {}\n",
                    difference.derived
                )?;
            }
        } else if let (Some(note), Some(signed)) = (&self.note, &self.signed) {
            writeln!(
                f,
                "{note}\n\nCanonical request\n{}",
                signed.canonical_request
            )?;
            if let Some(string_to_sign) = &signed.string_to_sign {
                writeln!(f, "\nString to sign\n{string_to_sign}")?;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use tower_sigv4::sigv4::PayloadHash;

    use super::*;

    fn explain(saved: &str) -> Result<String, String> {
        Explained::read(saved).map(|explained| explained.to_string())
    }

    const BODY: &str = r#"{"message":"The request signature we calculated does not match the signature you provided.\n\nThe Canonical String for this request should have been\n'GET\n/orders\n\nhost:api.example.com\nx-amz-date:20150830T123600Z\n\nhost;x-amz-date\ne3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855'"}"#;
    const VERBOSE: &str = "* Connected to h\n> GET /other HTTP/1.1\n> Host: h\n> \n< HTTP/1.1 302 Found\r\n< \r\n\
        * Issue another request\n> GET /orders HTTP/2\r\n> Host: h.example.com\r\n> X-Amz-Date: 20150830T123600Z\r\n\
        > Authorization: AWS4-HMAC-SHA256 Credential=AKID/20150830/us-east-1/execute-api/aws4_request, \
        SignedHeaders=host;x-amz-date, \
        Signature=5fa00fa31553b73ebf1942676e86291e8372ff2a2260956d9b8aae1d763fbf31\r\n>\r\n\
        * Request completely sent off\n< HTTP/2 403 \r\n< x-amzn-errortype: InvalidSignatureException\r\n<\r\n\
        { [5 bytes data]\n";

    #[test]
    fn exchanges_are_read_as_curl_prints_them() {
        let progress = "  % Total    % Received\r  0     0\r100   10\r";
        let verbose =
            format!("{progress}\n{VERBOSE}{progress}{BODY}\n* Connection #0 left intact\n");
        let told = explain(&verbose).expect("explained");
        assert!(
            told.starts_with("cause  host-changed\nwhy    the host was changed"),
            "{told}"
        );
        assert!(
            told.contains("\nhost\n  signed   \"h.example.com\"\n  derived  \"api.example.com\"\n")
        );
        assert!(!told.contains("answer alone"), "{told}");

        let head =
            "HTTP/1.1 100 Continue\r\n\r\nHTTP/2 403 \r\ncontent-type: application/json\r\n\r\n";
        for saved in [
            BODY.to_owned(),
            head.to_owned() + BODY,
            head.replace('\r', "") + BODY,
        ] {
            let told = explain(&saved).expect("explained");
            assert!(told.starts_with("cause  mismatch\n"), "{told}");
            assert!(told.contains("for host \"api.example.com\""), "{told}");
            assert!(told.contains("curl -v"), "{told}");
        }
        let head = "HTTP/1.1 400 Bad Request\nx-amzn-errortype: ExpiredTokenException\n";
        assert!(
            explain(head)
                .expect("explained")
                .starts_with("cause  token-expired\n")
        );
    }

    /// Signed for this day, for no one, with a token and a body.
    const HEAD: &str = "host: h.example.com\r\nx-amz-date: 20150830T123600Z\r\nx-amz-security-token: T0KEN\r\n\
        authorization: AWS4-HMAC-SHA256 Credential=AKID/20150830/us-east-1/execute-api/aws4_request, \
        SignedHeaders=host;x-amz-date;x-amz-security-token, \
        Signature=5fa00fa31553b73ebf1942676e86291e8372ff2a2260956d9b8aae1d763fbf31\r\n";

    /// The same request raw and as a command, each with the answer behind it.
    fn requests(answer: &str) -> [String; 4] {
        let raw = format!("POST /orders?a=1 HTTP/1.1\r\n{HEAD}content-length: 4\r\n\r\n{{\n}}\n");
        let fields: String = HEAD
            .lines()
            .map(|line| format!(" \\\n -H '{line}'"))
            .collect();
        let command =
            format!("curl https://h.example.com/orders?a=1{fields} --data-binary '{{\n}}\n'");
        [
            format!("{raw}{answer}"),
            raw.replace('\r', "") + "\n\n" + answer,
            format!("{command}\n{answer}"),
            format!("$ {command}\n\n{answer}"),
        ]
    }

    #[test]
    fn a_request_and_its_answer_are_held_against_each_other() {
        let head = "HTTP/1.1 403 Forbidden\r\ncontent-type: application/json\r\n\r\n";
        for saved in requests(BODY)
            .into_iter()
            .chain(requests(&(head.to_owned() + BODY)))
        {
            let explained = Explained::read(&saved).expect("explained");
            let json = explained.json();
            assert_eq!(json["note"], Value::Null, "{saved}");
            let signed = json["signed"]["canonical_request"]
                .as_str()
                .expect("a text");
            let hash = PayloadHash::of(b"{\n}\n").to_string();
            assert!(
                signed.starts_with("POST\n/orders\na=1\nhost:h.example.com\n"),
                "{signed}"
            );
            assert!(
                signed.contains("x-amz-security-token:[redacted]\n"),
                "{signed}"
            );
            assert!(signed.ends_with(&hash), "{signed}");
            let to_sign = json["signed"]["string_to_sign"].as_str().expect("a text");
            assert!(
                to_sign.starts_with("AWS4-HMAC-SHA256\n20150830T123600Z\n"),
                "{to_sign}"
            );
            let lines = json["lines"].as_array().expect("a list");
            for line in [("signed", "POST"), ("derived", "GET"), ("same", "/orders")] {
                assert!(lines.contains(&json!(line)), "{line:?} in {lines:?}");
            }
            let all = json.to_string() + &explained.to_string();
            assert!(!all.contains("T0KEN") && !all.contains("5fa00fa3"), "{all}");
        }
    }

    #[test]
    fn without_an_answer_it_is_told_what_was_signed() {
        for saved in requests("") {
            let told = explain(&saved).expect("explained");
            assert!(told.contains("There is no answer"), "{told}");
            assert!(
                told.contains("\nPOST\n/orders\na=1\nhost:h.example.com\n"),
                "{told}"
            );
            assert!(
                told.contains("\nString to sign\nAWS4-HMAC-SHA256\n"),
                "{told}"
            );
            assert!(!told.contains("T0KEN"), "{told}");
        }
        let error = explain("curl http://h/").expect_err("no signature");
        assert!(error.contains("carries no signature"), "{error}");
    }

    #[test]
    fn what_the_origin_derived_shows_no_token_either() {
        let body = BODY.replace("x-amz-date:", "x-amz-security-token:T0KEN\\nx-amz-date:");
        for saved in requests(&body) {
            let json = Explained::read(&saved).expect("explained").json();
            let derived = json["derived"]["canonical_request"]
                .as_str()
                .expect("a text");
            assert!(
                derived.contains("x-amz-security-token:[redacted]\n"),
                "{derived}"
            );
            assert!(!json.to_string().contains("T0KEN"), "{json}");
        }
    }

    #[test]
    fn a_request_without_a_signature_is_named() {
        let unsigned = "> GET / HTTP/1.1\n> Host: h\n>\n< HTTP/1.1 403 Forbidden\n<\n\
            {\"message\":\"Missing Authentication Token\"}\n";
        let told = explain(unsigned).expect("explained");
        assert!(told.contains("cause  not-signed\n"), "{told}");
        assert!(
            told.contains("since the request carries no signature"),
            "{told}"
        );
    }

    #[test]
    fn what_cannot_be_read_is_an_error() {
        for (saved, told) in [
            ("", "of status 403 Forbidden, does not speak of a signature"),
            (
                "HTTP/1.1 200 OK\r\n\r\nfine",
                "of status 200 OK, does not speak",
            ),
            ("HTTP/1.1 nothing\r\n\r\n", "the answer's head"),
            (
                "> GET / HTTP/1.1\n> a b\n>\n< HTTP/1.1 403 x\n<\n{}",
                "the request's head",
            ),
            (
                "> GET {} HTTP/1.1\n>\n< HTTP/1.1 403 x\n<\n{}",
                "the request's head",
            ),
            ("HTTP/", "the answer's head"),
            ("HTTP/1.1 403", "of status 403 Forbidden, does not speak"),
        ] {
            let error = explain(saved).expect_err(saved);
            assert!(error.contains(told), "{saved}: {error}");
        }
    }
}
