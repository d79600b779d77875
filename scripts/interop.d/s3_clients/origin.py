"""Origin that judges each request by botocore, and records its shape. It decodes no S3: it returns 200 if the
signatures are right, and 403 with the difference if not."""

import collections
import hashlib
import hmac
import pathlib
import re
import socketserver
import sys
import threading
from datetime import datetime, timezone
from urllib.parse import parse_qs, urlsplit

from botocore.auth import S3SigV4Auth, SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

sys.path.append(str(pathlib.Path(__file__).parents[1]))
from sigv4a import ALGORITHM as SIGV4A
from sigv4a import public_key

KEYS = ("AKIDORIGIN", "origin-secret")
SIGV4 = "AWS4-HMAC-SHA256"
EMPTY = hashlib.sha256().hexdigest()
# Services of the S3 family encode the path once.
S3_FAMILY = {"s3", "s3express", "s3-object-lambda", "s3-outposts"}
WINDOW = 15 * 60

Head = collections.namedtuple("Head", "method target headers")
# How a request is signed: `place` is "header" or "query".
Signed = collections.namedtuple("Signed", "algorithm place service region expires")


class Wrong(Exception):
    pass


def read_head(file):
    """Returns the head of the next request; `None` at the end of the connection."""
    line = file.readline(65537)
    if not line:
        return None
    method, target, _ = line.decode("latin-1").split()
    headers = []
    while (line := file.readline(65537)) not in [b"\r\n", b""]:
        name, _, value = line.decode("latin-1").partition(":")
        headers.append((name.lower(), value.strip()))
    return Head(method, target, headers)


def value(head, name):
    """Returns the only value of a header, or `None`."""
    values = [value for found, value in head.headers if found == name]
    if len(values) > 1:
        raise Wrong(f"{name} is repeated: {values}")
    return values[0] if values else None


def parameters(head):
    """Returns the credentials' parameters, and the query without the signature."""
    query = urlsplit(head.target).query
    found = parse_qs(query, keep_blank_values=True)
    for name in ["AWSAccessKeyId", "Signature", "Expires"]:
        if name in found:
            raise Wrong(f"{name} of version 2 is left in the query")
    return found, "&".join(part for part in query.split("&") if not part.startswith("X-Amz-Signature="))


def judge_head(head, keys=KEYS):
    """Returns how the head is signed, the date, and the signature."""
    authorization = value(head, "authorization")
    found, query = parameters(head)
    in_query = "X-Amz-Signature" in found
    if (authorization is None) != in_query:
        raise Wrong("signed in the header and in the query" if in_query else "not signed")
    if in_query:
        if any(len(values) != 1 for values in found.values()):
            raise Wrong(f"repeated parameters: {sorted(found)}")
        given = {name: values[0] for name, values in found.items()}
        algorithm, credential = given["X-Amz-Algorithm"], given["X-Amz-Credential"]
        names, signature, date = given["X-Amz-SignedHeaders"], given["X-Amz-Signature"], given["X-Amz-Date"]
        regions, expires = given.get("X-Amz-Region-Set"), int(given["X-Amz-Expires"])
    else:
        match = re.fullmatch(r"(\S+) Credential=(\S+), SignedHeaders=(\S+), Signature=(\S+)", authorization)
        if not match:
            raise Wrong(f"authorization {authorization}")
        algorithm, credential, names, signature = match.groups()
        date, regions, expires = value(head, "x-amz-date"), value(head, "x-amz-region-set"), None
    id, scope = credential.split("/", 1)
    if id != keys[0]:
        raise Wrong(f"signed with {id}")
    if algorithm == SIGV4:
        day, region, service, end = scope.split("/")
    else:
        (day, service, end), region = scope.split("/"), regions
    time = datetime.strptime(date, "%Y%m%dT%H%M%SZ").replace(tzinfo=timezone.utc)
    age = (datetime.now(timezone.utc) - time).total_seconds()
    if end != "aws4_request" or day != date[:8] or not -WINDOW < age < (expires or WINDOW):
        raise Wrong(f"scope {scope}, date {date}, expires {expires}")
    names = names.split(";")
    must = {"host"} | {name for name, _ in head.headers if name.startswith("x-amz-")}
    if unsigned := must - set(names):
        raise Wrong(f"not signed: {unsigned}")
    string_to_sign = strings(head, query, names, algorithm, date, scope, service, region, in_query)
    if algorithm == SIGV4:
        signer = SigV4Auth(Credentials(*keys), service, region)
        request = AWSRequest("GET", "http://any")
        request.context["timestamp"] = date
        derived = signer.signature(string_to_sign, request)
        if not hmac.compare_digest(derived, signature):
            raise Wrong(f"the signature differs; string to sign:\n{string_to_sign}")
    elif algorithm == SIGV4A:
        digest = hashlib.sha256(string_to_sign.encode()).digest()
        if not public_key(*keys).verify(digest, bytes.fromhex(signature)):
            raise Wrong(f"the signature differs; string to sign:\n{string_to_sign}")
    else:
        raise Wrong(f"algorithm {algorithm}")
    return Signed(algorithm, "query" if in_query else "header", service, region, expires), date, scope, signature


