"""A gateway whose identities are a user and roles of moto, which verifies signatures and policies of STS and S3; and two
gateways with one cache in Redis, whose callers have sessions of their own. First argument: the gateway's program.
Prints the number of passed checks."""

import contextlib
import http.client
import http.server
import json
import re
import subprocess
import sys
import tempfile
import threading
import time
import urllib.error
import urllib.request

import boto3
import botocore.auth
import botocore.awsrequest
import botocore.credentials
import checks
from checks import check
from fleet import free_port
from moto_server import start_moto

import fleet

REGION, BUCKET = "us-east-1", "orders"
GATEWAY = sys.argv[1]
STATIC = 'source = "static"\naccess_key_id = "{}"\nsecret_access_key = "{}"'


def policy(actions, resource="*"):
    statement = {"Effect": "Allow", "Action": actions, "Resource": resource}
    return json.dumps({"Version": "2012-10-17", "Statement": [statement]})


def set_up(url):
    """Returns the user's key. From then on moto checks signatures and policies."""
    options = dict(region_name=REGION, endpoint_url=url, aws_access_key_id="a", aws_secret_access_key="b")
    iam = boto3.client("iam", **options)
    boto3.client("s3", **options).create_bucket(Bucket=BUCKET)
    iam.create_user(UserName="gateway")
    iam.put_user_policy(UserName="gateway", PolicyName="p", PolicyDocument=policy("sts:AssumeRole"))
    trust = json.loads(policy("sts:AssumeRole"))
    trust["Statement"][0] = {"Effect": "Allow", "Action": "sts:AssumeRole", "Principal": {"AWS": "*"}}
    for role, actions in {"writer": "s3:*", "stranger": "s3:ListAllMyBuckets"}.items():
        iam.create_role(RoleName=role, AssumeRolePolicyDocument=json.dumps(trust))
        iam.put_role_policy(RoleName=role, PolicyName="p", PolicyDocument=policy(actions))
    key = iam.create_access_key(UserName="gateway")["AccessKey"]
    # Number of further calls without checks.
    reset = urllib.request.Request(f"{url}/moto-api/reset-auth", b"0", {"content-type": "text/plain"})
    urllib.request.urlopen(reset).close()
    return key


def identity(name, lines):
    return f'[[identity]]\nname = "{name}"\n{lines}\n'


def role(name, base, url):
    return identity(
        name,
        f'chain = ["{base}"]\nrole_arn = "arn:aws:iam::123456789012:role/{name.split(".")[0]}"\n'
        f'region = "{REGION}"\nsts_endpoint = "{url}"',
    )


def route(path, name):
    return f'[[route]]\npath = "/{path}"\nstrip_prefix = true\norigin = "moto"\nidentity = "{name}"\n'


def config(url, key):
    identities = [
        identity("user", STATIC.format(key["AccessKeyId"], key["SecretAccessKey"])),
        identity("forger", STATIC.format(key["AccessKeyId"], "forged")),
        role("writer", "user", url),
        role("stranger", "user", url),
        role("writer.forged", "forger", url),
    ]
    names = ["user", "writer", "stranger", "writer.forged"]
    origin = f'[[origin]]\nname = "moto"\nurl = "{url}"\nservice = "s3"\nregion = "{REGION}"\n'
    server = '[server]\nlisten = "127.0.0.1:0"\n'
    return server + "".join(identities) + origin + "".join(route(name, name) for name in names)


class KeyOrigin(http.server.BaseHTTPRequestHandler):
    """Responds with the access key ID of the signature, for a shared cache."""

    requests = 0

    def do_GET(self):
        KeyOrigin.requests += 1
        key = re.search(r"Credential=([^/]+)/", self.headers["authorization"])[1].encode()
        self.send_response(200)
        self.send_header("cache-control", "public, max-age=600")
        self.send_header("content-length", str(len(key)))
        self.end_headers()
        self.wfile.write(key)

    def log_message(self, *_):
        pass


TENANTS = ["AKIDALICE", "AKIDBOB"]


def tenants_config(origin, redis, url, key, share):
    tenant = role("writer", "user", url) + f'session_name = "{{caller}}"\nshare_public = {share}\n'
    keys = "".join(
        f'[[verify.key]]\naccess_key_id = "{name}"\nsecret_access_key = "secret-of-{name}"\n' for name in TENANTS
    )
    return f"""
[server]
listen = "127.0.0.1:0"
[cache]
{fleet.single(redis)}
{identity("user", STATIC.format(key["AccessKeyId"], key["SecretAccessKey"]))}
{tenant}
[verify]
service = "execute-api"
region = "{REGION}"
{keys}
[[origin]]
name = "keys"
url = "http://127.0.0.1:{origin}"
service = "execute-api"
region = "{REGION}"
identity = "writer"
[[route]]
path = "/"
origin = "keys"
cache = true
"""


