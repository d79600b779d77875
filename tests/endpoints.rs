//! Settings inferred from every host that botocore resolves.

use std::collections::BTreeSet;

use tower_sigv4::SigningSettings;

/// Hosts that scripts/endpoints has listed: of all services, in nine regions of eight partitions, plain,
/// FIPS and dual-stack.
const HOSTS: &str = include_str!("endpoints.txt");

/// Returns the reason for a known difference from botocore.
fn exception(host: &str, signed: &str) -> Option<&'static str> {
    let starts = |names: &[&str]| names.iter().any(|name| host.starts_with(name));
    if host.contains(".s3-accelerate.") {
        Some("the bucket may be in any region")
    } else if starts(&["maps.geo", "places.geo", "routes.geo"]) {
        Some("there are two versions of the service, distinguished by the path")
    } else if host.contains(".signin.") || host.starts_with("signin-fips.amazonaws-") {
        Some("the sign-in pages are on hosts of their own")
    } else if signed == "us-gov-west-1" && !host.contains("us-gov") {
        Some("a host without a region is the same in two partitions, aws and aws-us-gov")
    } else {
        None
    }
}

/// Returns service and region of a host. Several regions need SigV4a, which is a feature.
fn inferred(host: &str) -> Result<(String, String), String> {
    match SigningSettings::infer(host) {
        Ok(settings) => Ok((settings.service().to_owned(), settings.region().to_owned())),
        Err(error) => {
            let error = error.to_string();
            match error.strip_suffix(" and requires SigV4a; enable the feature `sigv4a`") {
                Some(several) if !cfg!(feature = "sigv4a") => {
                    let service = several.rsplit(' ').next().expect("a name");
                    Ok((service.to_owned(), "*".to_owned()))
                }
                _ => Err(error),
            }
        }
    }
}

#[test]
fn inferred_settings_equal_those_of_botocore() {
    let mut regions = Vec::new();
    let (mut hosts, mut wrong, mut reasons) = (BTreeSet::new(), BTreeSet::new(), BTreeSet::new());
    for line in HOSTS.lines() {
        let words: Vec<_> = line.split(' ').collect();
        match words[..] {
            ["#", letter, region, plain, dual] if letter.len() == 1 => {
                regions.push((letter, region, plain, dual));
            }
            [pattern, service, signed, letters] if pattern != "#" => {
                for &(_, region, plain, dual) in regions
                    .iter()
                    .filter(|(letter, ..)| letters.contains(letter))
                {
                    let labels = pattern.split('.').map(|label| match label {
                        "R" => region,
                        "S" => plain,
                        "D" => dual,
                        label => label,
                    });
                    let host = labels.collect::<Vec<_>>().join(".");
                    let signed = if signed == "R" { region } else { signed };
                    let got = inferred(&host);
                    if got != Ok((service.to_owned(), signed.to_owned())) {
                        match exception(&host, signed) {
                            Some(reason) => reasons.insert(reason),
                            None => {
                                wrong.insert(format!("{host}: {service} {signed}, not {got:?}"))
                            }
                        };
                    }
                    hosts.insert(host);
                }
            }
            _ => {}
        }
    }
    let hosts = hosts.len();
    assert!(hosts > 15_600, "only {hosts} hosts");
    assert!(wrong.is_empty(), "{} of {hosts}:\n{wrong:#?}", wrong.len());
    assert_eq!(
        reasons.len(),
        4,
        "an exception no longer applies: {reasons:?}"
    );
}
