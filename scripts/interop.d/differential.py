"""Signs requests of tests/differential with botocore at a given time, and verifies signatures of SigV4a. Reads each
request as a line of JSON, and writes the result as a line of JSON."""

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
from sigv4a import ALGORITHM, public_key

UNSIGNED = Config(s3={"payload_signing_enabled": False})


def sign(given):
    set_clocks(given["time"])
    name = given["class"]
    module = botocore.crt.auth if name.startswith("Crt") else botocore.auth
    credentials = Credentials(given["id"], given["secret"], given["token"])
    expires = {} if given["expires"] is None else {"expires": given["expires"]}
    signer = getattr(module, name)(credentials, given["service"], given["region"], **expires)
    stages = keep_stages(signer)
    request = unsigned(given)
    try:
        signer.add_auth(request)
    except (AwsCrtError, ValueError) as error:
        return {"error": str(error)}
    return {"url": request.prepare().url, "headers": request.headers.items(), **stages}


def set_clocks(seconds):
    time = datetime.datetime.fromtimestamp(seconds, datetime.timezone.utc)

    def now(remove_tzinfo=True):
        return time.replace(tzinfo=None) if remove_tzinfo else time

    for module in [botocore.auth, botocore.crt.auth]:
        module.get_current_datetime = now


def keep_stages(signer):
    """Records the results of the signer's methods; awscrt's are in C and cannot be wrapped."""
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


def unsigned(given):
    url, params, query = given["url"], None, given["query"]
    if given["query_form"] == "raw":
        url += "?" + query if query else ""
    else:
        pairs = parse_qsl(query, keep_blank_values=True)
        if given["query_form"] == "params":
            params = pairs
        elif pairs:
            url += "?" + percent_encode_sequence(pairs)
    body = bytes.fromhex(given["body"])
    # A presigner would put a body into the query.
    data = body if given["expires"] is None else b""
    request = AWSRequest(given["method"], url, data=data, params=params)
    for name, value in given["headers"]:
        request.headers[name] = value  # appends
    if given["payload"] == "hash in a header":
        request.headers["X-Amz-Content-SHA256"] = hashlib.sha256(body).hexdigest()
    if given["payload"] == "unsigned":
        request.context.update(payload_signing_enabled=False, client_config=UNSIGNED)
    return request


def verify(given):
    """Derives the strings of SigV4a with botocore's Python code: those of SigV4, and a region set in a header or in the
    query. Also verifies the signature."""
    name = given["class"].removeprefix("Crt").replace("Asym", "")
    credentials = Credentials(given["id"], given["secret"], given["token"])
    signer = getattr(botocore.auth, name)(credentials, given["service"], given["region"])
    canonical_request = signer.canonical_request(unsigned(given))
    time = datetime.datetime.fromtimestamp(given["time"], datetime.timezone.utc)
    time = time.strftime(botocore.auth.SIGV4_TIMESTAMP)
    scope = f"{time[:8]}/{given['service']}/aws4_request"
    digest = hashlib.sha256(canonical_request.encode()).hexdigest()
    string_to_sign = "\n".join([ALGORITHM, time, scope, digest])
    digest = hashlib.sha256(string_to_sign.encode()).digest()
    valid = public_key(given["id"], given["secret"]).verify(digest, bytes.fromhex(given["signature"]))
    stages = {"canonical_request": canonical_request, "string_to_sign": string_to_sign}
    return {**stages, "valid": valid}


for line in sys.stdin.buffer:
    given = json.loads(line)
    result = verify(given) if "signature" in given else sign(given)
    print(json.dumps(result), flush=True)
