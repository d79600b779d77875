//! Sets of regions, which SigV4a signs for.

use tower_sigv4::sigv4::RegionSet;

use super::*;

fn multi_region(service: &str, regions: &str) -> SigningSettings {
    SigningSettings::multi_region(service, RegionSet::new(regions).expect("valid"))
        .expect("a service")
}

/// The scope of SigV4a has no region; the header has the set.
async fn signed(layer: &SigningLayer, request: Request<Full<Bytes>>) -> Result<String, Error> {
    let sent = send(layer, request).await?;
    Ok(sent
        .headers()
        .get("x-amz-region-set")
        .map_or("one region", |value| value.to_str().expect("ASCII"))
        .to_owned())
}

#[tokio::test]
async fn region_sets_are_those_of_the_client() {
    let layer = layer(as_signed());
    for (regions, allowed) in [
        ("us-east-1", true),
        ("us-east-1,eu-west-1", true),
        ("eu-*", true),
        ("eu-west-*", true),
        ("us-east-1,us-west-2", false),
        ("us-east-*", false),
        ("*", false),
    ] {
        let request = signed_with(&multi_region("s3", regions), "/a");
        match signed(&layer, request).await {
            Ok(sent) => assert!(allowed && sent == regions, "{regions}: {sent}"),
            Err(error) => {
                assert!(!allowed, "{regions}: {error}");
                assert_eq!(error.kind(), ErrorKind::Scope);
            }
        }
    }
}

#[tokio::test]
async fn hosts_decide_between_one_region_and_several() {
    let url = "https://mfzwi23gnjvgw.mrap.accesspoint.s3-global.amazonaws.com";
    let target = AsSigned::new(Origin::infer(url).expect("an origin"));
    let access_point = layer(target.clone());
    for request in [
        client("s3", "us-east-1", "/a"),
        signed_with(&multi_region("s3", "us-east-1,eu-*"), "/a"),
    ] {
        assert_eq!(signed(&access_point, request).await.expect("sent"), "*");
    }
    let limited = layer(target.with_regions(["us-east-1"]).expect("a list"));
    let error = signed(&limited, client("s3", "eu-west-1", "/a")).await;
    assert_eq!(error.expect_err("outside").kind(), ErrorKind::Scope);

    let regional = AsSigned::new(origin("https://s3.us-east-1.amazonaws.com", "s3"))
        .with_regions(["*"])
        .expect("a list");
    let regional = layer(regional);
    let request = signed_with(&multi_region("s3", "us-east-1,eu-west-1"), "/a");
    assert_eq!(
        signed(&regional, request).await.expect("sent"),
        "one region"
    );
    let request = signed_with(&multi_region("s3", "eu-*"), "/a");
    let error = signed(&regional, request).await;
    assert_eq!(error.expect_err("elsewhere").kind(), ErrorKind::Scope);
}
