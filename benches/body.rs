//! Time and memory per body in each mode, compared with the hash alone.
//!
//! ```text
//! cargo bench -p tower-sigv4-benches --bench body
//! ```
//!
//! One operation sends or receives a body of 8 MiB in frames of 64 KiB. The time to create the frames and to iterate
//! over them is measured separately and subtracted. To measure time, they are slices of one allocation, so that each
//! contender hashes cached data. To measure memory, each is an allocation of its own, as on a connection.
//!
//! The bodies of clients that have signed are of 1 MiB. They are framed once for each operation: the signatures of chunks
//! are those of a client's key. With a verifier in front, chunks are hashed twice, since the client's chunks and ours
//! differ in length.
//!
//! No other mode hashes data twice, since the signature of a chunk covers its hash. So the hash of the body is the lower bound
//! for all modes except the unsigned ones. Spooled bodies are in the directory for temporary files.

use std::{
    convert::Infallible,
    env,
    pin::Pin,
    task::{Context, Poll},
    time::{Duration, UNIX_EPOCH},
};

use bytes::Bytes;
use http::{Request, Response, request::Parts};
use http_body::{Body, Frame, SizeHint};
use http_body_util::{BodyExt, Empty};
use peak_alloc::PeakAlloc;
use sha2::{Digest, Sha256};
use tokio::runtime::{Builder, Runtime};
use tower::{Layer, ServiceExt, service_fn};
use tower_sigv4::{
    Clock, SigningLayer, SigningSettings, VerifyLayer,
    credentials::Credentials,
    origin::{PayloadMode, Spool, UriOrigin},
    sigv4::{Checksum, ChunkSize},
    verify::{BodyCheck, RejectionKind, StaticKeys, VerifySettings},
};
use tower_sigv4_benches::{
    Contender, compare_bytes, contender,
    request::{ACCESS_KEY_ID, REGION, SECRET_ACCESS_KEY, TIME},
};

#[global_allocator]
static ALLOCATOR: PeakAlloc = PeakAlloc;

const FRAME: usize = 64 * 1024;
const LEN: usize = 8 * 1024 * 1024;

/// The frames of a body.
#[derive(Clone)]
struct Frames {
    all: Bytes,
    /// Copies each frame.
    copied: bool,
}

impl Body for Frames {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        let len = FRAME.min(self.all.len());
        let shared = self.all.split_to(len);
        let data = if self.copied {
            Bytes::copy_from_slice(&shared)
        } else {
            shared
        };
        Poll::Ready((len > 0).then(|| Ok(Frame::data(data))))
    }

    fn is_end_stream(&self) -> bool {
        self.all.is_empty()
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.all.len() as u64)
    }
}

/// Reads a body as a connection does, and returns its length.
async fn drain<B>(body: B) -> usize
where
    B: Body<Data = Bytes>,
    B::Error: Into<tower_sigv4::BoxError>,
{
    let mut pinned = std::pin::pin!(body);
    let mut len = 0;
    while let Some(result) = pinned.frame().await {
        let frame = result.map_err(Into::into).expect("a frame");
        len += frame.data_ref().map_or(0, Bytes::len);
    }
    len
}

fn credentials() -> Credentials {
    Credentials::new(ACCESS_KEY_ID, SECRET_ACCESS_KEY, None, None, "benchmark")
}

fn clock() -> Clock {
    Clock::manual(UNIX_EPOCH + Duration::from_secs(TIME))
}

fn layer(mode: PayloadMode) -> SigningLayer {
    let settings = SigningSettings::new("s3", REGION).expect("a scope");
    let held = if mode == PayloadMode::Spool {
        1024 * 1024
    } else {
        LEN as u64
    };
    let target = UriOrigin::new(settings)
        .with_payload(mode)
        .with_body_limit(held)
        .with_spool(Spool::new(env::temp_dir()).expect("a directory"));
    SigningLayer::new(credentials(), target).with_clock(clock())
}

fn put(body: Frames) -> Request<Frames> {
    Request::put("https://bucket.s3.us-east-1.amazonaws.com/key")
        .body(body)
        .expect("a request")
}

fn chunked() -> PayloadMode {
    PayloadMode::Chunked(ChunkSize::default())
}

