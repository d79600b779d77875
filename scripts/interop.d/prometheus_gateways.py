"""The gateways that prometheus.py watches, of which most parts fail, and their origins. First argument: the gateway's
program. Needs curl, which signs for a caller."""

import contextlib
import datetime
import http.client
import http.server
import json
import os
import re
import subprocess
import sys
import threading

from fleet import addresses, free_port

GATEWAY = sys.argv[1]
CREDENTIALS_SECONDS = 140  # below the limit of the alert, and longer than the test takes
AHEAD = datetime.timedelta(hours=1)
TOLERANCE = datetime.timedelta(minutes=5)
REJECTION = b'{"message":"Signature expired: 20150830T123600Z is now earlier than 20150830T133100Z"}'
STATUSES = {
    "/works": 200,
    "/verified": 403,
    "/mistaken": 502,
    "/closed": 502,
    "/skewed": 200,
    "/missing": 503,
    "/sessions": 503,
    "/nowhere": 403,
}
# The first request of the caller is within its rate.
CALLER_STATUSES = [200, 429]


class SkewedOrigin(http.server.BaseHTTPRequestHandler):
    """Rejects signatures for their time, since its clock is ahead."""

    def do_GET(self):
        now = datetime.datetime.now(datetime.timezone.utc) + AHEAD
        signed = datetime.datetime.strptime(self.headers["x-amz-date"], "%Y%m%dT%H%M%S%z")
        is_accepted = abs(now - signed) < TOLERANCE
        body = b"{}" if is_accepted else REJECTION
        self.send_response_only(200 if is_accepted else 403)
        self.send_header("date", self.date_time_string(now.timestamp()))
        if not is_accepted:
            self.send_header("x-amzn-errortype", "InvalidSignatureException")
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


@contextlib.contextmanager
def started(*command, **options):
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, **options)
    with process:
        try:
            yield process
        finally:
            process.kill()


def configuration(work, origin, skewed):
    """Returns the configuration of a gateway without its cache."""
    expiry = datetime.datetime.now(datetime.timezone.utc) + datetime.timedelta(seconds=CREDENTIALS_SECONDS)
    keys = {
        "Version": 1,
        "AccessKeyId": "AKIDEXAMPLE",
        "SecretAccessKey": "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY",
        "Expiration": expiry.strftime("%Y-%m-%dT%H:%M:%SZ"),
    }
    (work / "keys.json").write_text(json.dumps(keys))
    closed = free_port()
    return f"""
        [server]
        listen = "127.0.0.1:0"
        [admin]
        listen = "127.0.0.1:0"
        [cache]
        redis = "redis://127.0.0.1:{closed}/"
        shared_rates = true
        [[identity]]
        name = "expiring"
        source = "file"
        file = "{work}/keys.json"
        [[identity]]
        name = "missing"
        source = "process"
        command = ["false"]
        [[identity]]
        name = "sessions"
        chain = ["expiring"]
        role_arn = "arn:aws:iam::123456789012:role/sessions"
        session_name = "{{request_id}}"
        region = "us-east-1"
        sts_endpoint = "http://127.0.0.1:{closed}"
        [verify]
        service = "execute-api"
        region = "us-east-1"
        [[verify.key]]
        access_key_id = "AKIDEXAMPLE"
        secret_access_key = "secret"
        [[caller]]
        name = "partner"
        match = {{ access_key_id = "AKIDEXAMPLE" }}
        allow = ["verified"]
        rate = "1/min"
        {origin_section("demo", origin)}
        {origin_section("mistaken", origin)}
        signed_host = "api.example.com"
        {origin_section("closed", f"http://127.0.0.1:{closed}")}
        {origin_section("skewed", skewed)}
        recovery = true
        [[route]]
        path = "/works"
        origin = "demo"
        verify = false
        cache = true
        rate = "1000/s"
        [[route]]
        name = "verified"
        path = "/verified"
        origin = "demo"
        [[route]]
        path = "/mistaken"
        origin = "mistaken"
        verify = false
        [[route]]
        path = "/closed"
        origin = "closed"
        verify = false
        max_attempts = 2
        [[route]]
        path = "/skewed"
        origin = "skewed"
        verify = false
        [[route]]
        path = "/missing"
        origin = "demo"
        verify = false
        identity = "missing"
        [[route]]
        path = "/sessions"
        origin = "demo"
        verify = false
        identity = "sessions"
    """


def origin_section(name, url):
    return f"""
        [[origin]]
        name = "{name}"
        url = "{url}"
        service = "execute-api"
        region = "us-east-1"
        identity = "expiring"
    """


def get(address, target):
    connection = http.client.HTTPConnection(address, timeout=20)
    try:
        connection.request("GET", target)
        response = connection.getresponse()
        return response.status, response.read().decode()
    finally:
        connection.close()


def statuses(address):
    return {target: get(address, target)[0] for target in STATUSES}


def caller_status(address):
    """Returns the status of a request that is signed by the caller of the section."""
    command = ["curl", "--silent", "--noproxy", "*", "--output", os.devnull, "--write-out", "%{http_code}"]
    command += ["--aws-sigv4", "aws:amz:us-east-1:execute-api", "--user", "AKIDEXAMPLE:secret"]
    result = subprocess.run([*command, f"http://{address}/verified"], capture_output=True, text=True)
    return int(result.stdout)


class Gateways:
    """Two gateways of the same configuration."""

    def __init__(self, stack, work, log):
        server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), SkewedOrigin)
        stack.callback(server.shutdown)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        demo = stack.enter_context(started(GATEWAY, "--listen", "127.0.0.1:0", stderr=log))
        origin = re.match("origin +(http://[^ ]*) ", demo.stdout.readline())[1]
        skewed = f"http://127.0.0.1:{server.server_port}"
        (work / "gateway.toml").write_text(configuration(work, origin, skewed))
        self.processes, self.addresses, self.admins = [], [], []
        for _ in range(2):
            gateway = stack.enter_context(started(GATEWAY, "--config", work / "gateway.toml", stderr=log))
            address, admin = addresses(gateway)
            self.addresses.append(address)
            self.admins.append(admin)
            self.processes.append(gateway)

    def traffic(self):
        for address in self.addresses:
            statuses(address)
            caller_status(address)
