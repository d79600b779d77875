//! Reloads of a changed configuration.
#![cfg(unix)]

mod files;
#[path = "../support/mod.rs"]
mod support;

use std::{
    fs,
    io::{BufRead, BufReader, Lines},
    process::{ChildStderr, Command, Stdio},
    sync::mpsc,
    time::{Duration, Instant},
};

use support::{
    Gateway, REGION, SECRET_ACCESS_KEY, SERVICE, TempFile, TestOrigin, config, exchange,
    logging::{LoggingGateway, with_log},
    read_until,
};
use tokio::{
    io::AsyncWriteExt,
    net::{TcpListener, TcpStream},
    time,
};

/// Beginning of the message of an invalid configuration.
const KEPT: &str = "keeping the previous configuration, keys and secrets until this is corrected: ";

const RESPONSE: &str = "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok";

/// A gateway with its file and its log.
struct RunningGateway {
    gateway: Gateway,
    file: TempFile,
    log: mpsc::Receiver<String>,
}

impl RunningGateway {
    fn start(config: &str) -> Self {
        Self::start_with(config, &[])
    }

    fn start_with(config: &str, variables: &[(&str, &str)]) -> Self {
        let file = TempFile::new(config);
        let mut command = support::gateway_command();
        command
            .args(["--config", &file.path])
            .envs(variables.iter().copied());
        Self::spawn(&mut command, file)
    }

    fn spawn(command: &mut Command, file: TempFile) -> Self {
        let mut gateway = Gateway::spawn(command.stderr(Stdio::piped()));
        let lines: Lines<BufReader<ChildStderr>> = BufReader::new(gateway.stderr()).lines();
        let (sender, log) = mpsc::channel();
        std::thread::spawn(move || {
            lines
                .map_while(Result::ok)
                .try_for_each(|line| sender.send(line))
        });
        Self { gateway, file, log }
    }

    fn write(&self, config: &str) {
        fs::write(&self.file.path, config).expect("written");
    }

    /// Returns the next message of its log.
    fn next_message(&self) -> String {
        let line = self
            .log
            .recv_timeout(Duration::from_secs(20))
            .expect("a line");
        let (_, message) = line.split_once(" sigv4_gateway::reload: ").expect(&line);
        message.replace(&self.file.path, "FILE")
    }

    /// Writes a configuration and reloads it at once.
    fn reload(&self, config: &str) {
        self.write(config);
        self.gateway.signal("HUP");
        assert_eq!(self.next_message(), "reloaded FILE");
    }

    async fn status(&self, path: &str) -> u16 {
        exchange(self.gateway.address, &get(path)).await.status
    }
}

fn get(path: &str) -> String {
    format!("GET {path} HTTP/1.1\r\nhost: api.example.com\r\nconnection: close\r\n\r\n")
}

/// Returns a table of a file of callers' keys.
fn key(id: &str) -> String {
    format!("[[key]]\naccess_key_id = \"{id}\"\nsecret_access_key = \"{SECRET_ACCESS_KEY}\"\n")
}

fn moved(config: &str) -> String {
    config.replace("path = \"/orders\"", "path = \"/moved\"")
}