fn chunked_trailer() -> PayloadMode {
    PayloadMode::ChunkedTrailer(ChunkSize::default(), Checksum::Crc64Nvme)
}

fn unsigned_trailer() -> PayloadMode {
    PayloadMode::UnsignedTrailer(Checksum::Crc64Nvme)
}

/// Returns the contenders that send these frames.
fn sending<'a>(runtime: &'a Runtime, frames: &Frames) -> Vec<Contender<'a>> {
    let mut contenders = base(runtime, frames);
    for (name, mode) in [
        ("buffer", PayloadMode::Buffer),
        ("spool", PayloadMode::Spool),
        ("unsigned", PayloadMode::Unsigned),
        ("chunked", chunked()),
        ("chunked, CRC-64/NVME", chunked_trailer()),
        ("unsigned, CRC-64/NVME", unsigned_trailer()),
    ] {
        let body = frames.clone();
        let send = service_fn(async |request: Request<_>| {
            let read = drain(request.into_body()).await;
            let mut response = Response::new(Empty::<Bytes>::new());
            response.extensions_mut().insert(read);
            Ok::<_, Infallible>(response)
        });
        let client = layer(mode).layer(send);
        contenders.push(contender(name, move || {
            let sent = runtime.block_on(client.clone().oneshot(put(body.clone())));
            assert!(sent.expect("sent").extensions().get::<usize>() >= Some(&LEN));
        }));
    }
    contenders
}

/// Returns the contender that is subtracted, and the reference.
fn base<'a>(runtime: &'a Runtime, frames: &Frames) -> Vec<Contender<'a>> {
    let (passed, hashed) = (frames.clone(), frames.clone());
    vec![
        contender("the frames alone", move || {
            runtime.block_on(drain(passed.clone()))
        }),
        contender("SHA-256", move || {
            let mut hash = Sha256::new();
            runtime.block_on(async {
                let mut body = hashed.clone();
                while let Some(Ok(frame)) = body.frame().await {
                    hash.update(frame.data_ref().expect("data"));
                }
            });
            hash.finalize()
        }),
    ]
}

/// The length of a body that is mirrored.
const MIRRORED: usize = 1024 * 1024;

/// Returns the contenders that send a client's body in the form that the client chose.
fn mirroring<'a>(runtime: &'a Runtime, all: &Bytes) -> Vec<Contender<'a>> {
    let frames = Frames {
        all: all.slice(..MIRRORED),
        copied: false,
    };
    let mut contenders = base(runtime, &frames);
    for (name, mode, is_verified) in [
        ("hash", PayloadMode::Buffer, false),
        ("unsigned", PayloadMode::Unsigned, false),
        ("chunks", chunked(), false),
        ("chunks, CRC-64/NVME", chunked_trailer(), false),
        ("unsigned, CRC-64/NVME", unsigned_trailer(), false),
        ("hash, verified", PayloadMode::Buffer, true),
        ("chunks, verified", chunked(), true),
    ] {
        let (head, body) = received(runtime, mode, &frames.all);
        let client_body = Frames {
            all: body,
            copied: false,
        };
        let mirroring_layer = layer(PayloadMode::Mirror);
        let request = move || Request::from_parts(head.clone(), client_body.clone());
        contenders.push(if is_verified {
            let client = mirroring_layer.layer(service_fn(read_mirrored));
            let server = verify_layer(BodyCheck::Streamed).layer(client);
            contender(name, move || {
                let sent = runtime.block_on(server.clone().oneshot(request()));
                let response = sent.expect("sent");
                assert_eq!(response.extensions().get::<RejectionKind>(), None);
            })
        } else {
            let client = mirroring_layer.layer(service_fn(read_mirrored));
            contender(name, move || {
                let sent = runtime.block_on(client.clone().oneshot(request()));
                assert!(sent.is_ok());
            })
        });
    }
    contenders
}

async fn read_mirrored<B>(sent: Request<B>) -> Result<Response<Empty<Bytes>>, Infallible>
where
    B: Body<Data = Bytes, Error: Into<tower_sigv4::BoxError>>,
{
    assert!(drain(sent.into_body()).await >= MIRRORED);
    Ok(Response::new(Empty::new()))
}

