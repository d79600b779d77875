"""Lets `sigv4-gateway --explain` diagnose requests that real clients signed in another form than AWS derives.

A stand-in for API Gateway and S3 rejects each request and shows the canonical request of AWS. Argument: the gateway's
program. Needs curl, node and npm, and the Python of `scripts/interop.d/python explain`."""

import hashlib
import io
import json
import logging
import os
import pty
import socketserver
import subprocess
import sys
import threading
from pathlib import Path
from urllib.parse import quote, unquote_to_bytes
from xml.sax.saxutils import escape

import requests
from aws_requests_auth.aws_auth import AWSRequestsAuth
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.config import Config
from botocore.credentials import Credentials
from botocore.exceptions import ClientError
from botocore.session import get_session
from botocore.utils import normalize_url_path
from requests_aws4auth import AWS4Auth

GATEWAY = sys.argv[1]
KEY, SECRET, REGION = "AKIDEXAMPLE", "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY", "us-east-1"
MESSAGE = "The request signature we calculated does not match the signature you provided. Check your key."
PACKAGES = ["@aws-sdk/client-s3@3.1175.0", "aws4@1.13.2", "aws4fetch@1.0.20", "axios@1.21.1"]
# Targets, the part of each that curl signs in another form, and the first version that signs it as AWS derives it.
CURL = [
    ("/_cat/indices?v", "query", (8, 9)),
    ("/a-*/_search?q=a:b", "path", (8, 9)),
    ("/x//y", "path", None),
    ("/doc/a%20b", "path", (8, 14)),
    ("/x?b=2&a=1", "query", (8, 3)),
]
passed = 0
# Ignore the machine's settings.
for name in [name for name in os.environ if name.startswith("AWS_") or name == "NO_COLOR"]:
    del os.environ[name]
os.environ["no_proxy"] = "*"


def canonical_request(method, target, headers, service, signed, payload):
    """Returns AWS's canonical request, by the AWS IAM User Guide, "Create a signed AWS API request"."""
    path, _, query = target.partition("?")
    if service == "s3":
        path = quote(unquote_to_bytes(path), safe="/-_.~")
    else:
        path = quote(normalize_url_path(path), safe="/-_.~")
    pairs = [pair.partition("=") for pair in query.split("&") if pair]
    code = lambda text: quote(unquote_to_bytes(text.replace("+", " ")), safe="-_.~")
    query = "&".join(f"{key}={value}" for key, value in sorted((code(k), code(v)) for k, _, v in pairs))
    values = lambda name: ",".join(" ".join(value.split()) for key, value in headers if key.lower() == name)
    lines = "".join(f"{name}:{values(name)}\n" for name in signed.split(";"))
    return f"{method}\n{path}\n{query}\n{lines}\n{signed}\n{payload}"


class Origin(socketserver.StreamRequestHandler):
    """Rejects one request for each connection, and keeps it with the response."""

    saved = ""

    def handle(self):
        head = b""
        while not head.endswith(b"\r\n\r\n"):
            line = self.rfile.readline()
            if not line:
                return
            head += line
        lines = head.decode().split("\r\n")
        method, target, _ = lines[0].split(" ")
        headers = [tuple(line.split(": ", 1)) for line in lines[1:] if ": " in line]
        value = lambda name: next((text for key, text in headers if key.lower() == name), "")
        body = self.rfile.read(int(value("content-length") or 0))
        fields = dict(field.strip().split("=", 1) for field in value("authorization").split(" ", 1)[1].split(","))
        scope = fields["Credential"].split("/", 1)[1]
        service = scope.split("/")[2]
        payload = value("x-amz-content-sha256") or hashlib.sha256(body).hexdigest()
        derived = canonical_request(method, target, headers, service, fields["SignedHeaders"], payload)
        digest = hashlib.sha256(derived.encode()).hexdigest()
        to_sign = f"AWS4-HMAC-SHA256\n{value('x-amz-date')}\n{scope}\n{digest}"
        if service == "s3":
            parts = {"Code": "SignatureDoesNotMatch", "Message": MESSAGE, "StringToSign": to_sign}
            parts["CanonicalRequest"] = derived
            text = "".join(f"<{name}>{escape(part)}</{name}>" for name, part in parts.items())
            response = f"<Error>{text}</Error>"
        else:
            shown = f"The Canonical String for this request should have been\n'{derived}'"
            shown += f"\n\nThe String-to-Sign should have been\n'{to_sign}'\n"
            response = json.dumps({"message": f"{MESSAGE}\n\n{shown}"})
        reply = f"HTTP/1.1 403 Forbidden\r\ncontent-length: {len(response)}\r\nconnection: close\r\n\r\n{response}"
        Origin.saved = head.decode() + body.decode() + reply
        self.wfile.write(reply.encode())


