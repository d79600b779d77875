//! Limits of the system and of clients that do not cooperate.

use std::{
    process::{Command, Stdio},
    time::{Duration, Instant},
};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

use crate::support::{Gateway, TempFile, config, exchange, gateway_command, get};

const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0";
/// RFC 9113, section 6.7.
const PING_ACK: &[u8] = b"\0\0\x08\x06\x01\0\0\0\0\0\0\0\0\0\0\0\0";

fn unused_origin() -> String {
    config("http://127.0.0.1:1", "")
}

/// Starts a gateway with a piped log.
fn start(file: &TempFile) -> Gateway {
    let mut command = gateway_command();
    command
        .args(["--config", &file.path])
        .stderr(Stdio::piped());
    Gateway::spawn(&mut command)
}

#[tokio::test]
async fn unsolicited_ping_acks_are_not_logged() {
    let file = TempFile::new(&unused_origin());
    let gateway = start(&file);
    let mut stream = TcpStream::connect(gateway.address)
        .await
        .expect("connected");
    stream.write_all(PREFACE).await.expect("sent");
    stream
        .write_all(&PING_ACK.repeat(1000))
        .await
        .expect("sent");
    // The response to a ping follows everything before it.
    let mut ping = PING_ACK.to_vec();
    ping[4] = 0;
    ping[16] = 7;
    stream.write_all(&ping).await.expect("sent");
    let mut received = Vec::new();
    while !received.windows(8).any(|bytes| bytes == &ping[9..]) {
        assert!(stream.read_buf(&mut received).await.expect("open") > 0);
    }
    let log = gateway.stop_and_read_log();
    assert!(!log.contains("PING"), "{log}");
}

/// An idle HTTP/2 client that does not acknowledge the end of the connection would keep it open for the whole grace.
#[tokio::test]
async fn idle_clients_do_not_delay_the_stop() {
    let endless = "[server]\nshutdown_grace = \"1h\"\ndrain_delay = \"0s\"\n";
    let file = TempFile::new(&unused_origin().replacen("[server]\n", endless, 1));
    let gateway = start(&file);
    let mut stream = TcpStream::connect(gateway.address)
        .await
        .expect("connected");
    stream.write_all(PREFACE).await.expect("sent");
    stream.read_exact(&mut [0; 9]).await.expect("settings");
    let log = gateway.stop_and_read_log();
    assert!(!log.contains("requests in flight"), "{log}");
}

#[test]
fn limit_of_open_files_bounds_the_connections() {
    let limited = "[server]\nmax_connections = 400\n";
    let file = TempFile::new(&unused_origin().replacen("[server]\n", limited, 1));
    let program = env!("CARGO_BIN_EXE_sigv4-gateway");
    let check = |limit: &str| {
        let script = format!("ulimit -n {limit} && exec \"$0\" --config \"$1\" --check");
        let output = Command::new("sh")
            .args(["-c", &script, program, &file.path])
            .output()
            .expect("sh runs");
        assert!(output.status.success());
        String::from_utf8(output.stderr).expect("UTF-8")
    };
    let warning = check("256");
    assert!(
        warning.contains("max_connections is 400, but the limit of 256 open files allows 96;"),
        "{warning}"
    );
    assert_eq!(check("1024"), "");
}

#[test]
fn unusable_certificates_prevent_the_start() {
    let file = TempFile::new(&unused_origin());
    let empty = TempFile::new("");
    for (path, reason) in [
        ("/nonexistent.pem", "No such file"),
        (&empty.path, "no certificate"),
    ] {
        let output = gateway_command()
            .args(["--config", &file.path])
            .env("SSL_CERT_FILE", path)
            .output()
            .expect("the process runs");
        assert!(!output.status.success());
        let error = String::from_utf8(output.stderr).expect("UTF-8");
        assert!(error.contains("SSL_CERT_FILE"), "{error}");
        assert!(error.contains(path) && error.contains(reason), "{error}");
    }
}

#[tokio::test]
async fn lines_without_a_reader_are_counted() {
    let sections = "[log]\naccess = true\n[admin]\nlisten = \"127.0.0.1:0\"\n[credentials]";
    let file = TempFile::new(&unused_origin().replacen("[credentials]", sections, 1));
    let mut gateway = start(&file);
    drop(gateway.stderr());
    let admin = gateway.printed_after("admin http://").parse();
    let admin = admin.expect("an address");
    let deadline = Instant::now() + Duration::from_secs(20);
    loop {
        assert_eq!(get(gateway.address, "/nowhere").await.status, 404);
        let request = "GET /metrics HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n";
        let metrics = exchange(admin, request).await.body;
        let counted = metrics
            .lines()
            .find_map(|line| line.strip_prefix("sigv4_gateway_log_lines_dropped_total "))
            .expect("the counter");
        if counted != "0" {
            break;
        }
        assert!(Instant::now() < deadline, "lines are not counted");
    }
}
