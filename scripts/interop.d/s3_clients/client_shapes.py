"""Requests in each shape that S3's clients send, signed by botocore with keys that the origin does not know."""

import base64
import hashlib
import hmac
import zlib
from urllib.parse import urlsplit

import botocore.auth
import botocore.crt.auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials
from servers import CLIENT_KEYS

REGION = "us-east-1"
MIB = 2**20
CHUNK = 64 * 1024
CHUNK_EXTENSION = len(";chunk-signature=") + 64
EMPTY = hashlib.sha256().hexdigest()
CREDENTIALS = Credentials(*CLIENT_KEYS)


class Body:
    """A body of repeated blocks, so that 300 MiB take 1 MiB of memory and are hashed once."""

    def __init__(self, size, block=None):
        self.block = block or hashlib.shake_128(b"any").digest(MIB)
        self.size = size
        digest, self.crc = hashlib.sha256(), 0
        for part in self.parts():
            digest.update(part)
            self.crc = zlib.crc32(part, self.crc)
        self.sha256 = digest.hexdigest()
        self.crc32 = base64.b64encode(self.crc.to_bytes(4, "big")).decode()

    def parts(self, size=MIB):
        """Yields the body in parts that divide the block."""
        block = memoryview(self.block)
        for start in range(0, self.size, size):
            begin = start % MIB
            yield block[begin : begin + min(size, self.size - start)]


class Sent:
    """A request on the wire: the bytes of the head, an iterator over those of the body, and its decoded body."""

    def __init__(self, method, url, headers, body=None, parts=()):
        split = urlsplit(url)
        target = split.path + (f"?{split.query}" if split.query else "")
        lines = [f"{method} {target} HTTP/1.1", f"host: {split.netloc}", "connection: close"]
        lines += [f"{name}: {value}" for name, value in headers.items() if name.lower() != "host"]
        self.head = "".join(f"{line}\r\n" for line in [*lines, ""]).encode()
        self.body, self.parts = body, parts
        self.payload = headers.get("X-Amz-Content-SHA256")


def signed(signer, service, method, url, headers=(), body=b"", **more):
    """Returns the request as botocore signs it. A plain signer keeps the x-amz-content-sha256 that it is given; for
    paths without escapes it derives the same as that of S3."""
    request = AWSRequest(method, url, headers=dict(headers), data=body)
    module = botocore.crt.auth if signer.startswith("Crt") else botocore.auth
    scope = [] if signer == "HmacV1QueryAuth" else [service, REGION]
    getattr(module, signer)(CREDENTIALS, *scope, **more).add_auth(request)
    return request


def declared(service, url, body, payload, signer="SigV4Auth", headers=()):
    """Returns a signed PUT with this x-amz-content-sha256."""
    given = {"X-Amz-Content-SHA256": payload, "x-amz-meta-a": "b", **dict(headers)}
    request = signed(signer, service, "PUT", url, given)
    request.headers["content-length"] = str(body.size)
    return request


def hash(service, url, body, signer="SigV4Auth"):
    """The hash in a header, with a checksum in another: boto3 over HTTP, minio-py over HTTP."""
    checksum = {"x-amz-checksum-crc32": body.crc32}
    request = declared(service, url, body, body.sha256, signer, checksum)
    return Sent("PUT", url, request.headers, body, body.parts())


def hash_without_header(service, url, body):
    """The SDKs for most services but S3."""
    request = signed("SigV4Auth", service, "PUT", url, body=b"".join(body.parts()))
    return Sent("PUT", url, {**request.headers, "content-length": str(body.size)}, body, body.parts())


def unsigned(service, url, body):
    """minio-py and rclone over TLS."""
    request = declared(service, url, body, "UNSIGNED-PAYLOAD")
    return Sent("PUT", url, request.headers, body, body.parts())


