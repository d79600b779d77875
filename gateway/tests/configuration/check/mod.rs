//! Errors and warnings of configurations.

mod cache;
mod callers;
mod headers;
mod hidden_routes;
mod mistakes;
mod routing;
mod server;
mod verify;

use crate::support::{Gateway, TempFile, gateway_command};

const VALID: &str = r#"[server]
listen = "127.0.0.1:0"
[credentials]
source = "static"
access_key_id = "AKID"
secret_access_key = "hunter2"
[[origin]]
name = "orders"
url = "https://abc123.execute-api.us-east-1.amazonaws.com/prod"
service = "execute-api"
region = "us-east-1"
signing = "no-override"
body_limit = "1MiB"
[[route]]
path = "/orders"
methods = ["GET"]
origin = "orders"
"#;

/// Returns the exit code and the output of `--check`.
fn check(config: &str) -> (Option<i32>, String) {
    let file = TempFile::new(config);
    let output = gateway_command()
        .args(["--config", &file.path, "--check"])
        .output()
        .expect("output");
    let text = [output.stdout, output.stderr].concat();
    let text = String::from_utf8(text).expect("UTF-8");
    (output.status.code(), text.replace(&file.path, "FILE"))
}

#[test]
fn valid_file_passes_check() {
    let (code, text) = check(VALID);
    assert_eq!(
        (code, &*text),
        (Some(0), "FILE: 1 origin(s), 1 route(s), no errors\n")
    );
    let (code, text) = check(
        "[[route]]\npath = \"/\"\norigin = \"a\"\n[[origin]]\nname = \"a\"\n\
        url = \"http://[::1]:1/\"\nservice = \"s3\"\nregion = \"r\"\n",
    );
    assert_eq!(code, Some(0), "{text}");
}

#[test]
fn service_and_region_are_inferred_for_aws_hosts() {
    let scope = "service = \"execute-api\"\nregion = \"us-east-1\"\n";
    assert!(VALID.contains(scope));
    let inferred = VALID.replace(scope, "");
    let url = inferred
        .lines()
        .find_map(|line| line.strip_prefix("url = \""))
        .expect("a url");
    let host = url
        .trim_start_matches("https://")
        .split('/')
        .next()
        .expect("a host");
    let check_host = |other: &str| check(&inferred.replace(host, other));
    assert_eq!(
        check_host("abc123.execute-api.eu-west-1.amazonaws.com").0,
        Some(0)
    );
    let (code, text) = check_host("api.example.com");
    assert_eq!(code, Some(1));
    assert!(
        text.contains("FILE:9: host \"api.example.com\" is not an AWS endpoint"),
        "{text}"
    );
    for (other, command) in [
        ("ABC.gr7.us-east-1.eks.amazonaws.com", "`aws eks get-token`"),
        (
            "db.abc.us-east-1.rds.amazonaws.com",
            "`aws rds generate-db-auth-token`",
        ),
    ] {
        let (code, text) = check_host(other);
        assert_eq!(code, Some(1));
        assert!(
            text.contains(command) && !text.contains("token::"),
            "{text}"
        );
    }
}

#[test]
fn several_services_and_regions_are_accepted() {
    let scope = "service = \"execute-api\"\nregion = \"us-east-1\"\n";
    for accepted in [
        "service = \"client\"\nservices = [\"s3\", \"execute-api\"]\nregion = \"us-east-1\"\n",
        "service = \"execute-api\"\nregion = \"client\"\nregions = \"us-east-1\"\n",
        "service = \"client\"\nservices = \"execute-api\"\nregion = \"client\"\nregions = [\"us-east-1\"]\n",
        "service = \"execute-api\"\nregion_set = \"*\"\n",
        "service = \"execute-api\"\nregion_set = [\"eu-west-1\", \"us-*\"]\n",
        "region_set = \"*\"\n",
    ] {
        let (code, text) = check(&VALID.replace(scope, accepted));
        assert_eq!(code, Some(0), "{accepted}: {text}");
        assert!(text.ends_with("no errors\n"), "{accepted}: {text}");
    }
    let access_point = "mfzwi23gnjvgw.mrap.accesspoint.s3-global.amazonaws.com";
    let inferred = VALID.replace(scope, "").replace("/prod", "");
    let inferred = inferred.replace("abc123.execute-api.us-east-1.amazonaws.com", access_point);
    let (code, text) = check(&inferred);
    assert_eq!(code, Some(0), "{text}");
}

