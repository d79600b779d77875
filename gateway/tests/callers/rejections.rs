//! Responses to callers that are not allowed, and their traces in metrics and logs.

use crate::{
    client::{Client, Draft, metrics, verify_section},
    origin::ObjectOrigin,
    support::{Gateway, TempFile, gateway_command},
};

const KEY: &str = "AKIDORDERS";

/// Starts a gateway that writes its log to standard error.
fn start(config: &str) -> Gateway {
    let file = TempFile::new(config);
    let mut command = gateway_command();
    command
        .args(["--config", &file.path])
        .stderr(std::process::Stdio::piped());
    Gateway::spawn(&mut command)
}

fn config(origin: &ObjectOrigin) -> String {
    let address = origin.address;
    let names = ["execute-api", "s3", "sts", "ec2"].map(|service| {
        format!(
            "[[origin]]\nname = {service:?}\nurl = \"http://{address}\"\nservice = {service:?}\nregion = \"r\"\n\
             [[route]]\nname = {service:?}\npath = \"/{service}\"\norigin = {service:?}\ncache = true\n"
        )
    });
    format!(
        "[log]\naccess = true\n[server]\nlisten = \"127.0.0.1:0\"\n[admin]\nlisten = \"127.0.0.1:0\"\n\
         [credentials]\nsource = \"static\"\naccess_key_id = \"AKID\"\nsecret_access_key = \"secret\"\n\
         {}[[route]]\npath = \"/unnamed\"\norigin = \"s3\"\n\
         [[route]]\nname = \"free\"\npath = \"/free\"\norigin = \"s3\"\n\
         [[caller]]\nmatch = {{ any = true }}\nallow = \"free\"\n\
         [verify]\nregion = \"us-east-1\"\nservice = [\"s3\", \"execute-api\", \"sts\", \"ec2\"]\n{}",
        names.concat(),
        verify_section("s3", &[KEY])
            .split_once("[[verify.key]]")
            .map_or(String::new(), |(_, keys)| format!("[[verify.key]]{keys}")),
    )
}

#[tokio::test]
async fn rejections_have_the_format_of_the_client_and_are_counted() {
    let origin = ObjectOrigin::start().await;
    let gateway = start(&config(&origin));
    let mut client = Client::new(gateway.address);
    let message = |route: &str| format!("caller {KEY} is not allowed to GET on route \"{route}\"");
    for (service, code) in [
        ("s3", "<Code>AccessDenied</Code>"),
        ("sts", "<Code>AccessDenied</Code>"),
        ("ec2", "<Code>UnauthorizedOperation</Code>"),
        ("execute-api", "\"__type\":\"AccessDeniedException\""),
    ] {
        let draft = Draft::new("GET", &format!("/{service}/x"));
        let bytes = draft.signed(KEY, service).expect("a request");
        let response = client.exchange(&bytes, false).await.expect("a response");
        assert_eq!(response.status, 403, "{service}");
        assert!(response.body.contains(code), "{service}: {}", response.body);
        let body = response.body.replace("&quot;", "\"").replace("\\\"", "\"");
        assert!(body.contains(&message(service)), "{service}: {body}");
        assert!(!body.contains("free"), "{service}: {body}");
    }
    let unnamed = client.send(KEY, &Draft::new("GET", "/unnamed/x")).await;
    assert!(
        unnamed.body.contains("is not allowed to GET on this route"),
        "{}",
        unnamed.body
    );
    assert_eq!(
        client
            .send(KEY, &Draft::new("GET", "/free/b/k"))
            .await
            .status,
        200
    );
    assert_eq!(origin.take().len(), 1);

    let metrics = metrics(&gateway).await;
    for line in [
        "sigv4_gateway_verify_rejections_total{kind=\"not-allowed\",mechanism=\"sigv4\",origin=\"s3\",route=\"s3\"} 1",
        "sigv4_gateway_verify_rejections_total{kind=\"not-allowed\",mechanism=\"sigv4\",origin=\"s3\",route=\"/unnamed\"} 1",
    ] {
        assert!(metrics.contains(line), "{line} missing in {metrics}");
    }
    // The cache was not asked.
    let lookups = metrics
        .lines()
        .filter(|line| line.starts_with("sigv4_gateway_cache_requests_total"));
    assert!(lookups.clone().count() > 0);
    assert!(
        lookups.clone().all(|line| line.ends_with(" 0")),
        "{metrics}"
    );

    let log = gateway.stop_and_read_log();
    let line = log
        .lines()
        .find(|line| line.contains("not-allowed") && line.contains("/s3/x"));
    assert!(line.is_some_and(|line| line.contains(KEY)), "{log}");
}

#[tokio::test]
async fn requests_rejected_after_verification_have_a_reason_in_log_and_metrics() {
    let origin = ObjectOrigin::start().await;
    let config = config(&origin)
        .replace("access = true\n", "access = true\nformat = \"json\"\n")
        .replace("allow = \"free\"\n", "allow = \"free\"\nrate = \"2/h\"\n");
    let gateway = start(&config);
    let mut client = Client::new(gateway.address);
    let upload = Draft::new("PUT", "/free/b/k").body("signed");
    let sent = upload.signed(KEY, "s3").expect("a request");
    let changed = String::from_utf8(sent)
        .expect("ASCII")
        .replace("signed", "forged");
    for (request, status, text) in [
        (
            Draft::new("GET", "/free/b/k").signed(KEY, "execute-api"),
            403,
            "the request was signed for service",
        ),
        (
            Some(changed.into_bytes()),
            400,
            "the request's body is not the one that was signed",
        ),
        (
            Draft::new("GET", "/free/b/k").signed(KEY, "s3"),
            429,
            "too many requests of this caller",
        ),
    ] {
        let bytes = request.expect("a request");
        let response = client.exchange(&bytes, false).await.expect("a response");
        let body = response.body.replace("&apos;", "'");
        assert_eq!(response.status, status, "{body}");
        assert!(body.contains(text), "{body}");
    }
    let metrics = metrics(&gateway).await;
    for kind in ["scope", "payload-mismatch"] {
        let line = format!(
            "sigv4_gateway_verify_rejections_total{{kind=\"{kind}\",mechanism=\"sigv4\",origin=\"s3\",route=\"free\"}} 1"
        );
        assert!(metrics.contains(&line), "{line} missing in {metrics}");
    }
    assert!(!metrics.contains("rate-limit"), "{metrics}");
    let log = gateway.stop_and_read_log();
    for kind in ["scope", "payload-mismatch", "rate-limit"] {
        let reason = format!("\"rejection\":\"{kind}\"");
        let line = log.lines().find(|line| line.contains(&reason));
        assert!(line.is_some_and(|line| line.contains(KEY)), "{kind}: {log}");
    }
}
