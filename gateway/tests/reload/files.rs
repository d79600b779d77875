//! Files that are written, removed or replaced while they are watched.

use std::{
    fs,
    io::{self, Write},
    process::Command,
    time::{Duration, Instant},
};

use super::{
    KEPT, REGION, RESPONSE, RunningGateway, SECRET_ACCESS_KEY, SERVICE, TempFile, TestOrigin,
    config, exchange, key,
    support::{self, ACCESS_KEY_ID, signed_request},
};

/// Each prefix is valid, but only the last one is complete.
#[test]
fn file_is_not_loaded_while_it_is_written() {
    let first = config("http://127.0.0.1:1", "");
    let running = RunningGateway::start(&first);
    let mut text = first;
    // Repeats if the machine was too busy to write in time.
    let is_loaded_at_the_end = (0..10).any(|_| {
        let (began, mut last, mut longest) = (Instant::now(), Instant::now(), Duration::ZERO);
        while began.elapsed() < Duration::from_millis(3500) {
            text.push_str("# more\n");
            running.write(&text);
            longest = longest.max(last.elapsed());
            last = Instant::now();
            std::thread::sleep(Duration::from_millis(50));
        }
        let early: Vec<_> = running.log.try_iter().collect();
        assert_eq!(running.next_message(), "reloaded FILE");
        assert!(
            early.is_empty() || longest > Duration::from_millis(500),
            "{early:?}"
        );
        early.is_empty()
    });
    assert!(is_loaded_at_the_end);
}

fn replace_by_pipe(path: &str) {
    fs::remove_file(path).expect("removed");
    let made = Command::new("mkfifo").arg(path).status();
    assert!(made.expect("mkfifo runs").success());
}

/// The read of a pipe without a writer would block for ever.
#[test]
fn file_that_becomes_a_pipe_is_not_read() {
    let first = config("http://127.0.0.1:1", "");
    let running = RunningGateway::start(&first);
    replace_by_pipe(&running.file.path);
    let message = running.next_message();
    assert!(
        message.contains("cannot read FILE: it is a pipe, a socket or a device"),
        "{message}"
    );
    fs::remove_file(&running.file.path).expect("removed");
    running.write(&first);
    assert_eq!(running.next_message(), "reloaded FILE");
}

#[tokio::test(flavor = "multi_thread")]
async fn files_that_a_pipe_names_are_watched() {
    let origin = TestOrigin::start(RESPONSE).await;
    let [secret, keys] = ["", ""].map(TempFile::new);
    let verify = format!(
        "[verify]\nservice = \"{SERVICE}\"\nregion = \"{REGION}\"\nkeys_file = \"{}\"\n",
        keys.path
    );
    let text = config(&format!("http://{}", origin.address), &verify)
        .replace("\"secret\"", &format!("\"file:{}\"", secret.path));
    for is_named in [false, true] {
        fs::write(&secret.path, "hunter2\n").expect("written");
        fs::write(&keys.path, key("AKIDLEAVES")).expect("written");
        let file = TempFile::new(&text);
        let mut command = support::gateway_command();
        let path = if is_named {
            replace_by_pipe(&file.path);
            let (pipe, content) = (file.path.clone(), text.clone());
            std::thread::spawn(move || fs::write(pipe, content));
            &*file.path
        } else {
            let (reader, mut writer) = io::pipe().expect("a pipe");
            writer.write_all(text.as_bytes()).expect("written"); // fits its buffer
            command.stdin(reader);
            "/dev/stdin"
        };
        command.args(["--config", path]);
        let reloaded = format!("reloaded {path}").replace(&file.path, "FILE");
        let running = RunningGateway::spawn(&mut command, file);
        let status = async || {
            let (target, host) = ("/orders", "api.example.com");
            let request = signed_request("GET", target, host, "", "AKIDLEAVES", SECRET_ACCESS_KEY);
            exchange(running.gateway.address, &request).await.status
        };
        assert_eq!(status().await, 200);
        fs::write(&keys.path, key("AKIDSTAYS")).expect("written");
        assert_eq!(running.next_message(), reloaded);
        assert_eq!(status().await, 403);
        fs::write(&secret.path, "").expect("written");
        let message = running.next_message();
        assert!(message.contains("is empty; write the value"), "{message}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn unreadable_file_is_logged_once() {
    let running = RunningGateway::start(&config("http://127.0.0.1:1", ""));
    fs::remove_file(&running.file.path).expect("removed");
    fs::create_dir(&running.file.path).expect("made");
    let line = running.next_message();
    assert!(
        line.starts_with(&format!("{KEPT}cannot read FILE: ")),
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
async fn included_files_and_files_of_secrets_are_watched() {
    let origin = support::aws_verifier::start().await;
    let secret = TempFile::new(&format!("{SECRET_ACCESS_KEY}\n"));
    let [one, two] = ["one", "two"].map(|name| format!("/{name}"));
    let included = |path: &str| format!("[[route]]\npath = {path:?}\norigin = \"orders\"\n");
    let file = TempFile::new(&included(&one));
    let main = config(&format!("http://{origin}"), "")
        .replace("\"AKID\"", &format!("{ACCESS_KEY_ID:?}"))
        .replace("\"secret\"", &format!("\"file:{}\"", secret.path))
        .replace("eu-west-1", REGION);
    let pattern = file.path.replace(".tmp", ".t[m]p");
    let running = RunningGateway::start(&format!("include = {pattern:?}\n{main}"));
    let statuses = async || (running.status(&one).await, running.status(&two).await);
    assert_eq!(statuses().await, (200, 404));

    fs::write(&file.path, included(&two)).expect("written");
    assert_eq!(running.next_message(), "reloaded FILE");
    assert_eq!(statuses().await, (404, 200));
    fs::write(&file.path, "[server]\n").expect("written");
    let message = running.next_message();
    assert!(message.starts_with(KEPT), "{message}");
    assert_eq!(statuses().await, (404, 200));
    fs::remove_file(&file.path).expect("removed");
    assert_eq!(running.next_message(), "reloaded FILE");
    let message = running.next_message();
    assert!(message.contains("matches no file"), "{message}");
    assert_eq!(statuses().await, (404, 404));

    fs::write(&secret.path, "").expect("written");
    let message = running.next_message();
    assert!(
        message.contains("is empty; write the value into it"),
        "{message}"
    );
    assert_eq!(running.status("/orders").await, 200);
    fs::write(&secret.path, "hunter3\n").expect("written");
    assert_eq!(running.next_message(), "reloaded FILE");
    assert_eq!(running.status("/orders").await, 403, "another signature");
}