#[test]
fn chunks_to_servers_that_store_their_framing_are_warned_of() {
    let scope = "service = \"execute-api\"\nregion = \"us-east-1\"\nsigning = \"no-override\"\n";
    let s3 = VALID.replace(scope, "service = \"s3\"\nregion = \"us-east-1\"\n");
    let own = s3.replace(
        "abc123.execute-api.us-east-1.amazonaws.com",
        "s3.example.com",
    );
    let aws = s3.replace(
        "abc123.execute-api.us-east-1.amazonaws.com",
        "s3.us-east-1.amazonaws.com",
    );
    let warning = "\"s3.example.com\" is not a host of AWS";
    for (payload, warned) in [
        ("auto", true),
        ("chunked", true),
        ("chunked-trailer", true),
        ("unsigned-trailer", false),
        ("buffer", false),
    ] {
        let setting = format!("payload = {payload:?}\n");
        for (key, line) in [("body_limit", 12), ("origin =", 16)] {
            let with = |file: &str| check(&file.replace(key, &format!("{setting}{key}")));
            let (code, text) = with(&own);
            assert_eq!(code, Some(0), "{payload}: {text}");
            let expected = format!("FILE:{line}: warning: origin \"orders\": {warning}");
            assert_eq!(text.contains(&expected), warned, "{payload}: {text}");
            assert!(!with(&aws).1.contains("aws-chunked"), "{payload}");
        }
    }
}

#[test]
fn likely_rejections_are_warnings_with_lines() {
    let config = VALID
        .replace("https://", "http://")
        .replace("region = \"us-east-1\"", "region = \"eu-west-1\"");
    let file = TempFile::new(&config);
    let output = gateway_command()
        .args(["--config", &file.path, "--check"])
        .output()
        .expect("output");
    let text = |bytes| {
        String::from_utf8(bytes)
            .expect("UTF-8")
            .replace(&file.path, "FILE")
    };
    assert_eq!(output.status.code(), Some(0));
    assert_eq!(
        text(output.stdout),
        "FILE: 1 origin(s), 1 route(s), no errors, 2 warning(s)\n"
    );
    let warnings = text(output.stderr);
    let warnings: Vec<_> = warnings.lines().collect();
    assert_eq!(warnings.len(), 2, "{warnings:?}");
    for (warning, line, expected) in [
        (
            warnings[0],
            9,
            "plain http to \"abc123.execute-api.us-east-1.amazonaws.com\"",
        ),
        (
            warnings[1],
            10,
            "requests are signed for \"execute-api\" in \"eu-west-1\", but",
        ),
    ] {
        let start = format!("FILE:{line}: warning: origin \"orders\": {expected}");
        assert!(warning.starts_with(&start), "{warning}");
    }
}

#[test]
fn longest_duration_is_accepted() {
    let longest = "listen = \"127.0.0.1:0\"\nheader_timeout = \"3650days\"";
    let (code, text) = check(&VALID.replace("listen = \"127.0.0.1:0\"", longest));
    assert_eq!(code, Some(0), "{text}");
}

