//! Bodies in temporary files.

use std::{env, path::Path, process::Command};

use bytes::Bytes;
use http::{HeaderMap, Request};
use http_body::{Body, SizeHint};
use http_body_util::BodyExt;
use tower::{Layer, ServiceExt, service_fn};
use tower_sigv4::{
    Error, ErrorKind, SigningLayer,
    body::SignedBody,
    origin::{PayloadMode, Spool, UriOrigin},
    sigv4::PayloadHash,
};

use crate::common::{
    self, HOST, ScriptedBody, Step, directory::Directory, echo, header, layer, poll_once, send_any,
};

const BUFFERED: usize = 10_000;

fn open_files() -> usize {
    usize::from(Path::new("/proc/self/fd").exists())
}

fn spooling(directory: &Directory) -> SigningLayer {
    let target = UriOrigin::new(common::settings("execute-api"))
        .with_payload(PayloadMode::Spool)
        .with_spool(directory.spool())
        .with_body_limit(BUFFERED as u64);
    layer(target)
}

fn bytes(len: usize) -> Bytes {
    (0..len)
        .map(|at| (at % 251) as u8)
        .collect::<Vec<_>>()
        .into()
}

fn chunks(all: &Bytes, chunk: usize) -> Vec<Step> {
    let len = all.len();
    (0..len)
        .step_by(chunk)
        .flat_map(|at| [Step::Data(all.slice(at..len.min(at + chunk))), Step::Yield])
        .collect()
}

fn put(body: ScriptedBody) -> Request<ScriptedBody> {
    Request::put(format!("https://{HOST}/key"))
        .body(body)
        .expect("a request")
}

type SentRequest = Request<SignedBody<ScriptedBody>>;

async fn sent(layer: &SigningLayer, body: ScriptedBody) -> Result<SentRequest, Error> {
    send_any(layer, put(body)).await
}

#[tokio::test]
async fn large_bodies_are_sent_from_an_unnamed_file() {
    let directory = Directory::new();
    let layer = spooling(&directory);
    for (len, chunk) in [
        (0, 1),
        (1, 1),
        (BUFFERED, 1000),
        (BUFFERED + 1, 1000),
        (5 * BUFFERED, 7),
        (3_000_000, 100_000),
        (3_000_000, 3_000_000),
    ] {
        let all = bytes(len);
        for known in [true, false] {
            let size = if known {
                SizeHint::with_exact(len as u64)
            } else {
                SizeHint::default()
            };
            let body = ScriptedBody::new(chunks(&all, chunk)).with_size(size);
            let sent = sent(&layer, body).await.expect("sent");
            let spooled = if len > BUFFERED { open_files() } else { 0 };
            assert_eq!(directory.files(), (0, spooled), "{len}");
            let hash = header(sent.headers(), "x-amz-content-sha256");
            assert_eq!(hash, PayloadHash::of(&all).to_string());
            assert_eq!(header(sent.headers(), "content-length"), len.to_string());
            assert!(!sent.headers().contains_key("transfer-encoding"));
            let mut body = sent.into_body();
            assert_eq!(body.size_hint().exact(), Some(len as u64));
            assert_eq!(body.is_end_stream(), len == 0);
            let mut read = Vec::new();
            while let Some(frame) = body.frame().await {
                read.extend_from_slice(&frame.expect("read").into_data().expect("data"));
                let left = len - read.len();
                assert_eq!(body.size_hint().exact(), Some(left as u64));
                assert_eq!(body.is_end_stream(), left == 0);
            }
            assert!(read == all, "{len} by {chunk}");
            drop(body);
            assert!(directory.is_clear().await, "{len}: {:?}", directory.files());
        }
    }
}

#[tokio::test]
async fn trailers_follow_a_spooled_body() {
    let directory = Directory::new();
    let mut trailers = HeaderMap::new();
    trailers.insert("x-checksum", "1".parse().expect("a value"));
    let all = bytes(2 * BUFFERED);
    let body = ScriptedBody::new([Step::Data(all.clone()), Step::Trailers(trailers.clone())])
        .with_size(SizeHint::default());
    let body = sent(&spooling(&directory), body)
        .await
        .expect("sent")
        .into_body();
    let collected = body.collect().await.expect("a body");
    assert_eq!(collected.trailers(), Some(&trailers));
    assert!(collected.to_bytes() == all);
}