def explain(saved, secret=None):
    command, environment = [GATEWAY, "--explain", "-"], dict(os.environ)
    if secret:
        command += ["--secret-env", "CLIENT_SECRET"]
        environment["CLIENT_SECRET"] = secret
    done = subprocess.run(command, input=saved, env=environment, capture_output=True, text=True, timeout=60)
    return done.stdout + done.stderr


def explain_on_terminal(saved, **variables):
    """Returns what the gateway writes to a terminal."""
    reader, terminal = pty.openpty()
    environment = dict(os.environ, CLIENT_SECRET=SECRET, **variables)
    command = [GATEWAY, "--explain", "-", "--secret-env", "CLIENT_SECRET"]
    process = subprocess.Popen(command, env=environment, stdin=subprocess.PIPE, stdout=terminal)
    os.close(terminal)
    process.stdin.write(saved.encode())
    process.stdin.close()
    text = b""
    while True:
        try:
            chunk = os.read(reader, 4096)
        except OSError:  # the end on Linux
            break
        if not chunk:
            break
        text += chunk
    os.close(reader)
    if process.wait(timeout=60) != 0:
        sys.exit(f"--explain on a terminal fails: {text}")
    return text.decode()


def check_colors(saved):
    """Checks that a terminal gets colors, unless NO_COLOR has a value (https://no-color.org)."""
    global passed
    for variables, is_colored in [({}, True), ({"NO_COLOR": ""}, True), ({"NO_COLOR": "1"}, False)]:
        text = explain_on_terminal(saved, **variables)
        colors = [f"\x1b[{code}m" in text for code in (31, 32, 0)]
        if not text.startswith("cause  client-form\r\n") or colors != [is_colored] * 3:
            sys.exit(f"colors with {variables}: {colors}: {text!r}")
        passed += 1
    if "\x1b" in explain(saved, SECRET):
        sys.exit("a pipe gets colors")
    passed += 1


def check(name, saved, part, signer):
    """Checks the diagnosis without the secret, with it, and with a wrong one.

    Without `part` the client has signed what AWS derives, so that the origin has another secret."""
    if part:
        right = ("client-form", [f"  {part}: ", signer, "First line that differs"])
        without = [f"  {part}: ", signer, "and AWS derives"]
    else:
        right = ("wrong-secret", ["the given secret access key made this signature"])
        without = ["the origin derived the request as it was sent"]
    wrong = ("secret-or-client", ["did not make this signature"])
    for secret, (cause, words) in [(None, ("secret-or-client", without)), (SECRET, right), ("another-secret", wrong)]:
        check_text(name, saved, secret, cause, words)


def check_text(name, saved, secret, cause, words):
    global passed
    text = explain(saved, secret)
    if not text.startswith(f"cause  {cause}\n") or not all(word in text for word in words) or SECRET in text:
        sys.exit(f"{name}: not {cause} with {words}: {text}\n{saved}")
    passed += 1


def botocore_log(url):
    """Returns the debug log of a request that the origin rejects."""
    log = io.StringIO()
    handler = logging.StreamHandler(log)
    handler.setFormatter(logging.Formatter("%(asctime)s - %(name)s - %(levelname)s - %(message)s"))
    loggers = [logging.getLogger(name) for name in ("botocore", "urllib3")]
    for logger in loggers:
        logger.addHandler(handler)
        logger.setLevel(logging.DEBUG)
    config = Config(retries={"max_attempts": 0}, s3={"addressing_style": "path"})
    keys = {"aws_access_key_id": KEY, "aws_secret_access_key": SECRET}
    client = get_session().create_client("s3", region_name=REGION, endpoint_url=url, config=config, **keys)
    try:
        client.get_object(Bucket="bucket", Key="a b")
        sys.exit("botocore: the origin has not rejected the request")
    except ClientError:
        pass
    for logger in loggers:
        logger.removeHandler(handler)
        logger.setLevel(logging.NOTSET)
    return log.getvalue()


def check_log(log):
    """Checks the diagnosis of a log, whose signature a secret proves right or wrong."""
    for secret, words in [
        (None, "the secret access key does not belong to the"),
        (SECRET, "the given secret access key made this signature"),
        ("another-secret", "did not make this signature with the given secret access key"),
    ]:
        check_text("the log of botocore", log, secret, "wrong-secret", [words])


def node(script, *arguments):
    """Returns what a script prints."""
    tools = Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache"), "tower-sigv4", "tools", "explain_node")
    wanted = tools / "-".join(PACKAGES).replace("/", "-")
    if not wanted.exists():
        tools.mkdir(parents=True, exist_ok=True)
        command = ["npm", "install", "--prefix", str(tools), "--ignore-scripts", "--no-audit", "--no-fund"]
        subprocess.run(command + ["--loglevel", "error", *PACKAGES], check=True, stdout=sys.stderr, timeout=300)
        wanted.touch()
    environment = dict(os.environ, NODE_NO_WARNINGS="1", NODE_PATH=str(tools / "node_modules"))
    command = ["node", "-e", script, *arguments]
    done = subprocess.run(command, env=environment, check=True, stdout=subprocess.PIPE, text=True, timeout=60)
    return done.stdout


