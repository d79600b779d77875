"""S3's clients before the gateway, and OpenStack Swift and s3s-fs behind it, all with one configuration: that of
`--init --s3`. Each client carries out the operations of table.py, over HTTP and TLS, with its keys known to the gateway
and not. Swift and s3s-fs verify each signature of the gateway.

Arguments: the gateway's program, Swift's URL, the program of s3s-fs, the program of rust, and names of clients to run
no others. S3_SHOWN is the number of errors to show of each client. Prints the number of passed operations."""

import collections
import concurrent.futures
import contextlib
import hashlib
import itertools
import json
import os
import pathlib
import shutil
import subprocess
import sys
import tempfile
import time

import boto3
import servers
import table
from botocore.config import Config
from botocore.exceptions import ClientError

GATEWAY, SWIFT, S3S_FS, RUST_CLIENTS, *NAMES = sys.argv[1:]
CLIENTS = ["sdk_boto3", "aws_cli", "minio_py", "rclone", "curl", "sdk_js", "sdk_rust", "object_store", "restic"]
KEYS = {"swift": ("test:tester", "testing"), "s3s-fs": ("AKIDORIGIN", "origin-secret")}
UNABLE_KEYS = {
    "swift": {},
    "s3s-fs": {
        "s//t//u": "a key is the path of a file, and the file system joins its slashes",
        "v/../w": "a key is the path of a file",
    },
}
UNABLE = {("restic", "s3s-fs"): "it takes the empty `delimiter` that minio-go sends for a delimiter"}
MIB = 2**20
SHOWN = int(os.environ.get("S3_SHOWN", 8))  # errors of one client
HERE = pathlib.Path(__file__).parent

Run = collections.namedtuple("Run", "client server url is_tls has_verify bucket gateway log")


def is_large(run):
    """Each client sends and reads 300 MiB once: over TLS, where most of them stream."""
    return (run.server, run.is_tls, run.has_verify) == ("s3s-fs", True, True)


def large_file(folder):
    """Writes 300 MiB. Returns the path and the hash."""
    path, digest, block = folder / "large", hashlib.sha256(), os.urandom(MIB)
    with open(path, "wb") as file:
        for number in range(300):
            part = number.to_bytes(8, "big") + block[8:]
            digest.update(part)
            file.write(part)
    return path, digest.hexdigest()


def origin_client(run):
    config = Config(s3={"addressing_style": "path"}, retries={"total_max_attempts": 1}, signature_version="s3v4")
    id, secret = KEYS[run.server]
    given = {"aws_access_key_id": id, "aws_secret_access_key": secret, "region_name": table.REGION}
    return boto3.client("s3", endpoint_url=run.url, config=config, **given)


