"""Helpers of the other programs. First arguments: the URLs of a server for execute-api and one for s3."""

import datetime
import http.client
import os
import re
import sys
from unittest import mock
from urllib.parse import urlsplit

import boto3
import botocore.auth
from botocore.config import Config
from botocore.exceptions import ClientError

# Ignore the machine's settings.
for name in [name for name in os.environ if name.startswith("AWS_")]:
    del os.environ[name]
os.environ.update(
    AWS_CONFIG_FILE=os.devnull,
    AWS_SHARED_CREDENTIALS_FILE=os.devnull,
    AWS_EC2_METADATA_DISABLED="true",
    no_proxy="*",
)

API, S3 = sys.argv[1:3]
REGION = "us-east-1"
KEY = {"aws_access_key_id": "AKIDEXAMPLE", "aws_secret_access_key": "secret"}
KEYS = ["a b+c/é~x", "p/50%.bin", "()!*'", "a:b@c&d=e", "a//b/../c"]
OK = (200, None)
INVALID = (403, "InvalidSignatureException")
MISMATCH = (403, "SignatureDoesNotMatch")
passed = 0
message = ""  # of the last response
request_id = None  # as botocore parses it


def check(name, got, wanted):
    global passed
    if got != wanted:
        sys.exit(f"{name}: {got}, not {wanted}: {message}")
    passed += 1


def client(service, url=None, signature_version=None, **changed):
    config = Config(
        signature_version=signature_version,
        retries={"total_max_attempts": 1},
        s3={"addressing_style": "path", **changed.pop("s3", {})},
        request_checksum_calculation=changed.pop("checksums", None),
    )
    url = url or (S3 if service == "s3" else API)
    given = {"region_name": REGION, **KEY, **changed}
    return boto3.client(service, endpoint_url=url, config=config, **given)


def over_http(client):
    """Makes a client of an https URL send over http."""

    def change(request, **_):
        request.url = request.url.replace("https:", "http:")

    client.meta.events.register("before-send.s3", change)
    return client


def outcome(call, **arguments):
    """Returns the status, and the error code as botocore parses it."""
    global message, request_id
    try:
        response = call(**arguments)
    except ClientError as error:
        response = error.response
    message = response.get("Error", {}).get("Message")
    request_id = response["ResponseMetadata"].get("RequestId")
    return response["ResponseMetadata"]["HTTPStatusCode"], response.get("Error", {}).get("Code")


def fetch(url, method="GET", body=None, headers=(), chunked=False):
    """Sends a raw request. Returns the status, and the error code or, for AccessDenied, the start of the message."""
    global message
    parts = urlsplit(url)
    connection = http.client.HTTPConnection(parts.netloc, timeout=30)
    target = url.split(parts.netloc, 1)[1]
    body = iter([body[:2], body[2:]]) if chunked else body
    try:
        connection.request(method, target, body, dict(headers), encode_chunked=chunked)
    except (BrokenPipeError, ConnectionResetError):
        pass  # rejected before the whole body was sent; the response can be read
    response = connection.getresponse()
    message = response.read().decode()
    connection.close()
    if response.getheader("content-type") != "application/xml":
        return response.status, response.getheader("x-amzn-errortype")
    code, text = re.search("<Code>(.*)</Code><Message>([^<(]*)", message).groups()
    return response.status, text.strip() if code == "AccessDenied" else code


def skewed(minutes):
    """Skews the clock of botocore only."""
    right = botocore.auth.get_current_datetime
    shift = datetime.timedelta(minutes=minutes)
    return mock.patch("botocore.auth.get_current_datetime", lambda *given: right(*given) + shift)
