"""boto3 and the aws CLI against two verify_server examples. Prints the number of passed checks."""

import os
import re
import subprocess
import sys
import tempfile

import common
from common import API, INVALID, KEY, KEYS, MISMATCH, OK, REGION, S3
from common import check, client, fetch, outcome, over_http, skewed

WRONG_KEYS = [
    ("wrong secret", {"aws_secret_access_key": "wrong"}),
    ("unknown id", {"aws_access_key_id": "AKIDOTHER"}),
    ("needless token", {"aws_session_token": "token"}),
    ("wrong region", {"region_name": "eu-west-1"}),
]


def boto3_api():
    api = client("apigatewaymanagementapi")
    for id in ["L0SM9cOFvHcCIhw=", "a b/c+d", "é~%41", "()!*'@:"]:
        posted = outcome(api.post_to_connection, ConnectionId=id, Data=b"any data")
        check(f"POST to {id}", posted, OK)
        check(f"GET of {id}", outcome(api.get_connection, ConnectionId=id), OK)
    unrecognized = (403, "UnrecognizedClientException")
    wanted = [INVALID, unrecognized, unrecognized, INVALID]
    for (name, changed), rejection in zip(WRONG_KEYS, wanted):
        api = client("apigatewaymanagementapi", **changed)
        posted = outcome(api.post_to_connection, ConnectionId="id", Data=b"any data")
        check(f"POST, {name}", posted, rejection)
        # The server may close a connection on which it has rejected a body unread.
        api = client("apigatewaymanagementapi", **changed)
        check(f"GET, {name}", outcome(api.get_connection, ConnectionId="id"), rejection)
    for minutes in [-20, 20]:
        with skewed(minutes):
            got = outcome(client("apigatewaymanagementapi").get_connection, ConnectionId="id")
            check(f"{minutes} minutes", got, INVALID)


def boto3_s3():
    s3 = client("s3")
    for key in KEYS:
        object = {"Bucket": "bucket", "Key": key}
        check(f"put {key}", outcome(s3.put_object, Body=b"any data", **object), OK)
        for call in [s3.get_object, s3.head_object, s3.delete_object]:
            check(f"{call.__name__} {key}", outcome(call, **object), OK)
        copied = outcome(s3.copy_object, Bucket="bucket", Key="copy", CopySource=object)
        check(f"copy {key}", copied, OK)
        check(f"list {key}", outcome(s3.list_objects_v2, Bucket="bucket", Prefix=key), OK)
    object = {"Bucket": "bucket", "Key": KEYS[0]}
    described = {"Metadata": {"a": "b   c"}, "ContentType": "text/plain", "Tagging": "a=b+c"}
    check("with headers", outcome(s3.put_object, Body=b"any data", **described, **object), OK)
    check("2 MB", outcome(s3.put_object, Body=os.urandom(2_000_000), **object), OK)
    check("a range", outcome(s3.get_object, Range="bytes=0-9", **object), OK)
    wanted = [
        MISMATCH,
        (403, "InvalidAccessKeyId"),
        (400, "InvalidToken"),
        OK,  # the response names the right region, and boto3 signs again
    ]
    for (name, changed), rejection in zip(WRONG_KEYS, wanted):
        s3 = client("s3", **changed)
        check(f"put, {name}", outcome(s3.put_object, Body=b"any data", **object), rejection)
        # The server closes the connection of an upload that expects 100 Continue.
        s3 = client("s3", **changed)
        check(f"get, {name}", outcome(s3.get_object, **object), rejection)
        head = OK if rejection == OK else (rejection[0], str(rejection[0]))  # no body, no code
        check(f"head, {name}", outcome(s3.head_object, **object), head)
    for minutes in [-20, 20]:
        with skewed(minutes):
            got = outcome(client("s3").get_object, **object)
            check(f"S3, {minutes} minutes", got, (403, "RequestTimeTooSkewed"))
    unsigned = client("s3", s3={"payload_signing_enabled": False})
    check("unsigned payload", outcome(unsigned.put_object, Body=b"any data", **object), OK)
    # Over https boto3 sends chunks with a checksum in the trailer by default.
    for checksums in [None, "when_required"]:
        s3 = over_http(client("s3", S3.replace("http:", "https:"), checksums=checksums))
        got = outcome(s3.put_object, Body=b"any data", **object)
        check(f"as over https, checksums {checksums}", got, OK)