AWS4 = """
const [port, path] = process.argv.slice(1)
const keys = { accessKeyId: "%s", secretAccessKey: "%s" }
const host = `127.0.0.1:${port}`
const options = require("aws4").sign({ host, path, service: "s3", region: "us-east-1" }, keys)
options.headers["User-Agent"] = "PostmanRuntime/7.36.0"
require("http").get({ hostname: "127.0.0.1", port, path: options.path, headers: options.headers }, (r) => r.resume())
""" % (KEY, SECRET)
AWS4FETCH = """
const [port, path] = process.argv.slice(1)
const { AwsClient } = require("aws4fetch")
const keys = { accessKeyId: "%s", secretAccessKey: "%s", service: "s3", region: "us-east-1", retries: 0 }
new AwsClient(keys).fetch(`http://127.0.0.1:${port}${path}`).then((r) => r.text())
""" % (KEY, SECRET)
# Each prints an error of its client as an application does.
AXIOS = """
const [port, path] = process.argv.slice(1)
const keys = { accessKeyId: "%s", secretAccessKey: "%s" }
const host = `127.0.0.1:${port}`
const { headers } = require("aws4").sign({ host, path, service: "s3", region: "us-east-1" }, keys)
require("axios").get(`http://${host}${path}`, { headers }).catch((error) => console.log(error))
""" % (KEY, SECRET)
SDK = """
const { GetObjectCommand, S3Client } = require("@aws-sdk/client-s3")
const credentials = { accessKeyId: "%s", secretAccessKey: "%s" }
const endpoint = `http://127.0.0.1:${process.argv[1]}`
const client = new S3Client({ credentials, endpoint, forcePathStyle: true, maxAttempts: 1, region: "us-east-1" })
client.send(new GetObjectCommand({ Bucket: "bucket", Key: "a b" })).catch((error) => console.log(error))
""" % (KEY, SECRET)


class Server(socketserver.ThreadingTCPServer):
    daemon_threads = True


with Server(("127.0.0.1", 0), Origin) as server:
    threading.Thread(target=server.serve_forever, daemon=True).start()
    port = server.server_address[1]
    url = f"http://127.0.0.1:{port}"
    host = f"127.0.0.1:{port}"

    # curl's own output, read as it is.
    version = subprocess.run(["curl", "--version"], capture_output=True, text=True).stdout.split()[1]
    for target, part, until in CURL:
        sign = ["--aws-sigv4", f"aws:amz:{REGION}:execute-api", "--user", f"{KEY}:{SECRET}"]
        command = ["curl", "--silent", "--verbose", "--globoff", *sign, url + target]
        done = subprocess.run(command, capture_output=True, text=True, timeout=60)
        differs = until is None or tuple(map(int, version.split(".")[:2])) < until
        check(f"curl {version} {target}", done.stderr + done.stdout, part if differs else None, "curl ")

    auth = AWS4Auth(KEY, SECRET, REGION, "s3")
    requests.get(f"{url}/a//b", auth=auth)
    check("requests-aws4auth", Origin.saved, "path", "requests-aws4auth")

    for target, part in [("/a//b", "path"), ("/a?q=a:b", "query")]:
        auth = AWSRequestsAuth(KEY, SECRET, host, REGION, "execute-api")
        requests.get(url + target, auth=auth)
        check(f"aws-requests-auth {target}", Origin.saved, part, "aws-requests-auth")

    request = AWSRequest("GET", f"{url}/a?q=a:b&c=d")
    SigV4Auth(Credentials(KEY, SECRET), "execute-api", REGION).add_auth(request)
    requests.get(request.url, headers=dict(request.headers))
    check("botocore", Origin.saved, "query", "botocore")
    check_colors(Origin.saved)

    check_log(botocore_log(url))

    node(AWS4, str(port), "/bucket?x=1&x=2")
    check("aws4", Origin.saved, "query", "aws4 (Postman, Insomnia)")
    node(AWS4FETCH, str(port), "/bucket?x=1&x=2")
    check("aws4fetch", Origin.saved, "query", "aws4fetch")

    check("the log of axios", node(AXIOS, str(port), "/bucket?x=1&x=2"), "query", "aws4 (Postman, Insomnia)")
    # It shows what S3 derived, but not the request.
    log = node(SDK, str(port))
    words = ['"GET" "/bucket/a%20b" for host', "Based on the response alone"]
    for secret, more in [(None, []), (SECRET, ["The given secret access key was not checked"])]:
        check_text("the log of the AWS SDK", log, secret, "mismatch", words + more)

    server.shutdown()
print(passed)