#[tokio::test]
async fn dropped_requests_leave_no_files() {
    let directory = Directory::new();
    let layer = spooling(&directory);
    let all = bytes(10 * BUFFERED);
    // While the body is collected.
    let mut polls = 0;
    loop {
        let body = ScriptedBody::new(chunks(&all, BUFFERED / 3));
        let echo = service_fn(echo);
        let mut future = Box::pin(layer.layer(echo).oneshot(put(body)));
        let mut ended = false;
        for _ in 0..polls {
            if poll_once(&mut future).await.is_some() {
                ended = true;
                break;
            }
            if polls % 2 == 0 {
                tokio::task::spawn_blocking(|| ()).await.expect("run"); // lets a write end
            }
        }
        drop(future);
        assert!(
            directory.is_clear().await,
            "after {polls} polls: {:?}",
            directory.files()
        );
        if ended {
            break;
        }
        polls += 1;
    }
    assert!(polls > 10);
    // While the body is sent.
    for frames in 0..3 {
        let body = ScriptedBody::new(chunks(&bytes(600_000), 50_000));
        let mut body = sent(&layer, body).await.expect("sent").into_body();
        for _ in 0..frames {
            assert!(body.frame().await.expect("a frame").is_ok());
        }
        let mut next = body.frame();
        drop(poll_once(&mut next).await); // usually starts a read
        drop(body);
        assert!(directory.is_clear().await);
    }
}

/// Closing a large file takes tens of milliseconds and would block all tasks of a worker thread.
#[cfg(target_os = "linux")]
#[test]
fn files_are_closed_on_a_blocking_thread() {
    let directory = Directory::new();
    let layer = spooling(&directory);
    let mut runtime = tokio::runtime::Builder::new_current_thread();
    let runtime = runtime
        .enable_time()
        .max_blocking_threads(1)
        .build()
        .expect("a runtime");
    let sending = || {
        sent(
            &layer,
            ScriptedBody::new(chunks(&bytes(2 * BUFFERED), 1000)),
        )
    };
    runtime.block_on(async {
        let body = sending().await.expect("sent").into_body();
        let mut written = Box::pin(sending());
        while directory.files().1 == 1 {
            assert!(
                poll_once(&mut written).await.is_none(),
                "not before its file is open"
            );
            tokio::task::spawn_blocking(|| ()).await.expect("run"); // after the write
        }
        // No file is closed while the only blocking thread is busy.
        let (resume, wait) = std::sync::mpsc::channel::<()>();
        drop(tokio::task::spawn_blocking(move || wait.recv().is_err()));
        drop(body);
        drop(written);
        assert_eq!(directory.files(), (0, 2));
        drop(resume);
        assert!(directory.is_clear().await);
    });
    // Without a runtime files are closed at once.
    let [outside, orphan] = [(); 2].map(|()| runtime.block_on(sending()).expect("sent"));
    drop(outside);
    assert_eq!(directory.files(), (0, 1));
    drop(runtime);
    drop(orphan);
    assert_eq!(directory.files(), (0, 0));
}

#[tokio::test]
async fn failed_bodies_leave_no_files() {
    let directory = Directory::new();
    let layer = spooling(&directory);
    for (declared, end, kind) in [
        (None, vec![Step::Fail], ErrorKind::BodyRead),
        (Some(5 * BUFFERED + 1), vec![], ErrorKind::BodyRead),
        (Some(5 * BUFFERED - 1), vec![], ErrorKind::BodyRead),
    ] {
        let steps = chunks(&bytes(5 * BUFFERED), 1000).into_iter().chain(end);
        let mut body = ScriptedBody::new(steps.collect::<Vec<_>>()).with_size(SizeHint::default());
        if let Some(declared) = declared {
            body = body.with_size(SizeHint::with_exact(declared as u64));
        }
        let error = sent(&layer, body).await.expect_err("wrong length");
        assert_eq!(error.kind(), kind, "{error}");
        assert!(directory.is_clear().await);
    }
}