def ask_as(address, name):
    request = botocore.awsrequest.AWSRequest("GET", "http://h/orders")
    credentials = botocore.credentials.Credentials(name, f"secret-of-{name}")
    botocore.auth.SigV4Auth(credentials, "execute-api", REGION).add_auth(request)
    connection = http.client.HTTPConnection(address, timeout=30)
    connection.request("GET", "/orders", headers=dict(request.headers) | {"host": "h"})
    response = connection.getresponse()
    result = response.status, response.read().decode()
    connection.close()
    return result


def count_stored(port):
    """Returns the number of keys in Redis."""
    command = ["redis-cli", "--no-auth-warning", "-a", fleet.PASSWORD, "-p", str(port), "dbsize"]
    return int(subprocess.run(command, check=True, capture_output=True, text=True).stdout.split()[-1])


def ask_and_store(gateway, name, port):
    """Sends a request, and waits until the response is stored if it is the origin's."""
    stored, requests = count_stored(port), KeyOrigin.requests
    response = ask_as(gateway, name)
    deadline = time.monotonic() + 10
    while KeyOrigin.requests > requests and count_stored(port) == stored and time.monotonic() < deadline:
        time.sleep(0.05)
    return response


def check_tenants(url, key):
    """Two gateways share a cache in Redis, and their callers do not share its responses."""
    fleet.ensure_redis()
    port = free_port()
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), KeyOrigin)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    redis = fleet.start_redis(port, "--requirepass", fleet.PASSWORD)
    try:
        for share, requests in [("false", 2), ("true", 1)]:
            text = tenants_config(server.server_address[1], port, url, key, share)
            KeyOrigin.requests = 0
            with run(text) as (first, _), run(text) as (second, _):
                responses = [ask_and_store(gateway, name, port) for gateway in [first, second] for name in TENANTS]
            check("each caller gets a response", {status for status, _ in responses}, {200})
            bodies = [body for _, body in responses]
            check("tenants share a response", bodies[0] == bodies[1], share == "true")
            check("gateways share the responses of a tenant", bodies[:2], bodies[2:])
            check("requests of the origin", KeyOrigin.requests, requests)
    finally:
        redis.terminate()
        redis.wait()
        server.shutdown()


def send(address, method, path, body=None):
    connection = http.client.HTTPConnection(address, timeout=30)
    connection.request(method, path, body, {"host": "h"})
    response = connection.getresponse()
    result = response.status, response.read().decode()
    connection.close()
    return result


@contextlib.contextmanager
def run(text):
    """Starts a gateway. Returns its address and its configuration's path."""
    with tempfile.NamedTemporaryFile("w", suffix=".toml") as file:
        file.write(text)
        file.flush()
        command = [GATEWAY, "--config", file.name]
        with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as process:
            try:
                for line in process.stdout:
                    if address := re.match(r"gateway http://(\S+)", line):
                        break
                else:
                    sys.exit("the gateway has not started")
                yield address[1], file.name
            finally:
                process.kill()


def check_roles(url, key):
    with run(config(url, key)) as (address, file):
        check("a write by the role", send(address, "PUT", f"/writer/{BUCKET}/a", "content")[0], 200)
        check("a read by the role", send(address, "GET", f"/writer/{BUCKET}/a"), (200, "content"))
        check("the user itself may not read", send(address, "GET", f"/user/{BUCKET}/a")[0], 403)
        check("a role without permission", send(address, "GET", f"/stranger/{BUCKET}/a")[0], 403)
        status, body = send(address, "GET", f"/writer.forged/{BUCKET}/a")
        check("a wrong secret", (status, "STS rejected AssumeRole" in body), (503, True))
        check("the role still reads", send(address, "GET", f"/writer/{BUCKET}/a"), (200, "content"))
        command = [GATEWAY, "--config", file, "--check", "--credentials"]
        checked = subprocess.run(command, capture_output=True, text=True)
        lines = [line.split(",")[0] for line in checked.stdout.splitlines()]
        check("the check lists the role", 'identity "writer": source "role"' in lines, True)
        check("the check names the forger", 'identity "writer.forged" has no' in checked.stderr, True)
        check("the check fails", checked.returncode, 1)


def main():
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    moto = start_moto(port)
    try:
        key = set_up(url)
        check_roles(url, key)
        check_tenants(url, key)
    finally:
        moto.terminate()
        moto.wait()
    print(checks.passed)


main()
