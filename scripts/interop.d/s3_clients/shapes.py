"""Each shape of request that clients send, for five kinds of services, with the shape that reaches the origin. The
origin judges signatures and bodies by botocore. Argument: the gateway's program. Prints the number of checks."""

import io
import os
import pathlib
import socket
import sys
import tempfile

import client_shapes
import origin
import servers
from client_shapes import REGION, Body

GATEWAY = sys.argv[1]
SERVICES = {
    "s3": ("bucket.s3.us-east-1.amazonaws.com", "s3", 'region = "us-east-1"'),
    "execute-api": ("abc123.execute-api.us-east-1.amazonaws.com", "execute-api", 'region = "us-east-1"'),
    "bedrock": ("bedrock-runtime.us-east-1.amazonaws.com", "bedrock", 'region = "us-east-1"'),
    "mrap": ("abc123.mrap.accesspoint.s3-global.amazonaws.com", "s3", 'region_set = ["*"]'),
    "lambda-url": ("abc123.lambda-url.us-east-1.on.aws", "lambda", 'region = "us-east-1"'),
}
HASH, UNSIGNED = "v4 header, hash", "v4 header, UNSIGNED-PAYLOAD"
TRAILER = "v4 header, STREAMING-UNSIGNED-PAYLOAD-TRAILER"
CHUNKS, CHUNKS_TRAILER = (f"v4 header, STREAMING-AWS4-HMAC-SHA256-PAYLOAD{end}" for end in ["", "-TRAILER"])
# For each shape: what S3 receives, a Multi-Region Access Point, and services of other families. The origin has no TLS,
# so that the gateway sends to the access point no chunks without signatures in place of signed ones.
EXPECTED = {
    "hash": (HASH, HASH, HASH),
    "hash_without_header": (HASH, HASH, HASH),
    "unsigned": (UNSIGNED, UNSIGNED, HASH),
    "unsigned_trailer": (TRAILER, TRAILER, HASH),
    "signed_chunks": (CHUNKS, HASH, HASH),
    "signed_chunks_and_trailer": (CHUNKS_TRAILER, HASH, HASH),
    "sigv4a": (HASH, HASH, HASH),
    "presigned": (UNSIGNED, UNSIGNED, HASH),
    "presigned_get": (UNSIGNED, UNSIGNED, HASH),
    "presigned_sigv4a": (UNSIGNED, UNSIGNED, HASH),
    "presigned_version_2": (UNSIGNED, UNSIGNED, HASH),
    "nothing": (HASH, HASH, HASH),
    "nothing_without_length": (HASH, HASH, HASH),
    "events": ("415", "415", "415"),
    "nonsense": ("415", "415", "415"),
}
COLUMNS = {"s3": 0, "mrap": 1}
# S3 again, with the client's key in [verify].
VERIFIED = {
    "hash": HASH,
    "hash_without_header": "400",
    "unsigned": UNSIGNED,
    "unsigned_trailer": TRAILER,
    "signed_chunks": CHUNKS,
    "signed_chunks_and_trailer": CHUNKS_TRAILER,
    "sigv4a": "400",
    "presigned": UNSIGNED,
    "presigned_get": UNSIGNED,
    "presigned_sigv4a": "400",
    "presigned_version_2": "400",
    "nothing": "403",
    "nothing_without_length": "403",
    "events": "400",
    "nonsense": "400",
}
passed, failures = 0, []


def check(name, got, wanted):
    global passed
    if got == wanted:
        passed += 1
    else:
        failures.append(f"{name}: {got}, not {wanted}")


def settings(url, verify=False):
    text = '[server]\nlisten = "127.0.0.1:0"\n[log]\naccess = true\n'
    for name, (host, service, region) in SERVICES.items():
        text += f"""
            [[origin]]
            name = "{name}"
            url = "{url}"
            signed_host = "{host}"
            service = "{service}"
            {region}
            [[route]]
            path = "/"
            host = "{name}.gateway.test"
            origin = "{name}"
        """
    if verify:
        id, secret = servers.CLIENT_KEYS
        text += f"""
            [verify]
            service = "s3"
            region = "{REGION}"
            [[verify.key]]
            access_key_id = "{id}"
            secret_access_key = "{secret}"
        """
    return text


def sent_by_client(name, shape, body):
    _, service, _ = SERVICES[name]
    return getattr(client_shapes, shape)(service, f"http://{name}.gateway.test/bucket/key", body)


