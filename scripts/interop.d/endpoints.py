"""Generates `src/sigv4/endpoints.rs`, the signing names of hosts, and `tests/endpoints.txt`, the expected results of the
inference, from botocore. With `--check` it compares the files instead, and with `--diff` it prints what this botocore
would change, and fails if that is more than its own version.
"""

import difflib
import itertools
import re
import sys
import textwrap
from pathlib import Path

import botocore
from botocore.endpoint_provider import EndpointProvider
from botocore.loaders import Loader
from botocore.regions import EndpointResolver

LOADER = Loader()
PARTITIONS = LOADER.load_data("partitions")
LEGACY = EndpointResolver(LOADER.load_data("endpoints"))
REGIONS = {
    "u": "us-east-1",
    "e": "eu-west-1",
    "g": "us-gov-west-1",
    "c": "cn-north-1",
    "i": "us-iso-east-1",
    "b": "us-isob-east-1",
    "k": "eu-isoe-west-1",
    "f": "us-isof-south-1",
    "s": "eusc-de-east-1",
}
ACCOUNT = "123456789012"
REGION = re.compile(r"[a-z]{2,4}(-[a-z]+)+-\d+")


def arn(service, resource, region="{region}"):
    return f"arn:{{partition}}:{service}:{region}:{ACCOUNT}:{resource}"


# Parameters for hosts that name a tenant.
TENANTS = {
    "cloudfront-keyvaluestore": [{"KvsARN": arn("cloudfront", "key-value-store/id", "")}],
    "dynamodb": [{"AccountId": ACCOUNT, "AccountIdEndpointMode": "preferred"}],
    "dynamodbstreams": [{"AccountId": ACCOUNT, "AccountIdEndpointMode": "preferred"}],
    "eventbridgev2": [{"AccountId": ACCOUNT, "AccountIdEndpointMode": "preferred"}],
    "events": [{"EndpointId": "abc123.xyz"}],
    "kinesis": [{"AccountId": ACCOUNT, "AccountIdEndpointMode": "preferred"}],
    "opensearchmemory": [{"SpaceId": "space"}],
    "s3": [
        {"Bucket": "bucket"},
        {"Bucket": "bucket.with.dots", "ForcePathStyle": True},
        {"Bucket": "bucket", "Accelerate": True},
        {"Bucket": "bucket", "UseGlobalEndpoint": True},
        {"Bucket": "bucket--use1-az4--x-s3"},
        {"Bucket": "bucket--use1-az4--x-s3", "UseS3ExpressControlEndpoint": True},
        {"Bucket": arn("s3", "accesspoint:name")},
        {"Bucket": arn("s3", "accesspoint:mfzwi23gnjvgw.mrap", "")},
        {"Bucket": arn("s3-object-lambda", "accesspoint:name")},
        {"Bucket": arn("s3-outposts", "outpost:op-01234567890123456:accesspoint:name")},
        {"UseObjectLambdaEndpoint": True},
    ],
    "s3control": [
        {"AccountId": ACCOUNT, "RequiresAccountId": True},
        {"OutpostId": "op-01234567890123456"},
        {"Bucket": "bucket--use1-az4--x-s3", "UseS3ExpressControlEndpoint": True},
    ],
    "sesv2": [{"EndpointId": "abc123.xyz"}],
    "sts": [{"UseGlobalEndpoint": True}],
}


def partition(letter):
    return next(p for p in PARTITIONS["partitions"] if REGIONS[letter] in p["regions"])["outputs"]


def calls(service, model):
    """Returns the distinct operations of a service: host prefix, and parameters of its endpoint rules."""
    seen = set()
    for operation in model["operations"].values():
        if operation.get("auth") == ["smithy.api#noAuth"]:
            continue
        prefix = operation.get("endpoint", {}).get("hostPrefix", "")
        if service == "s3control":
            prefix = ""  # the rules put the account there themselves
        static = operation.get("staticContextParams", {})
        seen.add((prefix, tuple((name, given["value"]) for name, given in sorted(static.items()))))
    return sorted(seen, key=str)