def execute(run, folder, tls, large):
    """Runs one client. Returns its lines, and the errors."""
    s3 = origin_client(run)
    s3.create_bucket(Bucket=run.bucket)
    work = folder / run.bucket
    work.mkdir()
    keys = [key for key in table.ODD_KEYS if key not in UNABLE_KEYS[run.server]]
    environment = {
        **os.environ,
        "S3_ENDPOINT": run.gateway,
        "S3_CA": str(tls.authority) if run.is_tls else "",
        "S3_BUCKET": run.bucket,
        "S3_ACCESS_KEY": servers.CLIENT_KEYS[0],
        "S3_SECRET_KEY": servers.CLIENT_KEYS[1],
        "S3_VERIFY": "1" if run.has_verify else "",
        "S3_SERVER": run.server,
        "S3_KEYS": json.dumps(keys),
        "S3_WORK": str(work),
        "S3_RUST_CLIENTS": RUST_CLIENTS,
        "NODE_EXTRA_CA_CERTS": str(tls.authority),
    }
    if large:
        environment.update(S3_LARGE=str(large[0]), S3_LARGE_SHA256=large[1])
    script = ["restic.py"] if run.client == "restic" else ["table.py", run.client]
    command = [sys.executable, "-Wignore", "-B", *script]
    started = time.monotonic()
    # These modules import each other, and their folder comes first.
    done = subprocess.run(command, cwd=HERE, env=environment, capture_output=True, text=True, timeout=900)
    lines = [json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")]
    errors = [f"{line['name']}: {line['error']}" for line in lines if line.get("error")]
    if done.returncode or not lines or "kept" not in lines[-1]:
        errors.append(f"exit {done.returncode}: {done.stderr[-2000:]}")
    elif run.client != "restic":
        errors += missing(lines) + judge(s3, run, lines[-1])
    shutil.rmtree(work)
    seconds = time.monotonic() - started
    return run, [line for line in lines if "name" in line], errors, seconds


def missing(lines):
    """Each operation must be carried out, or have a reason why the client cannot."""
    kinds = {line.get("kind") for line in lines}
    return [f"{kind}: neither carried out nor listed in UNABLE" for kind in table.OPERATIONS if kind not in kinds]


def judge(s3, run, last):
    """Compares the objects that are left with those that the client keeps, directly at the origin."""
    errors, kept = [], last["kept"]
    pages = s3.get_paginator("list_objects_v2").paginate(Bucket=run.bucket)
    keys = [found["Key"] for page in pages for found in page.get("Contents", [])]
    if table.listed(keys, run.server) != table.listed(kept, run.server):
        errors.append(f"at the origin: {sorted(keys)}, not {sorted(kept)}")
    for key in kept:
        try:
            stored = s3.get_object(Bucket=run.bucket, Key=key)
        except ClientError as error:
            errors.append(f"at the origin: {key}: {error}")
            continue
        if stored["Body"].read() != table.content(key, kept[key]):
            errors.append(f"at the origin: {key} has other bytes")
        # s3s-fs stores this coding for the SDKs' chunks without a gateway too.
        is_its_own = run.server == "s3s-fs" and last["chunks"]
        if "aws-chunked" in stored.get("ContentEncoding", "") and not is_its_own:
            errors.append(f"at the origin: {key} is stored with content-encoding {stored['ContentEncoding']}")
        # Swift verifies checksums and does not keep them. Presigned requests have none.
        if run.server == "s3s-fs" and last["checksum"] and not key.startswith("presigned/"):
            found = s3.head_object(Bucket=run.bucket, Key=key, ChecksumMode="ENABLED")
            if f"Checksum{last['checksum']}" not in found:
                errors.append(f"at the origin: {key} has no {last['checksum']}")
    return errors


def report(run, lines, errors, seconds):
    transport, keys = "TLS" if run.is_tls else "HTTP", "[verify]" if run.has_verify else "no [verify]"
    name = f"{run.client}, {run.server}, {transport}, {keys}"
    print(f"{name}: {len(lines)} operations in {seconds:.1f} s", file=sys.stderr, flush=True)
    # The first ones explain the rest.
    for error in errors[:SHOWN]:
        print(f"{name}: {error:.600}", file=sys.stderr)
    if len(errors) > SHOWN:
        print(f"{name}: and {len(errors) - SHOWN} more errors", file=sys.stderr)
    if errors:
        lines = [line for line in run.log.read_text().splitlines() if f"/{run.bucket}" in line]
        print(*[line for line in lines if "rejection=" in line][:SHOWN], sep="\n", file=sys.stderr)


def main():
    passed = failed = 0
    with contextlib.ExitStack() as stack:
        folder = pathlib.Path(stack.enter_context(tempfile.TemporaryDirectory()))
        tls, large = servers.certificate(folder), large_file(folder)
        urls = {"s3s-fs": stack.enter_context(servers.s3s_fs(S3S_FS, folder, KEYS["s3s-fs"])), "swift": SWIFT}
        runs = []
        for server, is_tls, has_verify in itertools.product(urls, [False, True], [False, True]):
            number = f"{server}-{int(is_tls)}{int(has_verify)}"
            settings = servers.s3_settings(GATEWAY, urls[server], tls if is_tls else None, has_verify)
            started = servers.gateway(GATEWAY, folder / number, settings, KEYS[server])
            address, _, log = stack.enter_context(started)
            for client in NAMES or CLIENTS:
                if (client, server) in UNABLE:
                    continue
                # Before Swift, two of the four gateways, except for restic, which runs with it only.
                if server == "swift" and is_tls != has_verify and client != "restic":
                    continue
                bucket = f"{client}-{number}".replace("_", "-")
                runs.append(Run(client, server, urls[server], is_tls, has_verify, bucket, address, log))
        with concurrent.futures.ThreadPoolExecutor(int(os.environ.get("S3_JOBS", os.cpu_count() or 1))) as pool:
            tasks = [pool.submit(execute, run, folder, tls, large if is_large(run) else None) for run in runs]
            for task in concurrent.futures.as_completed(tasks):
                run, lines, errors, seconds = task.result()
                report(run, lines, errors, seconds)
                passed += len(lines)
                failed += len(errors)
    if failed:
        servers.fail(f"{failed} errors in {passed} operations of S3's clients")
    print(passed)


main()