#[tokio::test(flavor = "multi_thread")]
async fn valid_changes_are_loaded_and_invalid_ones_are_not() {
    let origin = TestOrigin::start(RESPONSE).await;
    let first = config(&format!("http://{}", origin.address), "");
    let running = RunningGateway::start(&first);
    assert_eq!(
        (
            running.status("/orders").await,
            running.status("/moved").await
        ),
        (200, 404)
    );

    running.write(&moved(&first));
    assert_eq!(running.next_message(), "reloaded FILE");
    assert_eq!(
        (
            running.status("/orders").await,
            running.status("/moved").await
        ),
        (404, 200)
    );

    running.write(&first.replace("origin = \"orders\"", "origin = \"others\""));
    let line = running.next_message();
    assert_eq!(
        line,
        format!("{KEPT}FILE:18: there is no origin \"others\"; name one of [\"orders\"]")
    );
    assert_eq!(running.status("/moved").await, 200);
    // The error is logged once, though the file has been read since.
    assert!(
        running
            .log
            .recv_timeout(Duration::from_millis(2500))
            .is_err()
    );

    // A misplaced secret is not logged.
    running.write(&first.replace("\"secret\"", "hunter2"));
    let line = running.next_message();
    assert!(
        line.starts_with(&format!("{KEPT}FILE:6: ")) && !line.contains("hunter2"),
        "{line}"
    );

    // A missing file is ignored until SIGHUP.
    fs::remove_file(&running.file.path).expect("removed");
    running.gateway.signal("HUP");
    assert!(
        running
            .next_message()
            .starts_with(&format!("{KEPT}cannot read FILE: "))
    );
    assert_eq!(running.status("/moved").await, 200);
    running.reload(&first);
    assert_eq!(running.status("/orders").await, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn settings_that_need_a_restart_are_logged() {
    let first = config("http://127.0.0.1:1", "");
    let running = RunningGateway::start(&first);
    let more = "[server]\nshutdown_grace = \"5s\"\nmin_body_rate = \"1KB\"\nmax_connections = 7";
    let changed = first.replacen("[server]", more, 1);
    for config in [changed.clone(), moved(&changed)] {
        running.reload(&config);
        assert_eq!(
            running.next_message(),
            "FILE: restart the gateway to apply the changes of max_connections in [server], \
             shutdown_grace in [server]"
        );
    }
    running.reload(&first);
    running.reload(&first);
}

#[tokio::test(flavor = "multi_thread")]
async fn cached_responses_survive_a_reload_unless_their_section_changes() {
    let origin = TestOrigin::start(
        "HTTP/1.1 200 OK\r\ncache-control: max-age=600, public\r\ncontent-length: 2\r\n\r\nok",
    )
    .await;
    let url = format!("http://{}", origin.address);
    let first = config(&url, "") + "cache = true\n";
    let running = RunningGateway::start(&first);
    assert_eq!(running.status("/orders").await, 200);
    let another = "[[route]]\npath = \"/b\"\norigin = \"orders\"\n";
    running.reload(&format!("{first}{another}"));
    assert_eq!(running.status("/orders").await, 200);
    assert_eq!(origin.requests().len(), 1);
    assert_eq!(running.status("/b").await, 200);
    assert_eq!(origin.connections(), 1, "connections stay open");
    running.reload(&format!("{first}[cache]\nmemory = \"2MiB\"\n"));
    assert_eq!(running.status("/orders").await, 200);
    assert_eq!(origin.requests().len(), 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn requests_in_flight_keep_their_configuration() {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let first = config(
        &format!("http://{}", listener.local_addr().expect("valid address")),
        "",
    );
    let running = RunningGateway::start(&first);
    let mut client = TcpStream::connect(running.gateway.address)
        .await
        .expect("connected");
    let request = "GET /orders HTTP/1.1\r\nhost: api.example.com\r\n\r\n";
    client.write_all(request.as_bytes()).await.expect("sent");
    let (mut origin, _) = listener.accept().await.expect("a connection");
    read_until(&mut origin, "\r\n\r\n").await;
    running.reload(&moved(&first));
    origin.write_all(RESPONSE.as_bytes()).await.expect("sent");
    read_until(&mut client, "\r\n\r\nok").await;
    // The next request on the same connection has the new configuration.
    client.write_all(request.as_bytes()).await.expect("sent");
    let response = read_until(&mut client, "\r\n\r\n").await;
    assert!(response.starts_with("HTTP/1.1 404 "), "{response}");
}

#[tokio::test]
async fn log_level_follows_the_file() {
    let origin = TestOrigin::start(RESPONSE).await;
    let config = config(&format!("http://{}", origin.address), "");
    let admin = "[admin]\nlisten = \"127.0.0.1:0\"";
    let logged = LoggingGateway::start(&with_log(&config, &format!("level = \"error\"\n{admin}")));
    let reload = async |section: &str| {
        let before = logged.lines().len();
        let section = format!("{section}\n{admin}");
        fs::write(&logged.config.path, with_log(&config, &section)).expect("written");
        logged.gateway.signal("HUP");
        let until = Instant::now() + Duration::from_secs(20);
        while logged.lines().len() == before {
            assert!(Instant::now() < until, "{:?}", logged.lines());
            time::sleep(Duration::from_millis(20)).await;
        }
    };
    assert_eq!(logged.send("GET", "/orders", "").await.status, 200);
    assert_eq!(logged.lines(), [""; 0]);
    reload("access = true").await;
    assert_eq!(logged.send("GET", "/orders", "").await.status, 200);
    logged.wait_for(" INFO access: request ").await;
    // A reload also replaces a level that was set by the admin port.
    assert_eq!(
        logged.admin("PUT", "", "error,access=off").await.status,
        204
    );
    reload("format = \"json\"").await;
    logged
        .wait_for(": restart the gateway to apply the changes of format in [log]")
        .await;
    assert_eq!(
        logged.admin("GET", "", "").await.body,
        "aws_config=warn,access=off,h2=error,info\n"
    );
    reload("format = \"json\"\nlevel = \"nothing\"").await;
    logged.wait_for(KEPT).await;
    logged
        .wait_for("\"nothing\" is not a level; write off, error, ")
        .await;
    assert!(
        logged.lines().iter().all(|line| line.starts_with("20")),
        "{:?}",
        logged.lines()
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn reloads_fail_no_request() {
    let origin = TestOrigin::start(RESPONSE).await;
    let first = config(&format!("http://{}", origin.address), "");
    let running = RunningGateway::start(&first);
    let address = running.gateway.address;
    let (stop, stopped) = tokio::sync::watch::channel(false);
    let clients: Vec<_> = (0..4)
        .map(|_| {
            let stopped = stopped.clone();
            tokio::spawn(async move {
                let mut count = 0;
                while !*stopped.borrow() {
                    assert_eq!(exchange(address, &get("/orders")).await.status, 200);
                    count += 1;
                }
                count
            })
        })
        .collect();
    for round in 1..30 {
        running.reload(&format!("{first}timeout = \"{round}m\"\n"));
    }
    stop.send_replace(true);
    for client in clients {
        assert!(client.await.expect("no failure") > 0);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn removed_keys_are_rejected_on_open_connections() {
    let origin = TestOrigin::start(RESPONSE).await;
    let keys = TempFile::new(&(key("AKIDSTAYS") + &key("AKIDLEAVES")));
    let verify = format!(
        "[verify]\nservice = \"{SERVICE}\"\nregion = \"{REGION}\"\nkeys_file_env = \"CALLERS\"\n"
    );
    let config = config(&format!("http://{}", origin.address), &verify);
    let running = RunningGateway::start_with(&config, &[("CALLERS", &keys.path)]);
    let mut client = TcpStream::connect(running.gateway.address)
        .await
        .expect("connected");
    let mut status = async |id: &str| {
        let host = "api.example.com";
        let request = support::signed_request("GET", "/orders", host, "", id, SECRET_ACCESS_KEY);
        let request = request.replace("connection: close\r\n", "");
        client.write_all(request.as_bytes()).await.expect("sent");
        let response = read_until(&mut client, "\r\n\r\n").await;
        response.split(' ').nth(1).map(str::to_owned)
    };
    assert_eq!(status("AKIDLEAVES").await.as_deref(), Some("200"));
    fs::write(&keys.path, key("AKIDSTAYS")).expect("written");
    assert_eq!(running.next_message(), "reloaded FILE");
    assert_eq!(status("AKIDSTAYS").await.as_deref(), Some("200"));
    assert_eq!(status("AKIDLEAVES").await.as_deref(), Some("403"));
}