def send(address, sent):
    """Returns the status, and the whole response."""
    with socket.create_connection(address.split(":"), timeout=60) as connection:
        connection.sendall(sent.head + b"".join(sent.parts))
        response = b"".join(iter(lambda: connection.recv(65536), b""))
    return response.split()[1].decode(), response.decode().split("\r\n\r\n", 1)[1]


def describe(request):
    payload = "hash" if len(request.payload or "") == 64 else request.payload
    version = "v4a" if request.signed.algorithm == origin.SIGV4A else "v4"
    return f"{version} {request.signed.place}, {payload}"


def judge_gateway(server, address, name, shape, body, wanted, is_verified):
    """Compares one cell of the table."""
    server.requests.clear()
    sent = sent_by_client(name, shape, body)
    status, response = send(address, sent)
    cell = f"{shape} to {name}{', [verify]' if is_verified else ''}"
    if not wanted.startswith("v4"):
        check(cell, (status, server.requests), (wanted, []))
        if status == "415":
            # Under its own name, not as another shape.
            check(f"{cell}: message", sent.payload in response, True)
        return
    [got] = server.requests or [f"{status}: {response}"]
    if isinstance(got, str):
        check(cell, got, wanted)
        return
    wanted = wanted.replace("v4 ", "v4a ") if name == "mrap" else wanted
    check(cell, describe(got), wanted)
    scope = SERVICES[name][1], "*" if name == "mrap" else REGION
    check(f"{cell}: scope", (got.signed.service, got.signed.region), scope)
    check(f"{cell}: body", got.data == b"".join(sent.body.parts()), True)
    checksums = [value for at, value in [*got.head.headers, *got.trailers.items()] if at == "x-amz-checksum-crc32"]
    is_sent = b"x-amz-checksum-crc32" in sent.head
    check(f"{cell}: checksum", checksums, [body.crc32] if is_sent else [])
    has_credentials = servers.CLIENT_KEYS[0] in f"{got.head.target} {got.head.headers}"
    check(f"{cell}: the client's credentials", has_credentials, False)


def judge_judge(body):
    """The judge accepts what botocore has signed, and nothing else."""

    def outcome(head, data):
        file = io.BytesIO(head + data)
        try:
            read = origin.read_head(file)
            return origin.judge(read, origin.read_body(file, read), servers.CLIENT_KEYS) and "accepted"
        except origin.Wrong as error:
            return f"wrong: {error}"

    for shape in EXPECTED:
        if shape in ["presigned_version_2", "nothing", "nothing_without_length", "events", "nonsense"]:
            continue
        sent = sent_by_client("s3", shape, body)
        data = b"".join(sent.parts)
        check(f"judge: {shape}", outcome(sent.head, data), "accepted")
        changes = [(sent.head.replace(b"/bucket/key", b"/bucket/kez"), data)]
        changes.append((sent.head[:-2] + b"x-amz-acl: a\r\n\r\n", data))
        if data and "unsigned" not in shape and "presigned" not in shape:
            middle = len(data) // 2
            changes.append((sent.head, data[:middle] + bytes([data[middle] ^ 1]) + data[middle + 1 :]))
        for number, changed in enumerate(changes):
            check(f"judge: {shape}, change {number}", outcome(*changed)[:5], "wrong")


def main():
    body = Body(150_001)
    judge_judge(body)
    with tempfile.TemporaryDirectory() as folder:
        server = origin.Origin()
        for is_verified in [False, True]:
            gateway = pathlib.Path(folder, f"gateway-{is_verified}")
            with servers.gateway(GATEWAY, gateway, settings(server.url, is_verified), origin.KEYS) as (url, _, log):
                address = url.split("//")[1]
                for shape, columns in EXPECTED.items():
                    if is_verified:
                        judge_gateway(server, address, "s3", shape, body, VERIFIED[shape], True)
                        continue
                    for name in SERVICES:
                        judge_gateway(server, address, name, shape, body, columns[COLUMNS.get(name, 2)], False)
                if os.environ.get("S3_SHOWN"):
                    print(log.read_text(), file=sys.stderr)
    if failures:
        print(*failures, sep="\n", file=sys.stderr)
        servers.fail(f"{len(failures)} shapes are wrong")
    print(passed)


main()
