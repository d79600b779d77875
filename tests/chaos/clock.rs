//! Jumps of the clock over midnight, the end of a year and a leap day, and back.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use aws_sigv4::sign::v4::{calculate_signature, generate_signing_key};
use aws_smithy_types::date_time::{DateTime, Format};
use bytes::Bytes;
use fastrand::Rng;
use http::{Request, request::Parts};
use http_body_util::{BodyExt, Full};
use tower_sigv4::{
    Clock, SigningLayer, VerifyLayer,
    origin::UriOrigin,
    sigv4::{Identity, PayloadHash, Signer, SigningParams},
    verify::{RejectionKind, StaticKeys, VerifySettings},
};

use super::common::{self, header, settings};

const DAY: u64 = 24 * 3600;

/// Seconds since the epoch at the start of a day: of a year, on and after a leap day, in 1970 and in 2106.
const MIDNIGHTS: [u64; 6] = [
    1_483_228_800,
    1_456_704_000,
    1_709_164_800,
    DAY,
    1_440_979_200,
    4_294_944_000,
];

/// Returns times around these midnights, and jumps between them.
fn jumps() -> impl Iterator<Item = SystemTime> {
    let mut rng = Rng::with_seed(26);
    let steps = MIDNIGHTS
        .into_iter()
        .flat_map(|midnight| [midnight - 1, midnight, midnight - 1]);
    let mut seconds: Vec<_> = steps.collect();
    seconds.extend((0..300).map(|_| MIDNIGHTS[rng.usize(..6)] + rng.u64(..5) - 2));
    seconds
        .into_iter()
        .map(|seconds| UNIX_EPOCH + Duration::from_secs(seconds))
}

fn written(time: SystemTime) -> String {
    let date = DateTime::from(time).fmt(Format::DateTime).expect("a date");
    date.replace(['-', ':'], "")
}

async fn sent(layer: &SigningLayer) -> Parts {
    let request = Request::post("https://api.example.com/orders").body(Full::from("body"));
    let sent = common::send(layer, request.expect("a request"))
        .await
        .expect("sent");
    let (head, body) = sent.into_parts();
    assert_eq!(body.collect().await.expect("a body").to_bytes(), "body");
    head
}

/// Returns the signature of AWS's signer for this time.
fn by_aws(head: &Parts, time: SystemTime) -> String {
    let identity = Identity::new(common::credentials()).expect("valid");
    let settings = settings("execute-api");
    let params = SigningParams::new(&settings, &identity, PayloadHash::of(b"body"), time);
    let text = Signer::new()
        .explain(head, &params)
        .expect("explained")
        .string_to_sign;
    let secret = common::credentials().secret_access_key().to_owned();
    let key = generate_signing_key(&secret, time, "us-east-1", "execute-api");
    calculate_signature(key, text.as_bytes())
}

#[tokio::test]
async fn date_scope_and_key_have_the_same_day() {
    let clock = Clock::manual(UNIX_EPOCH);
    let target = UriOrigin::new(settings("execute-api")).with_hosts(["api.example.com"]);
    let layer = common::layer(target.expect("a host")).with_clock(clock.clone());
    let verifier = |clock| {
        let keys = StaticKeys::new([common::credentials()]).expect("valid");
        let settings = VerifySettings::new("execute-api", "us-east-1").expect("a scope");
        VerifyLayer::new(keys, settings).with_clock(clock)
    };
    // The servers' clocks are equal, on the other side of midnight, or outside of the window.
    let clocks = [0_i64, 5, -5, 400].map(|ahead| (ahead, Clock::manual(UNIX_EPOCH)));
    let servers = clocks.map(|(ahead, clock)| (ahead, clock.clone(), verifier(clock)));
    for time in jumps() {
        clock.set(time);
        let head = sent(&layer).await;
        let date = written(time);
        assert_eq!(header(&head.headers, "x-amz-date"), date);
        let authorization = header(&head.headers, "authorization");
        let scope = format!(
            "AKIDEXAMPLE/{}/us-east-1/execute-api/aws4_request",
            &date[..8]
        );
        assert!(authorization.contains(&scope), "{date}: {authorization}");
        assert!(
            authorization.ends_with(&by_aws(&head, time)),
            "{date}: {authorization}"
        );
        for (ahead, clock, server) in &servers {
            clock.set(time);
            match u64::try_from(*ahead) {
                Ok(ahead) => clock.advance(Duration::from_secs(ahead)),
                Err(_) => clock.set(time - Duration::from_secs(ahead.unsigned_abs())),
            }
            let request = Request::from_parts(head.clone(), Full::<Bytes>::from("body"));
            let expected = if *ahead == 400 {
                Err(RejectionKind::Expired)
            } else {
                Ok(())
            };
            assert_eq!(
                common::verify_request(server, request).await,
                expected,
                "{date} {ahead}"
            );
        }
    }
}