#[test]
fn warnings_have_the_line_of_their_value_and_do_not_prevent_the_start() {
    let aoss = VALID
        .replace("abc123.execute-api.us-east-1.amazonaws.com", "example.com")
        .replace("\"execute-api\"", "\"aoss\"");
    for (file, from, to, line) in [
        (VALID, "signing =", "payload = \"unsigned\"\nsigning =", 12),
        (
            VALID,
            "signing =",
            "signed_host = \"a.com:443\"\nsigning =",
            12,
        ),
        (
            VALID,
            "signing =",
            "session_token = \"unsigned\"\nsigning =",
            12,
        ),
        (VALID, "signing =", "path_form = \"once\"\nsigning =", 12),
        (&aoss, "signing =", "payload_header = false\nsigning =", 12),
        (
            &aoss,
            "signing =",
            "signed_headers = \"all\"\nsigning =",
            12,
        ),
        (VALID, "\"execute-api\"", "\"vpc-lattice-svcs\"", 10),
    ] {
        let (code, text) = check(&file.replacen(from, to, 1));
        assert_eq!(code, Some(0), "{to}: {text}");
        assert!(
            text.contains(&format!("FILE:{line}: warning: origin \"orders\": ")),
            "{to}: {text}"
        );
        assert!(text.contains("no errors, 1 warning(s)\n"), "{to}: {text}");
    }
    let (_, text) = check(&VALID.replace("no-override\"", "never\"\npayload = \"unsigned\""));
    assert!(text.ends_with("no errors\n"), "{text}");
    drop(Gateway::with_config(&VALID.replace("https://", "http://")));
}

#[test]
fn wildcards_in_paths_are_warned_of() {
    for (path, remedy) in [
        ("/orders/*", "/orders"),
        ("/*", "/"),
        ("/orders/*/items", "/orders"),
    ] {
        let (code, text) = check(&VALID.replace("\"/orders\"", &format!("{path:?}")));
        assert_eq!(code, Some(0), "{path}: {text}");
        let warning = format!("FILE:15: warning: * is literal in path; write {remedy:?}, which");
        assert!(text.contains(&warning), "{path}: {text}");
    }
}

#[test]
fn hosts_that_verify_no_signature_are_warned_of() {
    let api = "abc123.execute-api.us-east-1.amazonaws.com";
    for (host, service, reason) in [
        (
            "123456789012.dkr.ecr.us-east-1.amazonaws.com",
            "ecr",
            "is a registry, which takes a user and a password",
        ),
        (
            "db.abc.us-east-1.rds.amazonaws.com",
            "rds",
            "is a database, which takes the password of a user; create one with `aws rds generate-db-auth-token`",
        ),
    ] {
        let of_service = VALID.replace("\"execute-api\"", &format!("{service:?}"));
        let signed_host = format!("signed_host = {host:?}\nsigning =");
        for (config, line) in [
            (of_service.replace(api, host), 9),
            (of_service.replace("signing =", &signed_host), 12),
        ] {
            let (code, text) = check(&config);
            assert_eq!(code, Some(0), "{text}");
            let warning =
                format!("FILE:{line}: warning: origin \"orders\": host {host:?} {reason}");
            assert!(text.contains(&warning), "{warning}: {text}");
            assert!(text.contains("no errors, 1 warning(s)\n"), "{text}");
        }
    }
    // A server behind it may verify signatures.
    for host in [
        "a.us-east-1.elb.amazonaws.com",
        "d111111abcdef8.cloudfront.net",
    ] {
        let (_, text) = check(&VALID.replace(api, host));
        assert!(text.ends_with("no errors\n"), "{text}");
    }
}

#[test]
fn command_line_errors_are_reported() {
    for (arguments, code, expected) in [
        (&["--help"][..], 0, "Usage"),
        (&["--version"], 0, env!("CARGO_PKG_VERSION")),
        (&["--check"], 2, "--check needs --config"),
        (&["--listen", "nowhere"], 2, "nowhere"),
        (&["--unknown"], 2, "--unknown"),
        (&["--config", "no/such/file"], 1, "cannot read no/such/file"),
    ] {
        let output = gateway_command().args(arguments).output().expect("output");
        let text = String::from_utf8([output.stdout, output.stderr].concat()).expect("UTF-8");
        assert_eq!(output.status.code(), Some(code), "{arguments:?}: {text}");
        assert!(text.contains(expected), "{arguments:?}: {text}");
    }
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address = listener.local_addr().expect("valid address").to_string();
    let output = gateway_command()
        .args(["--listen", &address])
        .output()
        .expect("output");
    let text = String::from_utf8(output.stderr).expect("UTF-8");
    assert_eq!(output.status.code(), Some(1));
    assert!(
        text.contains(&format!("cannot listen on {address}")) && text.contains("--listen"),
        "{text}"
    );
}
