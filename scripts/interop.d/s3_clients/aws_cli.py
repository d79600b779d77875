"""The aws CLI, in this process: for each command, a process of its own takes half a second to start."""

import contextlib
import io
import json
import os

from table import BUCKET, CA, ENDPOINT, KEY, PART, REGION, SECRET, WORK

UNABLE = {"presigned_put": "`aws s3 presign` signs GET only"}
CHECKSUM = "CRC32"  # that of botocore without awscrt
SENDS_CHUNKS = True

folder = WORK / "aws"
folder.mkdir()
(folder / "config").write_text(
    f"""[default]
region = {REGION}
output = json
s3 =
    addressing_style = path
    signature_version = s3v4
    multipart_threshold = {PART}
    multipart_chunksize = {PART}
"""
)
os.environ.update(
    AWS_ACCESS_KEY_ID=KEY, AWS_SECRET_ACCESS_KEY=SECRET, AWS_CONFIG_FILE=str(folder / "config"), AWS_MAX_ATTEMPTS="1"
)
from awscli.clidriver import create_clidriver  # it reads the environment

# Commands of s3api leave handlers behind that change those of s3.
drivers = {command: create_clidriver() for command in ["s3", "s3api"]}


def aws(*arguments):
    """Returns the output of a command."""
    out, errors = io.TextIOWrapper(io.BytesIO()), io.StringIO()
    more = ["--endpoint-url", ENDPOINT] + (["--ca-bundle", CA] if CA else [])
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(errors):
        status = drivers[arguments[0]].main([*map(str, arguments), *more])
    out.flush()
    if status:
        raise AssertionError(f"exit {status}: {errors.getvalue()} {out.buffer.getvalue().decode()}")
    return out.buffer.getvalue().decode()


def object(command, key, *more):
    output = aws("s3api", command, "--bucket", BUCKET, "--key", key, *more)
    return json.loads(output or "{}")


def put(key, path):
    object("put-object", key, "--body", path)


def get(key, path):
    object("get-object", key, path)


def head(key):
    return object("head-object", key)["ContentLength"]


def list(prefix):
    output = aws("s3api", "list-objects-v2", "--bucket", BUCKET, "--prefix", prefix, "--page-size", 5)
    return [found["Key"] for found in json.loads(output or "{}").get("Contents", [])]


def multipart(key, path):
    aws("s3", "cp", "--no-progress", path, f"s3://{BUCKET}/{key}")


def copy(source, target):
    aws("s3", "cp", "--no-progress", f"s3://{BUCKET}/{source}", f"s3://{BUCKET}/{target}")


def delete_objects(keys):
    file = folder / "delete.json"
    file.write_text(json.dumps({"Objects": [{"Key": key} for key in keys]}))
    output = aws("s3api", "delete-objects", "--bucket", BUCKET, "--delete", f"file://{file}")
    assert "Errors" not in output, output


def presigned_get(key):
    return aws("s3", "presign", f"s3://{BUCKET}/{key}").strip()


def sync():
    """A folder there and back."""
    files = {"a b": b"1", "d/é": b"2" * 100_000}
    for name, content in files.items():
        path = folder / "tree" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    aws("s3", "sync", "--no-progress", folder / "tree", f"s3://{BUCKET}/tree")
    aws("s3", "sync", "--no-progress", f"s3://{BUCKET}/tree", folder / "back")
    for name, content in files.items():
        assert (folder / "back" / name).read_bytes() == content, name
    aws("s3", "rm", "--recursive", f"s3://{BUCKET}/tree")


MORE = {"sync": sync}