#[tokio::test]
async fn spools_have_their_own_limit() {
    let directory = Directory::new();
    let target = |mode| {
        UriOrigin::new(common::settings("s3"))
            .with_payload(mode)
            .with_spool(directory.spool().with_body_limit(30_000))
            .with_body_limit(BUFFERED as u64)
    };
    let kind = async |mode, len: usize, size: SizeHint| {
        let body = ScriptedBody::new(chunks(&bytes(len), 1000)).with_size(size);
        let sent = sent(&layer(target(mode)), body).await;
        sent.map(|sent| header(sent.headers(), "x-amz-content-sha256").starts_with("STREAMING-"))
            .map_err(|error| error.kind())
    };
    let exact = |len| SizeHint::with_exact(len as u64);
    let too_large = Err(ErrorKind::BodyTooLarge);
    for mode in [PayloadMode::Spool, PayloadMode::Auto] {
        for (len, size, expected) in [
            (30_000, SizeHint::default(), Ok(false)),
            (30_001, SizeHint::default(), too_large),
            (BUFFERED, exact(BUFFERED), Ok(false)),
            // The limit does not apply to chunks.
            (
                30_001,
                exact(30_001),
                if mode == PayloadMode::Auto {
                    Ok(true)
                } else {
                    too_large
                },
            ),
        ] {
            assert_eq!(kind(mode, len, size).await, expected, "{mode:?} {len}");
        }
    }
    let api = UriOrigin::new(common::settings("execute-api"))
        .with_payload(PayloadMode::Auto)
        .with_spool(directory.spool())
        .with_body_limit(BUFFERED as u64);
    let body = ScriptedBody::new(chunks(&bytes(20_000), 1000));
    let sent_by_api = sent(&layer(api), body).await.expect("spooled");
    assert_eq!(directory.files().1, open_files());
    drop(sent_by_api);

    let none = UriOrigin::new(common::settings("s3")).with_payload(PayloadMode::Spool);
    let error = sent(&layer(none), ScriptedBody::new([]))
        .await
        .expect_err("no spool");
    assert_eq!(error.kind(), ErrorKind::Config);
    assert!(error.to_string().contains("with_spool"), "{error}");
}

#[test]
fn unusable_directories_are_configuration_errors() {
    let error = Spool::new("/nonexistent/spool").expect_err("missing");
    assert_eq!(error.kind(), ErrorKind::Config);
    assert!(
        error.to_string().contains("\"/nonexistent/spool\""),
        "{error}"
    );
}

/// Maximum file size of the process, which stands in for a full disk.
const LARGEST_FILE: &str = "64"; // blocks of 512 bytes, or of 1 KiB

/// Runs in a process of its downcast_error, since the limit applies to the whole process.
#[cfg(unix)]
#[test]
fn full_disks_are_reported_and_leave_no_files() {
    let limited = "ulimit -f \"$1\" && trap '' XFSZ && shift && exec \"$@\"";
    let test = env::current_exe().expect("this program");
    let output = Command::new("sh")
        .args(["-c", limited, "sh", LARGEST_FILE])
        .arg(test)
        .args([
            "--exact",
            "spool::files_with_a_size_limit",
            "--ignored",
            "--nocapture",
        ])
        .output()
        .expect("run");
    let stdout = String::from_utf8_lossy(&output.stdout);
    assert!(
        output.status.success(),
        "{stdout}{}",
        String::from_utf8_lossy(&output.stderr)
    );
    assert!(stdout.contains("1 passed"), "{stdout}");
}

#[tokio::test]
#[ignore = "needs a limit on files; full_disks_are_reported_and_leave_no_files runs it"]
async fn files_with_a_size_limit() {
    let directory = Directory::new();
    let layer = spooling(&directory);
    let small = ScriptedBody::new(chunks(&bytes(2 * BUFFERED), 1000));
    drop(sent(&layer, small).await.expect("small enough"));
    for len in [200_000, 3_000_000] {
        let large = ScriptedBody::new(chunks(&bytes(len), 10_000));
        let error = sent(&layer, large)
            .await
            .expect_err("too large for the disk");
        assert_eq!(error.kind(), ErrorKind::Spool, "{error}");
        assert_eq!(error.status(), 507);
        let source = std::error::Error::source(&error).expect("the system's error");
        assert!(source.to_string().contains("too large"), "{source}");
        assert!(directory.is_clear().await);
    }
}