def endpoints():
    """Yields each host with the letter of its region, and its signing name and region."""
    for service in LOADER.list_available_services("service-2"):
        model = LOADER.load_service_model(service, "service-2")
        metadata = model["metadata"]
        rules = LOADER.load_service_model(service, "endpoint-rule-set-1")
        provider = EndpointProvider(rules, PARTITIONS)
        if metadata["signatureVersion"] == "bearer":
            continue  # CodeCatalyst and the like have no signatures
        tenants = [{}, *TENANTS.get(service, [])]
        choices = itertools.product(
            REGIONS.items(), (False, True), (False, True), calls(service, model), tenants
        )
        for (letter, region), fips, dual, (prefix, static), tenant in choices:
            fill = {"region": region, "partition": partition(letter)["name"]}
            given = {"Region": region, "UseFIPS": fips, "UseDualStack": dual, **dict(static)}
            for name, value in tenant.items():
                given[name] = value.format(**fill) if isinstance(value, str) else value
            given = {name: value for name, value in given.items() if name in rules["parameters"]}
            try:
                endpoint = provider.resolve_endpoint(**given)
            except botocore.exceptions.EndpointProviderError:
                continue  # there is no such endpoint
            if metadata["signatureVersion"] == "v2" and not endpoint.properties.get("authSchemes"):
                continue  # SimpleDB and Import/Export use signature version 2
            host = re.sub(r"\{\w+\}", "tenant", prefix) + endpoint.url.split("://")[1].split("/")[0]
            yield host, letter, *signed(metadata, endpoint, region, dual, fips)


def signed(metadata, endpoint, region, dual, fips):
    name = metadata.get("signingName", metadata["endpointPrefix"])
    schemes = endpoint.properties.get("authSchemes")
    if not schemes:
        try:
            legacy = LEGACY.construct_endpoint(metadata["endpointPrefix"], region,
                                               use_dualstack_endpoint=dual, use_fips_endpoint=fips) or {}
        except botocore.exceptions.EndpointVariantError:
            legacy = {}  # the rules have more data of the partition
        return name, legacy.get("credentialScope", {}).get("region", region)
    # If both are offered, botocore uses SigV4 unless awscrt is installed.
    scheme = next((s for s in schemes if s["name"] != "sigv4a"), schemes[0])
    name = scheme.get("signingName", name)
    return name, scheme.get("signingRegion", region) if scheme["name"] != "sigv4a" else "*"


def unsigned():
    """Returns the signing names of services that accept an unsigned body for some operation."""
    for service in LOADER.list_available_services("service-2"):
        model = LOADER.load_service_model(service, "service-2")
        metadata = model["metadata"]
        for operation in model["operations"].values():
            if operation.get("authtype") == "v4-unsigned-body" or operation.get("unsignedPayload"):
                yield metadata.get("signingName", metadata["endpointPrefix"])


def label(host, letter):
    """Returns the service part of a host, without region, partition, FIPS and dual-stack."""
    outputs = partition(letter)
    for suffix in (outputs["dnsSuffix"], outputs["dualStackDnsSuffix"], "on.aws"):
        if host.endswith("." + suffix):
            labels = host.removesuffix("." + suffix).split(".")
            break
    else:
        return None, False
    regional = any(REGION.fullmatch(part) for part in labels)
    plain = [part.removesuffix("-fips") for part in labels if not REGION.fullmatch(part)]
    dropped = ("fips", "dualstack", "global", "us-gov")
    return ".".join(part for part in plain if part not in dropped), regional


def rust(text, columns=96):
    return textwrap.fill(text, columns, initial_indent="    ", subsequent_indent="    ",
                         break_long_words=False, break_on_hyphens=False)


def shorter(part, known):
    """Returns the names of the longest suffix of a host, which the search finds if it has no entry for the host."""
    labels = part.split(".")
    suffixes = (".".join(labels[i:]) for i in range(1, len(labels)))
    return next((known[suffix] for suffix in suffixes if suffix in known), None)


