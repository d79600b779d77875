"""Objects through the gateway to Swift, which verifies the signatures, in every payload mode. An unsigned client sends
them; boto3, connected to Swift directly, checks the result. Arguments: as for the others, with Swift for s3, and the
gateway's program. Prints the number of passed checks."""

import contextlib
import hashlib
import os
import re
import subprocess
import sys
import tempfile
import xml.etree.ElementTree as ElementTree
from http.client import HTTPConnection
from urllib.parse import quote, unquote

import common
from common import OK
from common import S3 as SWIFT
from common import check, client, outcome, over_http

GATEWAY = sys.argv[3]
MODES = {mode: f'payload = "{mode}"' for mode in ["buffer", "unsigned", "trust", "chunked"]}
MODES["auto"] = 'payload = "auto"\nbody_limit = "64KiB"'
MODES["spool"] = 'payload = "spool"'
MODES["spool-soon"] = 'payload = "spool"\nbody_limit = "64KiB"'
for sum in ["crc32", "crc32c", "crc64nvme", "sha1", "sha256"]:
    for mode in ["chunked-trailer", "unsigned-trailer"]:
        MODES[f"{mode}-{sum}"] = f'payload = "{mode}"\nchecksum = "{sum}"'
KEYS = ["a b+c/é~//x", "p/50%.bin", "..", "()!*'", "a:b@c&d=e?f#g"]
HEADERS = {"content-encoding": "gzip", "x-amz-meta-a": "b c"}
SIZES = [0, 64 * 1024, 200_000]
MIB = 1024 * 1024


@contextlib.contextmanager
def gateway(*modes, secret="testing"):
    """Starts a gateway with a path for each mode."""
    config = f"""
        [server]
        listen = "127.0.0.1:0"
        [bodies]
        spool_directory = "{tempfile.gettempdir()}"
        [credentials]
        source = "static"
        access_key_id = "test:tester"
        secret_access_key = "{secret}"
    """
    for mode in modes:
        config += f"""
            [[origin]]
            name = "{mode}"
            url = "{SWIFT}"
            service = "s3"
            region = "us-east-1"
            {MODES[mode]}
            [[route]]
            path = "/{mode}"
            strip_prefix = true
            origin = "{mode}"
        """
    with tempfile.NamedTemporaryFile("w", suffix=".toml") as file:
        file.write(config)
        file.flush()
        command = [GATEWAY, "--config", file.name]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
            try:
                address = re.match("gateway http://([^ ]*) ", process.stdout.readline())[1]
                yield address, process
            finally:
                process.terminate()


class Bucket:
    """A bucket behind a mode of the gateway, for an unsigned client."""

    def __init__(self, address, mode):
        self.address, self.mode, self.name = address, mode, f"gateway-{mode}"

    def send(self, method, target, body=b"", headers=()):
        """Returns status and body of the response."""
        headers = dict(headers)
        if self.mode == "trust":
            headers["x-amz-content-sha256"] = hashlib.sha256(body).hexdigest()
        connection = HTTPConnection(self.address, timeout=60)
        connection.request(method, f"/{self.mode}/{self.name}{target}", body or None, headers)
        response = connection.getresponse()
        content = response.read()
        connection.close()
        common.message = content[:1000]
        return response.status, content

    def texts(self, target, element):
        """Returns the texts of the elements of a listing."""
        status, body = self.send("GET", target)
        check(f"{self.mode}: list", status, 200)
        return texts(body, element)

    def keys(self, more=""):
        keys = self.texts(f"?list-type=2&encoding-type=url{more}", "Key")
        return [unquote(key) for key in keys]


def texts(body, element):
    return [found.text for found in ElementTree.fromstring(body).findall(".//{*}" + element)]


def objects(address, mode):
    bucket = Bucket(address, mode)
    swift.create_bucket(Bucket=bucket.name)
    for key in KEYS:
        # The shortest and the longest encoding.
        short, long = "/" + quote(key, safe="/+()!*':@&=~"), "/" + quote(key, safe="")
        for size in SIZES:
            name = f"{mode}, {key}, {size} bytes"
            body = os.urandom(size)
            check(f"put {name}", bucket.send("PUT", short, body, HEADERS)[0], 200)
            stored = swift.get_object(Bucket=bucket.name, Key=key)
            check(f"{name} arrive", stored["Body"].read() == body, True)
            described = stored["ContentEncoding"], stored["Metadata"]
            check(f"{name} are described", described, ("gzip", {"a": "b c"}))
            check(f"get {name}", bucket.send("GET", long) == (200, body), True)
        part = bucket.send("GET", short, headers={"range": "bytes=100-199"})
        check(f"get a part of {name}", part == (206, body[100:200]), True)
    check(f"{mode}: keys", bucket.keys(), sorted(KEYS))
    check(f"{mode}: keys by prefix", bucket.keys("&prefix=a+b%2Bc/&"), ["a b+c/é~//x"])
    listed = swift.list_objects_v2(Bucket=bucket.name)["Contents"]
    check(f"{mode}: keys for boto3", [found["Key"] for found in listed], sorted(KEYS))
    for key in KEYS:
        check(f"{mode}: delete {key}", bucket.send("DELETE", "/" + quote(key))[0], 204)
    check(f"{mode}: keys in the end", bucket.keys(), [])


