//! Mistakes of the first minutes: each message names cause and remedy.

use std::{
    fs::{self, File},
    io::{BufRead, BufReader},
    net::TcpListener,
    process::Stdio,
};

use crate::support::{Gateway, TempFile, config, exchange, gateway_command, without_credentials};

/// Returns the error message for invalid arguments.
fn error_of(arguments: &[&str], code: i32) -> String {
    // Written to a file, so that a process that keeps running fails the test in time.
    let log = TempFile::new("");
    let mut process = gateway_command()
        .args(arguments)
        .stdout(Stdio::null())
        .stderr(File::create(&log.path).expect("created"))
        .spawn()
        .expect("a process");
    let status = (0..400).find_map(|_| {
        std::thread::sleep(std::time::Duration::from_millis(50));
        process.try_wait().expect("a status")
    });
    drop(process.kill());
    let message = fs::read_to_string(&log.path).expect("UTF-8");
    let status = status.unwrap_or_else(|| panic!("{arguments:?} keeps running: {message}"));
    assert_eq!(status.code(), Some(code), "{arguments:?}: {message}");
    message
}

#[test]
fn startup_errors_name_cause_and_remedy() {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address = listener.local_addr().expect("valid address").to_string();
    let valid = TempFile::new(&config("http://127.0.0.1:1", ""));
    let directory = env!("CARGO_TARGET_TMPDIR");
    for (arguments, code, words) in [
        (
            &["--config", "none.toml"][..],
            1,
            &["cannot read none.toml: ", "--init"][..],
        ),
        (
            &["--config", directory],
            1,
            &["cannot read ", "choose a file in this directory"],
        ),
        (
            &["--config"],
            2,
            &["missing argument for option '--config'", "--help"],
        ),
        (&["--conf", "a"], 2, &["invalid option '--conf'", "--help"]),
        (&["gateway.toml"], 2, &["\"gateway.toml\"", "--help"]),
        (&["--check"], 2, &["--check needs --config FILE"]),
        (&["--listen", "8080"], 2, &["\"8080\"", "--help"]),
        (
            &["--listen", &address],
            1,
            &[
                "cannot listen on ",
                "choose another address with --listen or listen under [server]",
                "set reuse_port = true under [server] in both files",
            ],
        ),
        (
            &["--config", &valid.path, "--listen", "192.0.2.1:8080"],
            1,
            &[
                "cannot listen on 192.0.2.1:8080: ",
                "choose another address with --listen",
            ],
        ),
    ] {
        let message = error_of(arguments, code);
        assert!(message.starts_with("sigv4-gateway: "), "{message}");
        assert!(
            words.iter().all(|word| message.contains(word)),
            "{arguments:?}: {message}"
        );
        assert_eq!(message.lines().count(), 1, "{message}");
    }
}

#[test]
fn invalid_files_are_reported_with_line_and_remedy() {
    let valid = config("http://127.0.0.1:1", "");
    let with = |more: &str| valid.replacen("[server]", &format!("[server]\n{more}"), 1);
    let tls = "tls_certificate = \"none.pem\"\ntls_key = \"none.key\"";
    for (text, words) in [
        (
            String::new().into_bytes(),
            &["there is no [[route]]; add one"][..],
        ),
        (
            b"[server]\nlisten = \"\xff\"\n".to_vec(),
            &[":2: invalid UTF-8; save"],
        ),
        (with("listen 8080").into(), &[":2: "]),
        (
            with("port = 8080").into(),
            &[":2: unknown field `port`, expected one of `listen`"],
        ),
        (
            with(tls).into(),
            &[":2: cannot read none.pem: ", "set the path of a PEM file"],
        ),
        (
            valid.replace("http://", "").into(),
            &[":9: ", "begin it with"],
        ),
        (
            valid.replace("service = \"execute-api\"", "").into(),
            &[":11: service and region go"],
        ),
        (
            valid.replace("origin = \"orders\"", "").into(),
            &["missing field `origin`"],
        ),
    ] {
        let file = TempFile::new("");
        fs::write(&file.path, &text).expect("written");
        let message = error_of(&["--config", &file.path], 1);
        let found = words.iter().all(|word| message.contains(word));
        assert!(found, "{}: {message}", String::from_utf8_lossy(&text));
    }
}

#[cfg(not(feature = "aws-config"))]
#[test]
fn aws_source_without_its_feature_names_the_feature() {
    let config = without_credentials(&config("http://127.0.0.1:1", ""));
    let config = config.replace("[credentials]", "[credentials]\nsource = \"aws\"");
    let message = error_of(&["--config", &TempFile::new(&config).path], 1);
    assert!(
        message.contains(":4: source = \"aws\" needs a gateway that was built with"),
        "{message}"
    );
}

#[tokio::test]
async fn errors_of_the_first_request_are_logged_with_cause_and_remedy() {
    let unresolvable = config("http://origin.invalid", "");
    let unsigned = without_credentials(&config("http://127.0.0.1:1", ""));
    for (config, status, words) in [
        (
            unresolvable,
            502,
            &[
                "no connection to origin origin.invalid; check its url",
                "dns",
            ][..],
        ),
        (unsigned, 503, &["AWS_ACCESS_KEY_ID"]),
        (
            config("http://127.0.0.1:1", ""),
            502,
            &["no connection to origin 127.0.0.1:1; check"],
        ),
    ] {
        let file = TempFile::new(&config);
        let mut command = gateway_command();
        let gateway = Gateway::spawn(
            command
                .args(["--config", &file.path])
                .stderr(Stdio::piped()),
        );
        let request = "GET /orders HTTP/1.1\r\nhost: api.example.com\r\nconnection: close\r\n\r\n";
        assert_eq!(exchange(gateway.address, request).await.status, status);
        let log = gateway.stop_and_read_log();
        assert!(words.iter().all(|word| log.contains(word)), "{log}");
    }
}

/// A wrong region and plain HTTP to AWS may be intended, so the gateway starts.
#[test]
fn likely_aws_rejections_are_warnings() {
    let host = "http://abc123.execute-api.us-east-1.amazonaws.com";
    let file = TempFile::new(&config(host, ""));
    let output = gateway_command()
        .args(["--config", &file.path, "--check"])
        .output()
        .expect("output");
    let message = String::from_utf8(output.stderr).expect("UTF-8");
    for words in [
        ":9: warning: ",
        "start the URL with \"https://\"",
        ":10: warning: ",
        "us-east-1",
    ] {
        assert!(message.contains(words), "{message}");
    }
}

#[test]
fn closed_standard_output_is_not_an_error() {
    let unread = || {
        let (reader, writer) = std::io::pipe().expect("a pipe");
        drop(reader);
        let mut command = gateway_command();
        command.stdout(writer).stderr(Stdio::piped());
        command
    };
    for argument in ["--print-schema", "--help"] {
        let output = unread().arg(argument).output().expect("output");
        assert!(
            output.status.success() && output.stderr.is_empty(),
            "{argument}: {output:?}"
        );
    }
    // The warning shows that the gateway serves.
    let file = TempFile::new(&config("http://abc123.lambda-url.eu-west-1.on.aws", ""));
    let mut gateway = unread()
        .args(["--config", &file.path])
        .spawn()
        .expect("a process");
    let mut line = String::new();
    let mut log = BufReader::new(gateway.stderr.take().expect("piped"));
    log.read_line(&mut line).expect("UTF-8");
    drop(gateway.kill());
    drop(gateway.wait());
    assert!(
        line.contains("WARN") && line.contains("plain http"),
        "{line}"
    );
}