def table(rows):
    # Hosts of tenants are other names with labels in front, and have rules in infer.rs.
    known = {}
    elsewhere = set()
    tenants = re.compile(r"tenant|bucket|name-|123456789012|abc123|(^|\.)space\.|use1-az4|op-0|mrap")
    for host, letter, name, region in rows:
        part, regional = label(host, letter)
        if part is None or tenants.search(part):
            continue
        known.setdefault(part, set()).add(name)
        home = REGIONS[letter] if regional else partition(letter)["implicitGlobalRegion"]
        # us-gov hosts without a region equal those of aws, except for those that name it.
        if region not in (home, "*") and region not in host and (regional or letter != "g"):
            elsewhere.add((part, region))
    fixed = {part for part, _ in elsewhere}
    # Search order: from the last label.
    parts = sorted(known, key=lambda part: part.split(".")[::-1])
    same = " ".join(f'"{part}",' for part in parts if known[part] == {part})
    # Services that share a host and differ by path.
    other = [
        f'    ("{part}", "{" or ".join(sorted(known[part]))}"),'
        for part in parts
        if known[part] != {part} and (part in fixed or known[part] != shorter(part, known))
    ]
    suffixes = {}
    for each in PARTITIONS["partitions"]:
        outputs = each["outputs"]
        for suffix in (outputs["dnsSuffix"], outputs["dualStackDnsSuffix"]):
            suffixes.setdefault(suffix, outputs["implicitGlobalRegion"])
    return "\n".join([
        f"//! Written by scripts/endpoints from botocore {botocore.__version__}; do not edit.",
        "",
        "/// Labels of hosts that are signing names, sorted.",
        "#[rustfmt::skip]",
        "pub(super) const SAME_NAME: &[&str] = &[",
        rust(same),
        "];",
        "",
        "/// Labels of hosts with another signing name, or with several, sorted from the last label.",
        "#[rustfmt::skip]",
        "pub(super) const RENAMED: &[(&str, &str)] = &[",
        *other,
        "];",
        "",
        "/// Labels of hosts that are signed for a fixed region of the partition, with that region.",
        "#[rustfmt::skip]",
        "pub(super) const FIXED_REGIONS: &[(&str, &str)] = &[",
        *(f'    ("{part}", "{region}"),' for part, region in sorted(elsewhere)),
        "];",
        "",
        "/// Suffixes of partitions, with their default regions.",
        "#[rustfmt::skip]",
        "pub(super) const SUFFIXES: &[(&str, &str)] = &[",
        *(f'    ("{suffix}", "{region}"),' for suffix, region in sorted(suffixes.items())),
        "];",
        "",
        "/// Signing names that accept `UNSIGNED-PAYLOAD` for at least one operation.",
        "#[rustfmt::skip]",
        "pub(super) const UNSIGNED_PAYLOAD: &[&str] = &[",
        rust(" ".join(f'"{name}",' for name in sorted(set(unsigned())))),
        "];",
        "",
    ])


def hosts(rows):
    """Returns one line for hosts that differ only in their region."""
    lines = {}
    for host, letter, name, region in rows:
        outputs, own = partition(letter), REGIONS[letter]
        for short, suffix in (("S", outputs["dnsSuffix"]), ("D", outputs["dualStackDnsSuffix"])):
            if host.endswith("." + suffix):
                host = host.removesuffix(suffix) + short
                break
        labels = ["R" if part == own else part for part in host.split(".")]
        region = "R" if region == own else region
        lines.setdefault((".".join(labels), name, region), set()).add(letter)
    head = [
        f"# Written by scripts/endpoints from botocore {botocore.__version__}: host, signing name, region, and for",
        "# which regions R. S and D are the suffixes of their partitions, plain and dual-stack.",
        *(f"# {letter} {region} {partition(letter)['dnsSuffix']} {partition(letter)['dualStackDnsSuffix']}"
          for letter, region in REGIONS.items()),
    ]
    body = (" ".join([*key, "".join(sorted(letters))]) for key, letters in sorted(lines.items()))
    return "\n".join([*head, *body, ""])


def changes(path, text):
    """Prints the entries that a file would lose or gain, and returns whether there are any."""
    entry = re.compile(r'\("[^)]*\)|"[^"]+"' if path.suffix == ".rs" else r"^[^#\n].*", re.MULTILINE)
    old, new = (entry.findall(content) for content in (path.read_text(), text))
    lines = list(difflib.unified_diff(old, new, str(path), "newest", n=0, lineterm=""))
    for line in lines:
        if not line.startswith("@@"):
            print(line)
    return bool(lines)


def main():
    rows = sorted(set(endpoints()))
    mode = sys.argv[1:]
    differs = False
    for name, text in (("src/sigv4/endpoints.rs", table(rows)), ("tests/endpoints.txt", hosts(rows))):
        path = Path(name)
        if mode == ["--diff"]:
            differs |= changes(path, text)
        elif mode != ["--check"]:
            path.write_text(text)
        elif path.read_text() != text:
            differs = True
            print(f"{path} is not what scripts/endpoints writes; run it", file=sys.stderr)
    sys.exit(differs)


main()