def parts(address, mode):
    bucket = Bucket(address, mode)
    bodies = [os.urandom(size) for size in [200_000, 1]]

    def create():
        status, body = bucket.send("POST", "/a%20b+c?uploads")
        check(f"{mode}: create an upload", status, 200)
        return "/a%20b%2Bc?uploadId=" + texts(body, "UploadId")[0]

    upload = create()
    for number, body in enumerate(bodies, 1):
        target = f"{upload}&partNumber={number}"
        check(f"{mode}: part {number}", bucket.send("PUT", target, body)[0], 200)
    tags = enumerate(bucket.texts(upload, "ETag"), 1)
    xml = [f"<Part><PartNumber>{n}</PartNumber><ETag>{tag}</ETag></Part>" for n, tag in tags]
    xml = f"<CompleteMultipartUpload>{''.join(xml)}</CompleteMultipartUpload>"
    check(f"{mode}: complete", bucket.send("POST", upload, xml.encode())[0], 200)
    check(f"{mode}: parts", bucket.send("GET", "/a%20b+c") == (200, b"".join(bodies)), True)
    check(f"{mode}: keys", bucket.keys(), ["a b+c"])

    upload = create()
    check(f"{mode}: a part", bucket.send("PUT", f"{upload}&partNumber=1", b"any data")[0], 200)
    check(f"{mode}: uploads", bucket.texts("?uploads", "Key"), ["a b+c"])
    check(f"{mode}: abort", bucket.send("DELETE", upload)[0], 204)
    check(f"{mode}: uploads in the end", bucket.texts("?uploads", "Key"), [])


def framed(address):
    """boto3 as a client of the gateway: over TLS it sends unsigned chunks with a trailer."""
    body, object = os.urandom(200_000), {"Bucket": "gateway-trust", "Key": "a b+c"}
    s3 = over_http(client("s3", f"https://{address}/trust"))
    check("framed by boto3", outcome(s3.put_object, Body=body, **object), OK)
    check("its payload", swift.get_object(**object)["Body"].read() == body, True)


def unknown_length(address, mode):
    bucket, body = Bucket(address, mode), os.urandom(200_000)
    check(f"{mode}: no length", bucket.send("PUT", "/key", iter([body]))[0], 200)
    check(f"{mode}: body without length", bucket.send("GET", "/key") == (200, body), True)


def wrong_secret(address, mode):
    for method, body in [("PUT", os.urandom(200_000)), ("GET", b""), ("DELETE", b"")]:
        status, content = Bucket(address, mode).send(method, "/key", body)
        # Swift's own message is not forwarded to the client.
        is_replaced = b"the origin rejected the gateway's signature (" in content
        check(f"{mode}: {method}, wrong secret", (status, is_replaced), (502, True))


def large(mode):
    """Uploads 300 MiB through a gateway whose memory must stay under 64 MiB."""
    block, sent, received = os.urandom(MIB), hashlib.md5(), hashlib.md5()

    def blocks():
        for number in range(300):
            part = number.to_bytes(8, "big") + block[8:]
            sent.update(part)
            yield part

    with gateway(mode) as (address, process):
        connection = HTTPConnection(address, timeout=60)
        target = f"/{mode}/gateway-{mode}/large"
        connection.request("PUT", target, blocks(), {"content-length": str(300 * MIB)})
        response = connection.getresponse()
        common.message = response.read()
        check(f"300 MiB, {mode}", response.status, 200)
        check("their ETag", response.getheader("etag"), f'"{sent.hexdigest()}"')
        connection.request("GET", target)
        response = connection.getresponse()
        while data := response.read(MIB):
            received.update(data)
        check(f"300 MiB read, {mode}", (response.status, received.digest()), (200, sent.digest()))
        connection.close()
        with open(f"/proc/{process.pid}/status") as status:
            peak = int(re.search(r"VmHWM:\s*(\d+) kB", status.read())[1]) // 1024
    check(f"{peak} MiB for 300 in mode {mode} are less than 64", peak < 64, True)
    print(f"the gateway's peak for 300 MiB in mode {mode}: {peak} MiB", file=sys.stderr)


swift = client("s3", aws_access_key_id="test:tester", aws_secret_access_key="testing")
with gateway(*MODES) as (address, _), gateway(*MODES, secret="wrong") as (wrong, _):
    for mode in MODES:
        objects(address, mode)
        parts(address, mode)
        wrong_secret(wrong, mode)
    for mode in ["buffer", "auto", "spool", "spool-soon"]:
        unknown_length(address, mode)
    framed(address)
for mode in ["chunked", "chunked-trailer-crc32c", "unsigned-trailer-crc64nvme", "spool"]:
    large(mode)
print(common.passed)