# Operations without parameters, with the code that the format of their service has.
FORMATS = [
    ("sts", "get_caller_identity", MISMATCH),
    ("iam", "list_users", MISMATCH),
    ("sns", "list_topics", MISMATCH),
    ("ec2", "describe_instances", MISMATCH),
    ("route53", "list_hosted_zones", MISMATCH),
    ("cloudformation", "list_stacks", MISMATCH),
    ("dynamodb", "list_tables", INVALID),
    ("sqs", "list_queues", INVALID),
    ("kinesis", "list_streams", INVALID),
    ("lambda", "list_functions", INVALID),
    ("cloudwatch", "list_metrics", INVALID),
]


def boto3_formats():
    """Each client reads the message of a rejection, and its request ID."""
    for service, operation, rejection in FORMATS:
        for url in [API, S3]:
            call = getattr(client(service, url), operation)
            check(f"{service} at {url}", outcome(call), rejection)
            shown = "the credential is scoped to service" in common.message
            check(f"message of {service}", shown, True)
            check(f"request ID of {service}", bool(common.request_id), True)


def aws(*arguments, secret="secret"):
    """Returns the exit code, the printed error code, and the output."""
    with tempfile.TemporaryDirectory() as folder:
        config = os.path.join(folder, "config")
        with open(config, "w") as file:  # required by presign in us-east-1
            file.write("[default]\ns3 =\n  signature_version = s3v4\n")
        environment = dict(
            os.environ,
            AWS_ACCESS_KEY_ID=KEY["aws_access_key_id"],
            AWS_SECRET_ACCESS_KEY=secret,
            AWS_DEFAULT_REGION=REGION,
            AWS_CONFIG_FILE=config,
            AWS_MAX_ATTEMPTS="1",
        )
        command = [sys.executable, "-I", "-m", "awscli", *arguments]
        run = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60)
    common.message = run.stderr
    code = re.search(r"An error occurred \((\w+)\)", run.stderr)
    return run.returncode, code and code[1], run.stdout.strip()


def aws_cli():
    with tempfile.TemporaryDirectory() as folder:
        body, output = os.path.join(folder, "body"), os.path.join(folder, "output")
        with open(body, "wb") as file:
            file.write(os.urandom(100_000))
        post = ["apigatewaymanagementapi", "post-to-connection", "--connection-id", "a b/c+d="]
        post += ["--data", f"fileb://{body}", "--endpoint-url", API]
        object = ["--bucket", "bucket", "--key", KEYS[0], "--endpoint-url", S3]
        put = ["s3api", "put-object", "--body", body, *object]
        get = ["s3api", "get-object", *object, output]
        for command, (_, code) in [(post, INVALID), (put, MISMATCH), (get, MISMATCH)]:
            check(f"aws {command[1]}", aws(*command)[:2], (0, None))
            wrong = aws(*command, secret="wrong")[:2]
            check(f"aws {command[1]}, wrong secret", wrong, (255, code))
        with open(output) as file:
            check("aws get-object", file.read(), "<p>AKIDEXAMPLE sent 0 bytes</p>")
    presign = ["s3", "presign", f"s3://bucket/{KEYS[0]}", "--endpoint-url", S3]
    check("aws presign", fetch(aws(*presign)[2]), OK)
    check("aws presign, wrong secret", fetch(aws(*presign, secret="wrong")[2]), MISMATCH)


boto3_api()
boto3_s3()
boto3_formats()
aws_cli()
print(common.passed)
