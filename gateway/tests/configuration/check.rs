//! Errors and warnings of configurations.

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
    for (from, to, line) in [
        ("signing =", "payload = \"unsigned\"\nsigning =", 12),
        ("signing =", "signed_host = \"a.com:443\"\nsigning =", 12),
        ("\"execute-api\"", "\"vpc-lattice-svcs\"", 10),
    ] {
        let (code, text) = check(&VALID.replacen(from, to, 1));
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
fn mistakes_are_reported_with_line_and_remedy() {
    for (from, to, line, expected) in [
        (
            "listen = \"127.0.0.1:0\"",
            "shutdown_grace = \"soon\"",
            2,
            "is not a valid duration",
        ),
        (
            "listen = \"127.0.0.1:0\"",
            "header_timeout = \"290000000000y\"",
            2,
            "\"290000000000y\" is too long; write \"3650days\" or less",
        ),
        (
            "listen = \"127.0.0.1:0\"",
            "shutdown_grace = \"999999999999y\"",
            2,
            "is too long",
        ),
        (
            "listen = \"127.0.0.1:0\"",
            "shutdown_grace = \"3651days\"",
            2,
            "is too long",
        ),
        (
            "listen = \"127.0.0.1:0\"",
            "tls_key = \"a\"",
            2,
            "go together",
        ),
        (
            "listen = \"127.0.0.1:0\"",
            "tls_key = \"\"\ntls_certificate = \"/-\"",
            3,
            "cannot read /-",
        ),
        (
            "listen",
            "listn",
            2,
            "unknown field `listn`, expected one of `listen`",
        ),
        ("127.0.0.1:0", "8080", 2, "socket address"),
        ("[server]", "[sever]", 1, "unknown field `sever`"),
        ("\"static\"", "\"file\"", 4, "unknown variant, expected "),
        ("\"static\"", "\"env\"", 5, "need source = \"static\""),
        (
            "access_key_id = \"AKID\"\n",
            "",
            4,
            "need access_key_id and secret_access_key",
        ),
        ("AKID", "AKID ", 5, "stray space"),
        ("\"hunter2\"", "12345", 6, "in quotes"),
        ("\"static\"", "\"AKID:hunter2\"", 4, "unknown variant"),
        ("\"hunter2\"", "\"hunter2 \"", 5, "white space"),
        ("\"hunter2\"", "\"\"", 5, "secret access key is empty"),
        ("\"hunter2\"", "hunter2", 6, ""),
        ("\"hunter2\"", "\"hunter2", 6, ""),
        ("https://", "ftp://", 9, "is neither http nor https"),
        ("https://", "", 9, "is not absolute"),
        ("/prod", "/%zz", 9, "%25"),
        ("\"execute-api\"", "\"execute api\"", 10, "\"execute api\""),
        ("region = \"us-east-1\"\n", "", 10, "set both"),
        ("service = \"execute-api\"\n", "", 10, "set both"),
        ("region = \"us-east-1\"", "region = \"\"", 11, "region \"\""),
        (
            "region = \"us-east-1\"",
            "signed_host = \"a b\"\nregion = \"r\"",
            11,
            "signed host \"a b\"",
        ),
        (
            "signing =",
            "http2 = true\nsigned_host = \"h\"\nsigning =",
            12,
            "http2 needs an https:// url",
        ),
        (
            "url = \"https",
            "http2 = true\nurl = \"http",
            9,
            "http2 needs an https:// url",
        ),
        (
            "signing =",
            "forwarded = \"some\"\nsigning =",
            12,
            "\"all\", \"none\" or a list of",
        ),
        (
            "signing =",
            "forwarded = [\"port\"]\nsigning =",
            12,
            "\"for\", \"host\" and \"proto\"",
        ),
        (
            "signing =",
            "forwarded = true\nsigning =",
            12,
            "forwarded must be",
        ),
        (
            "signing =",
            "session_token = \"t\"\nsigning =",
            12,
            "`x-amz-security-token` or",
        ),
        (
            "[credentials]",
            "max_connections = 0\n[credentials]",
            3,
            "max_connections is 0",
        ),
        (
            "[credentials]",
            "websocket_timeout = \"1\"\n[credentials]",
            3,
            "is not a valid duration",
        ),
        (
            "no-override",
            "sometimes",
            12,
            "expected one of `always`, `no-override`, `never`",
        ),
        (
            "body_limit",
            "payload = \"stream\"\nbody_limit",
            13,
            "`chunked`, `chunked-trailer`, `unsigned-trailer`, `spool`, `auto`",
        ),
        (
            "body_limit",
            "payload = \"chunked\"\nbody_limit",
            10,
            "its family accept chunked payloads",
        ),
        (
            "body_limit",
            "payload = \"unsigned-trailer\"\nbody_limit",
            10,
            "its family accept chunked payloads",
        ),
        (
            "body_limit",
            "checksum = \"crc32\"\nbody_limit",
            13,
            "or \"unsigned-trailer\"",
        ),
        (
            "body_limit",
            "payload = \"spool\"\nbody_limit",
            13,
            "a spool_directory in [bodies]",
        ),
        (
            "body_limit",
            "spool_limit = \"1GiB\"\nbody_limit",
            13,
            "a spool_directory in [bodies]",
        ),
        ("1MiB", "257MiB", 13, "256.0 MiB; raise memory in [bodies]"),
        (
            "[credentials]",
            "[bodies]\nspool_directory = \"/nonexistent/spool\"\n[credentials]",
            4,
            "\"/nonexistent/spool\": No such file or directory",
        ),
        (
            "[credentials]",
            "[bodies]\nmemory = \"much\"\n[credentials]",
            4,
            "invalid value",
        ),
        (
            "[credentials]",
            "[cache]\nmemory = \"much\"\n[credentials]",
            4,
            "invalid value",
        ),
        (
            "[credentials]",
            "[cache]\nsize = \"1MiB\"\n[credentials]",
            4,
            "unknown field `size`",
        ),
        (
            "[credentials]",
            "[cache]\nredis = \"http://h\"\n[credentials]",
            4,
            "redis is not the URL",
        ),
        (
            "[credentials]",
            "[cache]\nprefix = \"a\"\n[credentials]",
            4,
            "add redis",
        ),
        (
            "body_limit",
            "checksum = \"md5\"\nbody_limit",
            13,
            "`crc64nvme`, `sha1`, `sha256`",
        ),
        ("1MiB", "1 potato", 13, ""),
        ("\"1MiB\"", "-1", 13, ""),
        ("\"1MiB\"", "\"hunter2\"", 13, "invalid value: string"),
        ("\"AKID\"", "12345", 5, "invalid type: integer, expected"),
        (
            "\"/orders\"",
            "\"orders\"",
            15,
            "path \"orders\" is not a path",
        ),
        ("\"GET\"", "\"G T\"", 16, "\"G T\" is not a method"),
        ("\"GET\"", "\"get\"", 16, "\"get\" is not a method"),
        ("[\"GET\"]", "[]", 15, "methods is empty"),
        (
            "methods = [\"GET\"]",
            "host = \"a:80\"",
            16,
            "without a port",
        ),
        (
            "origin = \"orders\"",
            "origin = \"order\"",
            17,
            "name one of [\"orders\"]",
        ),
        (
            "origin = \"orders\"",
            "timeout = \"soon\"\norigin = \"orders\"",
            17,
            "\"soon\" is not a valid duration; write one such as \"30s\"",
        ),
        (
            "origin = \"orders\"",
            "timeout = \"0s\"\norigin = \"orders\"",
            17,
            "\"0s\" is not a valid duration",
        ),
        (
            "origin = \"orders\"",
            "amz_headers = [\"x-amz-acl\", \"acl\"]\norigin = \"orders\"",
            17,
            "\"acl\" is not the name of an x-amz-* header",
        ),
        (
            "origin = \"orders\"",
            "query_parameters = \"acl\"\norigin = \"orders\"",
            17,
            "invalid type",
        ),
        (
            "origin = \"orders\"",
            "max_attempts = 0\norigin = \"orders\"",
            17,
            "max_attempts is 0",
        ),
        (
            "origin = \"orders\"",
            "max_concurrency = 0\norigin = \"orders\"",
            17,
            "max_concurrency is 0",
        ),
        (
            "origin = \"orders\"",
            "max_concurrency = -1\norigin = \"orders\"",
            17,
            "invalid value",
        ),
        (
            "origin = \"orders\"",
            "rate = \"100\"\norigin = \"orders\"",
            17,
            "\"100/min\"",
        ),
        (
            "origin = \"orders\"",
            "rate = \"0/s\"\norigin = \"orders\"",
            17,
            "\"0/s\" is not a valid rate",
        ),
        (
            "origin = \"orders\"",
            "add_prefix = \"v1\"\norigin = \"orders\"",
            17,
            "added prefix \"v1\"",
        ),
        (
            "origin = \"orders\"",
            "headers = { \"a b\" = \"c\" }\norigin = \"orders\"",
            17,
            "\"a b\" is not a valid header name",
        ),
        (
            "origin = \"orders\"",
            "payload = \"chunked\"\norigin = \"orders\"",
            17,
            "its family accept chunked payloads",
        ),
        (
            "origin = \"orders\"",
            "body_limit = \"1GiB\"\norigin = \"orders\"",
            17,
            "raise memory in [bodies]",
        ),
        (
            "origin = \"orders\"",
            "cors = { origins = [\"app.example.com\"] }\norigin = \"orders\"",
            17,
            "is not the origin of a page",
        ),
        (
            "origin = \"orders\"",
            "cors = { origins = [\"https://app.example.com/\"] }\norigin = \"orders\"",
            17,
            "is not the origin of a page",
        ),
        (
            "origin = \"orders\"",
            "cors = { origins = [\"*\"], credentials = true }\norigin = \"orders\"",
            17,
            "list them instead of \"*\"",
        ),
        (
            "origin = \"orders\"",
            "cors = { origins = [\"https://a.com\"], headers = [\"é\"] }\norigin = \"orders\"",
            17,
            "is not a valid header name",
        ),
    ] {
        assert!(VALID.contains(from), "{from}");
        let (code, text) = check(&VALID.replacen(from, to, 1));
        assert_eq!(code, Some(1), "{to}: {text}");
        assert!(
            text.starts_with(&format!("sigv4-gateway: FILE:{line}: ")),
            "{to}: {text}"
        );
        assert!(text.contains(expected), "{to}: {text}");
        assert!(
            !text.contains("hunter2") && !text.contains("12345"),
            "{to}: {text}"
        );
    }
    let (_, text) = check("credentials = \"AKID:hunter2\"");
    assert!(
        text.contains("FILE:1: invalid type: string, expected"),
        "{text}"
    );
    assert!(!text.contains("hunter2"), "{text}");
    let twice = format!(
        "{VALID}[[origin]]\nname = \"orders\"\nurl = \"http://a\"\nservice = \"s3\"\n\
        region = \"r\"\n"
    );
    assert!(
        check(&twice)
            .1
            .contains("FILE:19: there is another origin \"orders\"")
    );
    assert!(check("").1.contains("no [[route]]"));
}

fn verify_section() -> String {
    let valid = VALID.replace("no-override", "always");
    format!(
        "{valid}[verify]\nservice = \"execute-api\"\nregion = \"us-east-1\"\n\
         unsigned_headers = [\"x-amz-cf-id\"]\nrequired_headers = [\"X-Tenant\"]\n\
         [[verify.key]]\n{KEY}"
    )
}

const BOBS: &str = "\"AKIDBOB\"\nsecret_access_key = \"hunter2\"";
const KEY: &str = "access_key_id = \"AKIDBOB\"\nsecret_access_key = \"hunter2\"\n";

/// `VALID` has 17 lines, so `[verify]` is on line 18.
#[test]
fn mistakes_in_verify_are_reported_with_line_and_remedy() {
    let verify = verify_section();
    assert_eq!(check(&verify).0, Some(0));
    for (from, to, line, expected) in [
        (
            "[verify]\nservice",
            "[verify]\nkeys = 1\nservice",
            19,
            "unknown field `keys`",
        ),
        (
            "[verify]\nservice = \"execute-api\"\n",
            "[verify]\n",
            18,
            "missing field `service`",
        ),
        ("us-east-1\"\nunsigned", "\"\nunsigned", 20, "region \"\""),
        (
            "x-amz-cf-id",
            "x amz",
            21,
            "\"x amz\" is not a valid header name",
        ),
        (
            "x-amz-cf-id",
            "x-amz-date",
            21,
            "x-amz-date is a part of the signature",
        ),
        ("X-Tenant", "", 22, "\"\" is not a valid header name"),
        ("AKIDBOB", "AKID BOB", 24, "stray space"),
        (
            BOBS,
            "\"AKIDBOB\"\nsecret_access_key = \" hunter2\"",
            24,
            "white space",
        ),
        (
            BOBS,
            "\"AKIDBOB\"\nsecret_access_key = 12345",
            25,
            "in quotes",
        ),
        (
            KEY,
            &format!("{KEY}[[verify.key]]\n{KEY}"),
            19,
            "two keys have the id \"AKIDBOB\"",
        ),
        (
            &format!("[[verify.key]]\n{KEY}"),
            "",
            19,
            "there are no callers' keys",
        ),
        (
            &format!("[[verify.key]]\n{KEY}"),
            "keys_file_env = \"NO_SUCH_VARIABLE\"\n",
            23,
            "\"NO_SUCH_VARIABLE\": environment variable not found",
        ),
        (
            "\"always\"",
            "\"no-override\"",
            17,
            "set signing = \"always\"",
        ),
        ("\"always\"", "\"never\"", 17, "this origin would receive"),
    ] {
        assert!(verify.contains(from), "{from}");
        let (code, text) = check(&verify.replacen(from, to, 1));
        assert_eq!(code, Some(1), "{to}: {text}");
        assert!(
            text.starts_with(&format!("sigv4-gateway: FILE:{line}: ")),
            "{to}: {text}"
        );
        assert!(text.contains(expected), "{to}: {text}");
        assert!(
            !text.contains("hunter2") && !text.contains("12345"),
            "{to}: {text}"
        );
    }
    let open = verify.replace("\"always\"", "\"never\"");
    let open = open.replace("path = \"/orders\"", "path = \"/orders\"\nverify = false");
    assert_eq!(check(&open).0, Some(0));
    let unverifiable = VALID.replace("origin = \"orders\"", "verify = true\norigin = \"orders\"");
    let (code, text) = check(&unverifiable);
    assert_eq!(code, Some(1));
    assert!(
        text.contains("FILE:17: verify needs callers' keys"),
        "{text}"
    );
}

#[test]
fn keys_file_is_checked_like_the_configuration() {
    let valid = VALID.replace("no-override", "always");
    let config =
        format!("{valid}[verify]\nservice = \"s3\"\nregion = \"r\"\nkeys_file_env = \"CALLERS\"\n");
    let file = TempFile::new(&config);
    for (keys, code, expected) in [
        (format!("[[key]]\n{KEY}"), 0, "no errors"),
        (String::new(), 1, "KEYS:1: missing field `key`"),
        ("key = []".to_owned(), 1, "there are no callers' keys"),
        (
            format!("[[key]]\n{}", KEY.replace("BOB", " BOB")),
            1,
            "FILE:21: KEYS:2: the access key ID",
        ),
        (
            format!("[[key]]\n{}", KEY.replace("\"hunter2\"", "hunter2")),
            1,
            "FILE:21: KEYS:3: ",
        ),
        (
            format!("[[keys]]\n{KEY}"),
            1,
            "KEYS:1: unknown field `keys`",
        ),
    ] {
        let keys_file = TempFile::new(&keys);
        let mut command = gateway_command();
        command
            .args(["--config", &file.path, "--check"])
            .env("CALLERS", &keys_file.path);
        let output = command.output().expect("output");
        let text = String::from_utf8([output.stdout, output.stderr].concat()).expect("UTF-8");
        let text = text
            .replace(&file.path, "FILE")
            .replace(&keys_file.path, "KEYS");
        assert_eq!(output.status.code(), Some(code), "{keys}: {text}");
        assert!(text.contains(expected), "{keys}: {text}");
        assert!(!text.contains("hunter2"), "{text}");
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