def chunked(service, url, body, payload, sign_chunk=None, trailer=False, signer="SigV4Auth"):
    """Frames a body as aws-chunked. `sign_chunk` gets the previous signature and the hashes, and returns the next."""
    frames, fields = [], f"x-amz-checksum-crc32:{body.crc32}\r\n".encode() if trailer else b""
    length = 0
    for size in [*chunk_sizes(body.size), 0]:
        extension = CHUNK_EXTENSION if sign_chunk else 0
        frames.append(size)
        length += len(f"{size:x}") + extension + 2 + size + (2 if size else 0)
    length += len(fields) + (len("x-amz-trailer-signature:") + 64 + 2 if sign_chunk and trailer else 0) + 2
    headers = {"x-amz-decoded-content-length": str(body.size), "content-encoding": "aws-chunked"}
    if trailer:
        headers["x-amz-trailer"] = "x-amz-checksum-crc32"
    request = declared(service, url, body, payload, signer, headers)
    request.headers.replace_header("content-length", str(length))

    def parts():
        previous = request.headers["Authorization"].rsplit("Signature=", 1)[1]
        date = request.headers["X-Amz-Date"]
        blocks = body.parts(CHUNK)
        hashes = {}  # a body repeats its blocks
        for size in frames:
            data, extension = next(blocks) if size else b"", ""
            if sign_chunk:
                at = (size, data[:64].tobytes() if size else b"")
                digest = hashes.get(at) or hashes.setdefault(at, hashlib.sha256(data).hexdigest())
                previous = sign_chunk(service, date, "PAYLOAD", previous, [EMPTY, digest])
                extension = f";chunk-signature={previous}"
            yield f"{size:x}{extension}\r\n".encode()
            if size:
                yield data
                yield b"\r\n"
        yield fields
        if sign_chunk and trailer:
            digest = hashlib.sha256(fields.replace(b"\r", b"")).hexdigest()
            signature = sign_chunk(service, date, "TRAILER", previous, [digest])
            yield f"x-amz-trailer-signature:{signature}\r\n".encode()
        yield b"\r\n"

    return Sent("PUT", url, request.headers, body, parts())


def chunk_sizes(size):
    return [min(CHUNK, size - start) for start in range(0, size, CHUNK)]


def hmac_chunk(service, date, kind, previous, hashes):
    scope = f"{date[:8]}/{REGION}/{service}/aws4_request"
    text = "\n".join([f"AWS4-HMAC-SHA256-{kind}", date, scope, previous, *hashes])
    key = ("AWS4" + CLIENT_KEYS[1]).encode()
    for part in scope.split("/"):
        key = hmac.digest(key, part.encode(), "sha256")
    return hmac.digest(key, text.encode(), "sha256").hex()


def unsigned_trailer(service, url, body):
    """The SDKs of 2025 and later over TLS."""
    return chunked(service, url, body, "STREAMING-UNSIGNED-PAYLOAD-TRAILER", trailer=True)


def signed_chunks(service, url, body):
    """minio-go over HTTP."""
    return chunked(service, url, body, "STREAMING-AWS4-HMAC-SHA256-PAYLOAD", hmac_chunk)


def signed_chunks_and_trailer(service, url, body):
    """The SDKs for Java and Rust over HTTP."""
    return chunked(service, url, body, "STREAMING-AWS4-HMAC-SHA256-PAYLOAD-TRAILER", hmac_chunk, trailer=True)


def sigv4a(service, url, body):
    """The SDKs for a Multi-Region Access Point."""
    return hash(service, url, body, "CrtSigV4AsymAuth")


def presigned(service, url, body, method="PUT", signer=None):
    signer = signer or ("S3SigV4QueryAuth" if service == "s3" else "SigV4QueryAuth")
    request = signed(signer, service, method, url, expires=600)
    headers = {"content-length": str(body.size)} if method == "PUT" else {}
    return Sent(method, request.url, headers, body, body.parts())


def presigned_get(service, url, body):
    return presigned(service, url, Body(0), "GET")


def presigned_sigv4a(service, url, body):
    return presigned(service, url, Body(0), "GET", "CrtS3SigV4AsymQueryAuth")


def presigned_version_2(service, url, body):
    """boto3's default in us-east-1."""
    return presigned(service, url, Body(0), "GET", "HmacV1QueryAuth")


def nothing(service, url, body):
    """curl."""
    return Sent("PUT", url, {"content-length": str(body.size)}, body, body.parts())


def nothing_without_length(service, url, body):
    frames = [b"%x\r\n%b\r\n" % (len(part), bytes(part)) for part in body.parts()]
    return Sent("PUT", url, {"transfer-encoding": "chunked"}, body, [*frames, b"0\r\n\r\n"])


def events(service, url, body):
    """Amazon Transcribe: each event is signed, and the body is not aws-chunked."""
    request = declared(service, url, body, "STREAMING-AWS4-HMAC-SHA256-EVENTS")
    return Sent("PUT", url, request.headers, body, body.parts())


def nonsense(service, url, body):
    request = declared(service, url, body, "STREAMING-NONSENSE")
    return Sent("PUT", url, request.headers, body, body.parts())
