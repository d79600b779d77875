//! `--check --credentials`.

use std::process::Stdio;

use crate::{
    SECRET, VARIABLES, base, get, role, route, server,
    standins::{Keys, Origin, Sts},
    support::{Gateway, TempFile, gateway_command},
};

/// Returns whether the check succeeded, standard output and standard error.
fn check(config: &str) -> (bool, String, String) {
    let file = TempFile::new(config);
    let output = gateway_command()
        .args(["--config", &file.path, "--check", "--credentials"])
        .envs(VARIABLES)
        .output()
        .expect("it runs");
    let [stdout, stderr] =
        [output.stdout, output.stderr].map(|text| String::from_utf8(text).expect("UTF-8"));
    for text in [&stdout, &stderr] {
        assert!(
            !text.contains(SECRET) && !text.contains("secret-of"),
            "{text}"
        );
    }
    (output.status.success(), stdout, stderr)
}

#[tokio::test(flavor = "multi_thread")]
async fn each_identity_is_resolved_once() {
    let sts = Sts::start().await;
    let origin = Origin::start(sts.keys.clone()).await;
    let sessions = "session_name = \"{caller}\"";
    let config = server() + &base() + &role("orders", &sts, "") + &role("callers", &sts, sessions);
    let config = config + &route("orders", &origin, "orders");
    let (succeeded, stdout, stderr) = check(&config);
    assert!(succeeded, "{stdout}{stderr}");
    for line in [
        "identity \"base\": source \"static\", access key ID ...BASE, does not expire",
        "identity \"orders\": source \"role\", access key ID ...ders, expires in 59m",
        "identity \"callers\": source \"role\", access key ID ...lers, expires in 59m",
    ] {
        assert!(stdout.contains(line), "{line}: {stdout}");
    }
    let roles: Vec<_> = sts.calls().iter().map(|it| it.role().to_owned()).collect();
    assert_eq!(roles, ["orders", "callers"]);
    assert!(origin.seen().is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn mistakes_in_credentials_of_any_source_are_warnings() {
    let origin = Origin::start(Keys::default()).await;
    let keys = TempFile::new(&format!(
        "[default]\naws_access_key_id = ASIAORDERS\naws_secret_access_key = {SECRET}\n"
    ));
    let output = TempFile::new(&format!(
        r#"{{"Version": 1, "AccessKeyId": "ASIAORDERS", "SecretAccessKey": "{SECRET}", "SessionToken": "'{SECRET}'"}}"#
    ));
    let missing = "access key ID \"ASIAORDERS\" is that of temporary credentials";
    let quotes = "the session token of \"ASIAORDERS\" is in quotes";
    for (source, finding) in [
        (format!("\"file\"\nfile = {:?}", keys.path), missing),
        (
            format!("\"process\"\ncommand = [\"cat\", {:?}]", output.path),
            quotes,
        ),
    ] {
        let identity = format!("[[identity]]\nname = \"orders\"\nsource = {source}\n");
        let config = server() + &identity + &route("orders", &origin, "orders");
        let (succeeded, stdout, stderr) = check(&config);
        assert!(succeeded, "{stdout}{stderr}");
        let line = format!("warning: identity \"orders\": {finding}");
        assert!(stderr.contains(&line), "{line}: {stderr}");
        let file = TempFile::new(&config);
        let mut command = gateway_command();
        command
            .args(["--config", &file.path])
            .envs(VARIABLES)
            .stderr(Stdio::piped());
        let gateway = Gateway::spawn(&mut command);
        get(&gateway, "/orders").await;
        let log = gateway.stop_and_read_log();
        assert_eq!(log.matches(finding).count(), 1, "{finding}: {log}");
        assert!(!log.contains(SECRET), "{log}");
    }
}

/// An env file of Docker keeps the quotes, which a shell removes.
#[tokio::test(flavor = "multi_thread")]
async fn mistakes_in_the_environment_are_warnings_before_the_first_request() {
    let origin = Origin::start(Keys::default()).await;
    let identity = "[[identity]]\nname = \"orders\"\nsource = \"env\"\n";
    let config = server() + identity + &route("orders", &origin, "orders");
    let file = TempFile::new(&config);
    let quoted = format!("\"{SECRET}\"");
    for (id, secret, findings) in [
        ("AKIDORDERS", SECRET, &[][..]),
        (
            "AKIDORDERS",
            &quoted,
            &["the secret access key of \"AKIDORDERS\" is in quotes"],
        ),
        (
            "ASIAORDERS",
            &quoted,
            &[
                "the secret access key of \"ASIAORDERS\" is in quotes",
                "access key ID \"ASIAORDERS\" is that of temporary credentials",
            ],
        ),
    ] {
        let command = || {
            let mut command = gateway_command();
            command
                .args(["--config", &file.path])
                .envs(VARIABLES)
                .env("AWS_ACCESS_KEY_ID", id)
                .env("AWS_SECRET_ACCESS_KEY", secret)
                .stderr(Stdio::piped());
            command
        };
        let output = command().arg("--check").output().expect("it runs");
        assert!(output.status.success(), "{output:?}");
        let checked = String::from_utf8(output.stderr).expect("UTF-8");
        let log = Gateway::spawn(&mut command()).stop_and_read_log();
        // The log has the level in place of the word.
        for (text, start) in [
            (checked, ":6: warning: identity \"orders\": "),
            (log, ":6: identity \"orders\": "),
        ] {
            assert_eq!(text.matches(start).count(), findings.len(), "{text}");
            for finding in findings {
                let line = format!("{start}{finding}");
                assert!(text.contains(&line), "{line}: {text}");
            }
            assert!(!text.contains(SECRET), "{text}");
        }
    }
    assert!(origin.seen().is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn failed_identity_is_printed_with_its_remedy() {
    let sts = Sts::start().await;
    sts.deny(Some("orders"));
    let origin = Origin::start(sts.keys.clone()).await;
    let config = server() + &base() + &role("orders", &sts, "");
    let (succeeded, stdout, stderr) = check(&(config + &route("orders", &origin, "orders")));
    assert!(!succeeded);
    assert!(stdout.contains("identity \"base\": source"), "{stdout}");
    for text in [
        "identity \"orders\" has no credentials: STS rejected AssumeRole (AccessDenied)",
        "role's trust policy",
        "is not authorized",
    ] {
        assert!(stderr.contains(text), "{text}: {stderr}");
    }
}
