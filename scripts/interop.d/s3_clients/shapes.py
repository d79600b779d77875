"""Each shape of request that clients send, for the kinds of services, with the shape that reaches the origin. The
origin judges signatures and bodies by botocore. Argument: the gateway's program. Prints the number of checks."""

import os
import pathlib
import socket
import sys
import tempfile

import client_shapes
import origin
import servers
from client_shapes import Body

GATEWAY = sys.argv[1]
SERVICES = {
    "s3": ("bucket.s3.us-east-1.amazonaws.com", "s3", 'region = "us-east-1"'),
    "execute-api": ("abc123.execute-api.us-east-1.amazonaws.com", "execute-api", 'region = "us-east-1"'),
    "bedrock": ("bedrock-runtime.us-east-1.amazonaws.com", "bedrock", 'region = "us-east-1"'),
    "mrap": ("abc123.mrap.accesspoint.s3-global.amazonaws.com", "s3", 'region = "us-east-1"'),
    "lambda-url": ("abc123.lambda-url.us-east-1.on.aws", "lambda", 'region = "us-east-1"'),
}
SHAPES = [
    "hash",
    "hash_without_header",
    "unsigned",
    "unsigned_trailer",
    "signed_chunks",
    "signed_chunks_and_trailer",
    "sigv4a",
    "presigned",
    "presigned_get",
    "presigned_sigv4a",
    "presigned_version_2",
    "nothing",
    "nothing_without_length",
    "events",
    "nonsense",
]


def settings(url):
    text = servers.credentials(origin.KEYS)
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
    return text


def send(address, name, shape, body):
    """Sends a request for the gateway's host of a service. Returns the status, and what else the response says."""
    _, service, _ = SERVICES[name]
    sent = getattr(client_shapes, shape)(service, f"http://{name}.gateway.test/bucket/key", body)
    with socket.create_connection(address.split(":"), timeout=60) as connection:
        connection.sendall(sent.head + b"".join(sent.parts))
        response = b"".join(iter(lambda: connection.recv(65536), b""))
    return sent.body, int(response.split()[1]), response.decode().replace("\r\n", " | ")


def describe(request):
    """Returns a request's shape in words."""
    payload = request.payload or ("no x-amz-content-sha256")
    if len(payload) == 64:
        payload = "hash"
    version = "v4a" if request.signed.algorithm == origin.SIGV4A else "v4"
    return f"{version} {request.signed.place}, {payload}"


def main():
    body = Body(150_001)
    for_print = {}
    with tempfile.TemporaryDirectory() as folder:
        server = origin.Origin()
        with servers.gateway(GATEWAY, pathlib.Path(folder, "gateway"), settings(server.url)) as (url, _, log):
            address = url.split("//")[1]
            for shape in SHAPES:
                for name in SERVICES:
                    server.requests.clear()
                    sent, status, response = send(address, name, shape, body)
                    got = server.requests[-1] if server.requests else None
                    if got is None or isinstance(got, str):
                        print(shape, name, status, got, response[-300:])
                        continue
                    print(shape, name, status, describe(got), got.data == b"".join(sent.parts()), got.trailers, dict(got.head.headers).get("x-amz-checksum-crc32"), got.signed)
            if os.environ.get("S3_SHOWN"):
                print(log.read_text())


main()
