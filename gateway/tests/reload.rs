//! A configuration that changes while the gateway runs.
#![cfg(unix)]

#[allow(dead_code)]
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

const ANSWER: &str = "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok";

/// A gateway, its file and what it logs.
struct Running {
    gateway: Gateway,
    file: TempFile,
    log: mpsc::Receiver<String>,
}

impl Running {
    fn start(config: &str) -> Self {
        Self::start_with(config, &[])
    }

    fn start_with(config: &str, variables: &[(&str, &str)]) -> Self {
        let file = TempFile::new(config);
        let mut command = support::gateway_command();
        command
            .args(["--config", &file.path])
            .envs(variables.iter().copied());
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

    /// What the next line of its log says.
    fn line(&self) -> String {
        let line = self
            .log
            .recv_timeout(Duration::from_secs(20))
            .expect("a line");
        let (_, said) = line.split_once(" sigv4_gateway::reload: ").expect(&line);
        said.replace(&self.file.path, "FILE")
    }

    /// Writes a configuration and has it taken at once.
    fn take(&self, config: &str) {
        self.write(config);
        self.gateway.signal("HUP");
        assert_eq!(self.line(), "reloaded FILE");
    }

    async fn status(&self, path: &str) -> u16 {
        exchange(self.gateway.address, &get(path)).await.status
    }
}

fn get(path: &str) -> String {
    format!("GET {path} HTTP/1.1\r\nhost: api.example.com\r\nconnection: close\r\n\r\n")
}

fn moved(config: &str) -> String {
    config.replace("path = \"/orders\"", "path = \"/moved\"")
}

#[tokio::test(flavor = "multi_thread")]
async fn valid_changes_are_loaded_and_invalid_ones_are_not() {
    let origin = TestOrigin::start(ANSWER).await;
    let first = config(&format!("http://{}", origin.address), "");
    let running = Running::start(&first);
    assert_eq!(
        (
            running.status("/orders").await,
            running.status("/moved").await
        ),
        (200, 404)
    );

    running.write(&moved(&first));
    assert_eq!(running.line(), "reloaded FILE");
    assert_eq!(
        (
            running.status("/orders").await,
            running.status("/moved").await
        ),
        (404, 200)
    );

    running.write(&first.replace("origin = \"orders\"", "origin = \"others\""));
    let line = running.line();
    assert_eq!(
        line,
        "keeping the previous configuration: FILE:18: there is no origin \
         \"others\"; name one of [\"orders\"]"
    );
    assert_eq!(running.status("/moved").await, 200);
    // It was told once, though the file has been looked at since.
    assert!(
        running
            .log
            .recv_timeout(Duration::from_millis(2500))
            .is_err()
    );

    // A secret in the wrong place is not told.
    running.write(&first.replace("\"secret\"", "hunter2"));
    let line = running.line();
    assert!(
        line.contains("keeping the previous configuration: FILE:6: ") && !line.contains("hunter2"),
        "{line}"
    );

    // A file that is missing is about to come back, unless someone asks.
    fs::remove_file(&running.file.path).expect("removed");
    running.gateway.signal("HUP");
    assert!(
        running
            .line()
            .contains("keeping the previous configuration: cannot read FILE: ")
    );
    assert_eq!(running.status("/moved").await, 200);
    running.take(&first);
    assert_eq!(running.status("/orders").await, 200);
}

/// Each of its lengths is sound, and none but the last is meant.
#[test]
fn file_is_not_loaded_while_it_is_written() {
    let first = config("http://127.0.0.1:1", "");
    let running = Running::start(&first);
    let mut text = first;
    // Another time where the machine had other things to do than to write.
    let is_taken_at_its_end = (0..10).any(|_| {
        let (began, mut last, mut longest) = (Instant::now(), Instant::now(), Duration::ZERO);
        while began.elapsed() < Duration::from_millis(3500) {
            text.push_str("# more\n");
            running.write(&text);
            longest = longest.max(last.elapsed());
            last = Instant::now();
            std::thread::sleep(Duration::from_millis(50));
        }
        let early: Vec<_> = running.log.try_iter().collect();
        assert_eq!(running.line(), "reloaded FILE");
        assert!(
            early.is_empty() || longest > Duration::from_millis(500),
            "{early:?}"
        );
        early.is_empty()
    });
    assert!(is_taken_at_its_end);
}

#[tokio::test(flavor = "multi_thread")]
async fn settings_that_need_a_restart_are_logged() {
    let first = config("http://127.0.0.1:1", "");
    let running = Running::start(&first);
    let more = "[server]\nshutdown_grace = \"5s\"\nmin_body_rate = \"1KB\"\nmax_connections = 7";
    let changed = first.replacen("[server]", more, 1);
    for config in [changed.clone(), moved(&changed)] {
        running.take(&config);
        assert_eq!(
            running.line(),
            "FILE: restart the gateway to apply the changes of max_connections in [server], \
             shutdown_grace in [server]"
        );
    }
    running.take(&first);
    running.take(&first);
}

#[tokio::test(flavor = "multi_thread")]
async fn cached_responses_survive_a_reload_unless_their_section_changes() {
    let origin = TestOrigin::start(
        "HTTP/1.1 200 OK\r\ncache-control: max-age=600, public\r\ncontent-length: 2\r\n\r\nok",
    )
    .await;
    let url = format!("http://{}", origin.address);
    let first = config(&url, "") + "cache = true\n";
    let running = Running::start(&first);
    assert_eq!(running.status("/orders").await, 200);
    let another = "[[route]]\npath = \"/b\"\norigin = \"orders\"\n";
    running.take(&format!("{first}{another}"));
    assert_eq!(running.status("/orders").await, 200);
    assert_eq!(origin.requests().len(), 1);
    assert_eq!(running.status("/b").await, 200);
    assert_eq!(origin.connections(), 1, "connections stay open");
    running.take(&format!("{first}[cache]\nmemory = \"2MiB\"\n"));
    assert_eq!(running.status("/orders").await, 200);
    assert_eq!(origin.requests().len(), 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn requests_in_flight_keep_their_configuration() {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let first = config(
        &format!("http://{}", listener.local_addr().expect("an address")),
        "",
    );
    let running = Running::start(&first);
    let mut client = TcpStream::connect(running.gateway.address)
        .await
        .expect("connected");
    let request = "GET /orders HTTP/1.1\r\nhost: api.example.com\r\n\r\n";
    client.write_all(request.as_bytes()).await.expect("sent");
    let (mut origin, _) = listener.accept().await.expect("a connection");
    read_until(&mut origin, "\r\n\r\n").await;
    running.take(&moved(&first));
    origin.write_all(ANSWER.as_bytes()).await.expect("sent");
    read_until(&mut client, "\r\n\r\nok").await;
    // The next one on the same connection goes the new way.
    client.write_all(request.as_bytes()).await.expect("sent");
    let answer = read_until(&mut client, "\r\n\r\n").await;
    assert!(answer.starts_with("HTTP/1.1 404 "), "{answer}");
}

#[tokio::test]
async fn log_level_follows_the_file() {
    let origin = TestOrigin::start(ANSWER).await;
    let config = config(&format!("http://{}", origin.address), "");
    let admin = "[admin]\nlisten = \"127.0.0.1:0\"";
    let logged = LoggingGateway::start(&with_log(&config, &format!("level = \"error\"\n{admin}")));
    let take = async |section: &str| {
        let said = logged.lines().len();
        let section = format!("{section}\n{admin}");
        fs::write(&logged.config.path, with_log(&config, &section)).expect("written");
        logged.gateway.signal("HUP");
        let until = Instant::now() + Duration::from_secs(20);
        while logged.lines().len() == said {
            assert!(Instant::now() < until, "{:?}", logged.lines());
            time::sleep(Duration::from_millis(20)).await;
        }
    };
    assert_eq!(logged.send("GET", "/orders", "").await.status, 200);
    assert_eq!(logged.lines(), [""; 0]);
    take("access = true").await;
    assert_eq!(logged.send("GET", "/orders", "").await.status, 200);
    logged.wait_for(" INFO access: request ").await;
    // The file holds again, whatever was set since.
    assert_eq!(
        logged.admin("PUT", "", "error,access=off").await.status,
        204
    );
    take("format = \"json\"").await;
    logged
        .wait_for(": restart the gateway to apply the changes of format in [log]")
        .await;
    assert_eq!(logged.admin("GET", "", "").await.body, "access=off,info\n");
    take("format = \"json\"\nlevel = \"nothing\"").await;
    logged
        .wait_for("keeping the previous configuration: ")
        .await;
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
    let origin = TestOrigin::start(ANSWER).await;
    let first = config(&format!("http://{}", origin.address), "");
    let running = Running::start(&first);
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
        running.take(&format!("{first}timeout = \"{round}m\"\n"));
    }
    stop.send_replace(true);
    for client in clients {
        assert!(client.await.expect("no failure") > 0);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn blocked_file_does_not_delay_shutdown() {
    let mut running = Running::start(&config("http://127.0.0.1:1", ""));
    fs::remove_file(&running.file.path).expect("removed");
    let made = Command::new("mkfifo")
        .arg(&running.file.path)
        .status()
        .expect("mkfifo runs");
    assert!(made.success());
    time::sleep(Duration::from_millis(2500)).await; // it is looked at each second
    running.gateway.terminate();
    let ended = tokio::task::spawn_blocking(move || running.gateway.wait());
    let status = time::timeout(Duration::from_secs(20), ended)
        .await
        .expect("it ends");
    assert!(status.expect("no panic").success());
}

#[tokio::test(flavor = "multi_thread")]
async fn unreadable_file_is_logged_once() {
    let running = Running::start(&config("http://127.0.0.1:1", ""));
    fs::remove_file(&running.file.path).expect("removed");
    fs::create_dir(&running.file.path).expect("made");
    let line = running.line();
    assert!(
        line.contains("keeping the previous configuration: cannot read FILE: "),
        "{line}"
    );
    assert!(
        running
            .log
            .recv_timeout(Duration::from_millis(2500))
            .is_err()
    );
    fs::remove_dir(&running.file.path).expect("removed");
}

#[tokio::test(flavor = "multi_thread")]
async fn removed_keys_are_rejected_on_open_connections() {
    let origin = TestOrigin::start(ANSWER).await;
    let key = |id: &str| {
        format!("[[key]]\naccess_key_id = \"{id}\"\nsecret_access_key = \"{SECRET_ACCESS_KEY}\"\n")
    };
    let keys = TempFile::new(&(key("AKIDSTAYS") + &key("AKIDLEAVES")));
    let verify = format!(
        "[verify]\nservice = \"{SERVICE}\"\nregion = \"{REGION}\"\nkeys_file_env = \"CALLERS\"\n"
    );
    let config = config(&format!("http://{}", origin.address), &verify);
    let running = Running::start_with(&config, &[("CALLERS", &keys.path)]);
    let mut client = TcpStream::connect(running.gateway.address)
        .await
        .expect("connected");
    let mut ask = async |id: &str| {
        let host = "api.example.com";
        let request = support::signed_request("GET", "/orders", host, "", id, SECRET_ACCESS_KEY);
        let request = request.replace("connection: close\r\n", "");
        client.write_all(request.as_bytes()).await.expect("sent");
        let answer = read_until(&mut client, "\r\n\r\n").await;
        answer.split(' ').nth(1).map(str::to_owned)
    };
    assert_eq!(ask("AKIDLEAVES").await.as_deref(), Some("200"));
    fs::write(&keys.path, key("AKIDSTAYS")).expect("written");
    assert_eq!(running.line(), "reloaded FILE");
    assert_eq!(ask("AKIDSTAYS").await.as_deref(), Some("200"));
    assert_eq!(ask("AKIDLEAVES").await.as_deref(), Some("403"));
}
