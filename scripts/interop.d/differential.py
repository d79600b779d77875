"""Signs what tests/differential.rs asks for with botocore, whose clock is set: reads a request as a line of
JSON, answers with what came of it as another."""

import datetime
import hashlib
import json
import sys
from urllib.parse import parse_qsl

import botocore.auth
import botocore.crt.auth
from awscrt.exceptions import AwsCrtError
from botocore.awsrequest import AWSRequest
from botocore.config import Config
from botocore.credentials import Credentials
from botocore.utils import percent_encode_sequence

UNSIGNED = Config(s3={"payload_signing_enabled": False})


def sign(asked):
    set_clocks(asked["time"])
    name = asked["class"]
    module = botocore.crt.auth if name.startswith("Crt") else botocore.auth
    credentials = Credentials(asked["id"], asked["secret"], asked["token"])
    expires = {} if asked["expires"] is None else {"expires": asked["expires"]}
    signer = getattr(module, name)(credentials, asked["service"], asked["region"], **expires)
    stages = keep_stages(signer)
    request = unsigned(asked)
    try:
        signer.add_auth(request)
    except (AwsCrtError, ValueError) as error:
        return {"refused": str(error)}
    return {"url": request.prepare().url, "headers": request.headers.items(), **stages}


def set_clocks(seconds):
    time = datetime.datetime.fromtimestamp(seconds, datetime.timezone.utc)

    def now(remove_tzinfo=True):
        return time.replace(tzinfo=None) if remove_tzinfo else time

    for module in [botocore.auth, botocore.crt.auth]:
        module.get_current_datetime = now


def keep_stages(signer):
    """What the signer's methods will have returned; awscrt's are in C and cannot be watched."""
    stages = {}

    def keep(name, method):
        def kept(*given):
            stages[name] = method(*given)
            return stages[name]

        setattr(signer, name, kept)

    for name in ["canonical_request", "string_to_sign"]:
        if hasattr(signer, name):
            keep(name, getattr(signer, name))
    return stages


def unsigned(asked):
    url, params, query = asked["url"], None, asked["query"]
    if asked["query_form"] == "raw":
        url += "?" + query if query else ""
    else:
        pairs = parse_qsl(query, keep_blank_values=True)
        if asked["query_form"] == "params":
            params = pairs
        elif pairs:
            url += "?" + percent_encode_sequence(pairs)
    body = bytes.fromhex(asked["body"])
    # A presigner would put a body into the query.
    data = body if asked["expires"] is None else b""
    request = AWSRequest(asked["method"], url, data=data, params=params)
    for name, value in asked["headers"]:
        request.headers[name] = value  # adds, and replaces nothing
    if asked["payload"] == "hash in a header":
        request.headers["X-Amz-Content-SHA256"] = hashlib.sha256(body).hexdigest()
    if asked["payload"] == "unsigned":
        request.context.update(payload_signing_enabled=False, client_config=UNSIGNED)
    return request


for line in sys.stdin.buffer:
    print(json.dumps(sign(json.loads(line))), flush=True)
