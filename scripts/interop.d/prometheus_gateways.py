"""The gateways that prometheus.py watches, of which most parts fail. First argument: the gateway's program."""

import contextlib
import datetime
import http.client
import json
import subprocess
import sys

from fleet import free_port

GATEWAY = sys.argv[1]
CREDENTIALS_SECONDS = 140  # below the limit of the alert, and longer than the test takes
STATUSES = {"/works": 200, "/verified": 403, "/mistaken": 502, "/missing": 503, "/sessions": 503, "/nowhere": 403}


@contextlib.contextmanager
def started(*command, **options):
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, **options)
    with process:
        try:
            yield process
        finally:
            process.kill()


def configuration(work, origin):
    """Returns the configuration of a gateway of which one route works, without its cache."""
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
        [[origin]]
        name = "demo"
        url = "{origin}"
        service = "execute-api"
        region = "us-east-1"
        identity = "expiring"
        [[origin]]
        name = "mistaken"
        url = "{origin}"
        signed_host = "api.example.com"
        service = "execute-api"
        region = "us-east-1"
        identity = "expiring"
        [[route]]
        path = "/works"
        origin = "demo"
        verify = false
        cache = true
        [[route]]
        path = "/verified"
        origin = "demo"
        [[route]]
        path = "/mistaken"
        origin = "mistaken"
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


def get(address, target):
    connection = http.client.HTTPConnection(address, timeout=20)
    try:
        connection.request("GET", target)
        response = connection.getresponse()
        return response.status, response.read().decode()
    finally:
        connection.close()
