"""Origins that verify signatures with botocore, one for each service. Prints their addresses as JSON."""

import datetime
import hashlib
import http.server
import json
import re
import threading
from urllib.parse import parse_qsl, quote

import botocore.auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

REGION = "us-east-1"
CREDENTIALS = Credentials(
    "ASIAEXAMPLE", "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY", "session/token+with=characters"
)
AUTHORIZATION = re.compile(
    "AWS4-HMAC-SHA256 Credential=([^,]+), ?SignedHeaders=([^,]+), ?Signature=([0-9a-f]{64})"
)
CLOCK_WINDOW = datetime.timedelta(minutes=5)


def verify(service, method, target, headers, body):
    """Returns the reason for a rejection."""
    authorization = AUTHORIZATION.fullmatch(headers.get("authorization", ""))
    if not authorization:
        return "not signed"
    scope, names, signature = authorization.groups()
    path, _, query = target.partition("?")
    # As servers do: names and values are decoded, and encoded again. Each character is a byte.
    pairs = parse_qsl(query, keep_blank_values=True, encoding="latin-1")
    encoded = [[quote(text, safe="~", encoding="latin-1") for text in pair] for pair in pairs]
    query = "&".join("=".join(pair) for pair in encoded)
    request = AWSRequest(method, f"https://{headers['host']}{path}?{query}", data=body)
    for name in names.split(";"):
        if name not in headers:
            return f"{name} is signed and missing"
        for value in headers.get_all(name):
            request.headers[name] = value  # appends
    declared = headers.get("x-amz-content-sha256")
    if declared and declared != hashlib.sha256(body).hexdigest():
        return "x-amz-content-sha256 is not the hash of the body"
    date = headers.get("x-amz-date", "")
    time = datetime.datetime.strptime(date, "%Y%m%dT%H%M%SZ").replace(tzinfo=datetime.timezone.utc)
    if abs(datetime.datetime.now(datetime.timezone.utc) - time) > CLOCK_WINDOW:
        return f"{date} is outside the clock window"
    request.context["timestamp"] = date
    signer = {"s3": botocore.auth.S3SigV4Auth}.get(service, botocore.auth.SigV4Auth)
    signer = signer(CREDENTIALS, service, REGION)
    if scope != signer.scope(request):
        return f"{scope}, not {signer.scope(request)}"
    if headers.get("x-amz-security-token") != CREDENTIALS.token:
        return "not the session token"
    canonical_request = signer.canonical_request(request)
    if signature != signer.signature(signer.string_to_sign(request, canonical_request), request):
        return f"another signature: {canonical_request!r}"
    return None


class Handler(http.server.BaseHTTPRequestHandler):
    def __getattr__(self, name):
        if name.startswith("do_"):
            return self.respond
        raise AttributeError(name)

    def respond(self):
        body = self.rfile.read(int(self.headers.get("content-length", 0)))
        # `self.path` has no second slash at its start.
        target = self.raw_requestline.split(b" ")[1].decode("latin-1")
        try:
            reason = verify(self.server.service, self.command, target, self.headers, body)
        except (UnicodeError, ValueError) as error:
            reason = f"malformed: {error}"
        text = reason or f"{len(body)} bytes"
        self.send_response(403 if reason else 200)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(text.encode(errors="replace"))

    def log_message(self, *_):
        pass


def serve(service):
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.service = service
    threading.Thread(target=server.serve_forever).start()
    return "http://127.0.0.1:%d" % server.server_address[1]


print(json.dumps({service: serve(service) for service in ["execute-api", "lambda", "s3"]}), flush=True)
