"""Creates tokens and POST policies with botocore, the aws CLI and the generators that AWS publishes, at a given time.
Reads each request of tests/tokens.rs as a line of JSON, and writes the result as a line of JSON."""

import contextlib
import datetime
import io
import json
import os
import sys
from unittest import mock
from urllib.parse import urlencode

# Ignore the machine's settings.
for name in [name for name in os.environ if name.startswith("AWS_")]:
    del os.environ[name]
os.environ.update(
    AWS_CONFIG_FILE=os.devnull, AWS_SHARED_CREDENTIALS_FILE=os.devnull, AWS_EC2_METADATA_DISABLED="true"
)

import aws_bedrock_token_generator
import aws_msk_iam_sasl_signer.MSKAuthTokenProvider as msk
import botocore.auth
import botocore.session
import botocore.signers
from awscli.clidriver import create_clidriver
from awscli.customizations.eks.get_token import STSClientFactory, TokenGenerator
from botocore.config import Config
from botocore.credentials import Credentials
from botocore.model import ServiceId
from botocore.signers import RequestSigner


def set_clocks(seconds):
    time = datetime.datetime.fromtimestamp(seconds, datetime.timezone.utc)

    def now(remove_tzinfo=True):
        return time.replace(tzinfo=None) if remove_tzinfo else time

    for module in [botocore.auth, botocore.signers]:
        module.get_current_datetime = now


def session_of(given):
    session = botocore.session.get_session()
    session.set_credentials(given["id"], given["secret"], given["token"])
    return session


def client(given, service, **more):
    return session_of(given).create_client(service, given["region"], **more)


def rds(given):
    return client(given, "rds").generate_db_auth_token(given["host"], given["port"], given["user"])


def rds_cli(given):
    """`aws rds generate-db-auth-token`."""
    driver = create_clidriver()
    driver.session.set_credentials(given["id"], given["secret"], given["token"])
    arguments = ["rds", "generate-db-auth-token", "--hostname", given["host"], "--port", str(given["port"]),
                 "--username", given["user"], "--region", given["region"]]
    return printed(driver, arguments).strip()


def eks_cli(given):
    """`aws eks get-token`."""
    driver = create_clidriver()
    driver.session.set_credentials(given["id"], given["secret"], given["token"])
    arguments = ["eks", "get-token", "--cluster-name", given["cluster"], "--region", given["region"]]
    return json.loads(printed(driver, arguments))["status"]["token"]


def printed(driver, arguments):
    out = io.StringIO()
    with contextlib.redirect_stdout(out):
        status = driver.main(arguments)
    if status:
        sys.exit(f"aws {arguments}: {status}")
    return out.getvalue()


def dsql(given):
    dsql = client(given, "dsql")
    generate = dsql.generate_db_connect_admin_auth_token if given["admin"] else dsql.generate_db_connect_auth_token
    return generate(given["host"])


def cache(given):
    """The sample of the Amazon ElastiCache User Guide, "Authenticating with IAM", and its counterpart for MemoryDB."""
    session = session_of(given)
    service = given["service"]
    signer = RequestSigner(ServiceId(service), given["region"], service, "v4", session.get_credentials(),
                           session.get_component("event_emitter"))
    query = {"Action": "connect", "User": given["user"]}
    if given["serverless"]:
        query["ResourceType"] = "ServerlessCache"
    request = {"method": "GET", "url": f"https://{given['name'].lower()}/?{urlencode(query)}", "body": {},
               "headers": {}, "context": {}}
    url = signer.generate_presigned_url(request, operation_name="connect", expires_in=900,
                                        region_name=given["region"])
    return url.removeprefix("https://")


def eks(given):
    session = session_of(given)
    sts = STSClientFactory(session).get_sts_client(region_name=given["region"])
    return TokenGenerator(sts).get_token(given["cluster"])


def msk_token(given):
    credentials = Credentials(given["id"], given["secret"], given["token"])
    with mock.patch.object(msk, "__get_user_agent__", lambda: given["user_agent"]):
        # A name in a class would be mangled, but not here.
        return getattr(msk, "__construct_auth_token")(given["region"], credentials)[0]


def bedrock(given):
    credentials = Credentials(given["id"], given["secret"], given["token"])
    with mock.patch.object(aws_bedrock_token_generator.token_generator, "TOKEN_DURATION", given["expires"]):
        generator = aws_bedrock_token_generator.BedrockTokenGenerator()
        return generator.get_token(credentials, given["region"])


def post(given):
    s3 = client(given, "s3", config=Config(signature_version="s3v4"))
    return s3.generate_presigned_post(given["bucket"], given["key"], given["fields"], given["conditions"],
                                      given["expires"])


KINDS = {
    "bedrock": bedrock, "cache": cache, "dsql": dsql, "eks": eks, "eks_cli": eks_cli,
    "msk": msk_token, "post": post, "rds": rds, "rds_cli": rds_cli,
}

if __name__ == "__main__":
    for line in sys.stdin.buffer:
        given = json.loads(line)
        set_clocks(given["time"])
        print(json.dumps(KINDS[given["kind"]](given)), flush=True)