fn verify_layer(check: BodyCheck) -> VerifyLayer {
    let settings = VerifySettings::new("s3", REGION).expect("a scope");
    let keys = StaticKeys::new([credentials()]).expect("a key");
    VerifyLayer::new(keys, settings.with_unsigned_payload(true))
        .with_clock(clock())
        .with_body_check(check)
}

/// Returns a received request of this mode.
fn received(runtime: &Runtime, mode: PayloadMode, all: &Bytes) -> (Parts, Bytes) {
    let received = std::sync::Mutex::new(None);
    let receive = service_fn(|request: Request<_>| {
        *received.lock().expect("not poisoned") = Some(request);
        std::future::ready(Ok::<_, Infallible>(Response::new(Empty::<Bytes>::new())))
    });
    let request = put(Frames {
        all: all.clone(),
        copied: false,
    });
    let sent = layer(mode).layer(receive).oneshot(request);
    runtime.block_on(sent).expect("sent");
    let request_sent = received.into_inner().expect("not poisoned");
    let (head, body) = request_sent.expect("sent").into_parts();
    (
        head,
        runtime.block_on(body.collect()).expect("a body").to_bytes(),
    )
}

fn receiving<'a>(runtime: &'a Runtime, all: &Bytes, copied: bool) -> Vec<Contender<'a>> {
    let mut contenders = base(
        runtime,
        &Frames {
            all: all.clone(),
            copied,
        },
    );
    for (name, mode, check) in [
        (
            "hash, collected",
            PayloadMode::Buffer,
            BodyCheck::Collected { limit: LEN as u64 },
        ),
        ("hash, streamed", PayloadMode::Buffer, BodyCheck::Streamed),
        (
            "chunks, collected",
            chunked(),
            BodyCheck::Collected { limit: LEN as u64 },
        ),
        ("chunks, streamed", chunked(), BodyCheck::Streamed),
        (
            "chunks, CRC-64/NVME",
            chunked_trailer(),
            BodyCheck::Streamed,
        ),
        (
            "unsigned, CRC-64/NVME",
            unsigned_trailer(),
            BodyCheck::Streamed,
        ),
    ] {
        let (head, body) = received(runtime, mode, all);
        let frames = Frames { all: body, copied };
        let layer = verify_layer(check);
        let read = service_fn(async |request: Request<_>| {
            assert_eq!(drain(request.into_body()).await, LEN);
            Ok::<_, Infallible>(Response::new(Empty::<Bytes>::new()))
        });
        let server = layer.layer(read);
        contenders.push(contender(name, move || {
            let request = Request::from_parts(head.clone(), frames.clone());
            let Ok(response) = runtime.block_on(server.clone().oneshot(request));
            assert_eq!(response.extensions().get::<RejectionKind>(), None);
        }));
    }
    contenders
}

/// Prints what each holds at most, beyond what there was.
fn peaks(title: &str, contenders: Vec<Contender<'_>>) {
    println!("\n{title:<26}{:>11}", "peak KiB");
    for (name, mut run) in contenders {
        run(2); // fills its caches
        ALLOCATOR.reset_peak_usage();
        let before = ALLOCATOR.current_usage();
        run(1);
        let peak = ALLOCATOR.peak_usage().saturating_sub(before);
        println!("  {name:<24}{:>11.0}", peak as f64 / 1024.0);
    }
}

fn main() {
    if !env::args().any(|arg| arg == "--bench") {
        return; // run by `cargo test --benches`
    }
    let runtime = Builder::new_current_thread()
        .enable_time()
        .build()
        .expect("a runtime");
    let all = Bytes::from((0..LEN).map(|at| (at % 251) as u8).collect::<Vec<_>>());
    let frames = |copied| Frames {
        all: all.clone(),
        copied,
    };
    compare_bytes("sign: 8 MiB", LEN, sending(&runtime, &frames(false)));
    compare_bytes("verify: 8 MiB", LEN, receiving(&runtime, &all, false));
    compare_bytes("mirror: 1 MiB", MIRRORED, mirroring(&runtime, &all));
    peaks("sign: 8 MiB", sending(&runtime, &frames(true)));
    peaks("verify: 8 MiB", receiving(&runtime, &all, true));
    peaks("mirror: 1 MiB", mirroring(&runtime, &all));
}