def strings(head, query, names, algorithm, date, scope, service, region, in_query):
    """Returns the string to sign, from botocore's canonical request."""
    class_ = S3SigV4Auth if service in S3_FAMILY else SigV4Auth
    signer = class_(Credentials("any", "any"), service, region)
    url = f"http://{value(head, 'host')}{head.target.split('?')[0]}"
    request = AWSRequest(head.method, url + (f"?{query}" if query else ""))
    for name, found in head.headers:
        if name in names:
            request.headers[name] = found  # appends
    if value(head, "x-amz-content-sha256") is None:
        in_s3_query = in_query and service in S3_FAMILY
        digest = "UNSIGNED-PAYLOAD" if in_s3_query else head_payload(head)
        signer.payload = lambda _: digest
    canonical_request = signer.canonical_request(request)
    return "\n".join([algorithm, date, scope, hashlib.sha256(canonical_request.encode()).hexdigest()])


def head_payload(head):
    """Off S3, the hash of the body is signed without a header; the server sets it when it has read the body."""
    return next((found for name, found in head.headers if name == ":body-hash"), EMPTY)


class Chunks:
    """Decodes aws-chunked bodies, and verifies the chain of signatures."""

    def __init__(self, payload, date, scope, signature, keys=KEYS):
        self.is_signed = "HMAC" in payload
        self.has_trailer = payload.endswith("-TRAILER")
        self.date, self.scope, self.previous = date, scope, signature
        day, region, service, _ = scope.split("/") if self.is_signed else ["", "", "", ""]
        key = ("AWS4" + keys[1]).encode()
        for part in [day, region, service, "aws4_request"]:
            key = hmac.digest(key, part.encode(), "sha256")
        self.key = key

    def check(self, kind, hashes, signature):
        text = "\n".join([f"AWS4-HMAC-SHA256-{kind}", self.date, self.scope, self.previous, *hashes])
        self.previous = hmac.digest(self.key, text.encode(), "sha256").hex()
        if not hmac.compare_digest(self.previous, signature):
            raise Wrong(f"{kind}: the signature of the chunk differs")

    def decode(self, body):
        """Returns the data and the trailers."""
        data, trailers = b"", {}
        while True:
            line, body = body.split(b"\r\n", 1)
            size, _, extension = line.decode().partition(";")
            chunk, body = body[: int(size, 16)], body[int(size, 16) :]
            if self.is_signed:
                signature = extension.removeprefix("chunk-signature=")
                self.check("PAYLOAD", [EMPTY, hashlib.sha256(chunk).hexdigest()], signature)
            elif extension:
                raise Wrong(f"the extension {extension} of a chunk without signature")
            data += chunk
            if not chunk:
                break
            if not body.startswith(b"\r\n"):
                raise Wrong("a chunk without its end")
            body = body[2:]
        lines = body.decode().split("\r\n")
        if self.has_trailer:
            signed = ""
            for line in filter(None, lines):
                name, _, found = line.partition(":")
                if name == "x-amz-trailer-signature":
                    self.check("TRAILER", [hashlib.sha256(signed.encode()).hexdigest()], found)
                    break
                trailers[name] = found
                signed += f"{name}:{found}\n"
            else:
                if self.is_signed:
                    raise Wrong("a trailer without signature")
        if lines[-2:] != ["", ""]:
            raise Wrong(f"the end of the body is {lines}")
        return data, trailers


def read_body(file, head):
    if value(head, "transfer-encoding"):
        body = b""
        while size := int(file.readline().split(b";")[0], 16):
            body += file.read(size)
            file.readline()
        while file.readline() not in [b"\r\n", b""]:
            pass
        return body
    return file.read(int(value(head, "content-length") or 0))


Request = collections.namedtuple("Request", "signed payload head data trailers")


def judge(head, body, keys=KEYS):
    """Returns the request as recorded."""
    payload = value(head, "x-amz-content-sha256")
    if payload is None:
        digest = hashlib.sha256(body).hexdigest()
        head = Head(head.method, head.target, [*head.headers, (":body-hash", digest)])
    signed, date, scope, signature = judge_head(head, keys)
    data, trailers = body, {}
    if payload and payload.startswith("STREAMING-"):
        data, trailers = Chunks(payload, date, scope, signature, keys).decode(body)
        if value(head, "x-amz-decoded-content-length") != str(len(data)):
            raise Wrong(f"decoded length {value(head, 'x-amz-decoded-content-length')}, not {len(data)}")
        if "aws-chunked" not in (value(head, "content-encoding") or "aws-chunked"):
            raise Wrong("content-encoding without aws-chunked")
    elif payload and payload != "UNSIGNED-PAYLOAD" and payload != hashlib.sha256(body).hexdigest():
        raise Wrong("the hash is not the body's")
    return Request(signed, payload, head, data, trailers)


class Origin(socketserver.ThreadingTCPServer):
    """Records the last request that was complete, or why it is wrong."""

    daemon_threads = True
    request_queue_size = 64

    def __init__(self, handler=None):
        super().__init__(("127.0.0.1", 0), handler or Connection)
        self.url = f"http://127.0.0.1:{self.server_address[1]}"
        self.requests = []
        threading.Thread(target=self.serve_forever, daemon=True).start()


class Connection(socketserver.StreamRequestHandler):
    def handle(self):
        while head := read_head(self.rfile):
            if value(head, "expect"):
                self.wfile.write(b"HTTP/1.1 100 Continue\r\n\r\n")
            body = read_body(self.rfile, head)
            try:
                outcome, status = judge(head, body), "200 OK"
            except Exception as error:  # whatever is malformed is the gateway's mistake
                outcome, status = f"{type(error).__name__}: {error}", "403 Forbidden"
            self.server.requests.append(outcome)
            self.wfile.write(f"HTTP/1.1 {status}\r\ncontent-length: 0\r\n\r\n".encode())
