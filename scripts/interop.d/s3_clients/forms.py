"""Forms of boto3's `generate_presigned_post`, sent by curl, through the gateway to s3s-fs, which verifies the gateway's
signature and stores the file. Arguments: the programs of the gateway and of s3s-fs. Prints the number of checks."""

import contextlib
import os
import pathlib
import subprocess
import sys
import tempfile

import boto3
import servers
from botocore.config import Config

GATEWAY, S3S_FS = sys.argv[1:]
ORIGIN_KEYS = ("AKIDORIGIN", "the-origin-knows-it")
REGION = "us-east-1"
checks = 0


def client(url, keys):
    config = Config(signature_version="s3v4", s3={"addressing_style": "path"})
    return boto3.client("s3", REGION, endpoint_url=url, aws_access_key_id=keys[0], aws_secret_access_key=keys[1],
                        config=config)


def post(form, file, *more):
    """Sends a form as browsers do: its fields, then the file. Returns status, location and body."""
    fields = [argument for name, value in form["fields"].items() for argument in ("--form-string", f"{name}={value}")]
    command = ["curl", "--silent", *fields, *more, "--form", f"file=@{file};filename=photo 1.png"]
    command += ["--write-out", "\n%{http_code} %{redirect_url}", form["url"]]
    body, status = subprocess.run(command, check=True, capture_output=True, text=True).stdout.rsplit("\n", 1)
    code, _, location = status.partition(" ")
    return int(code), location, body


def check(found, expected, what):
    global checks
    if found != expected:
        servers.fail(f"{what}: {found}, not {expected}")
    checks += 1


def run(folder):
    small, large = folder / "small", folder / "large"
    small.write_bytes(os.urandom(100_000))
    large.write_bytes(bytes(300_000))
    with contextlib.ExitStack() as stack:
        origin = stack.enter_context(servers.s3s_fs(S3S_FS, folder, ORIGIN_KEYS))
        settings = servers.s3_settings(GATEWAY, origin, verify=True)
        url, _, log = stack.enter_context(servers.gateway(GATEWAY, folder / "gateway", settings, ORIGIN_KEYS))
        store, signer = client(origin, ORIGIN_KEYS), client(url, servers.CLIENT_KEYS)
        store.create_bucket(Bucket="photos")

        def form(fields=None, conditions=(), **more):
            limits = [["content-length-range", 1, 200_000]]
            return signer.generate_presigned_post(
                "photos", "user/${filename}", Fields=fields, Conditions=[*limits, *conditions], **more
            )

        check(post(form(), small), (204, "", ""), "a form")
        stored = store.get_object(Bucket="photos", Key="user/photo 1.png")
        check(stored["Body"].read(), small.read_bytes(), "the file")

        typed = {"Content-Type": "image/png", "x-amz-meta-owner": "me", "success_action_status": "201"}
        status, _, body = post(form(typed, [{name: value} for name, value in typed.items()]), small)
        check((status, "<Key>user/photo 1.png</Key>" in body), (201, True), "a form with fields")
        head = store.head_object(Bucket="photos", Key="user/photo 1.png")
        check((head["ContentType"], head["Metadata"]), ("image/png", {"owner": "me"}), "the fields")

        done = {"success_action_redirect": "http://localhost/done"}
        status, location, _ = post(form(done, [done]), small)
        check((status, location.split("&etag=")[0]),
              (303, "http://localhost/done?bucket=photos&key=user%2Fphoto+1.png"), "a redirect")

        def rejected(expected, what, given, file=small, *more):
            status, _, body = post(given, file, *more)
            code = body.partition("<Code>")[2].partition("<")[0]
            check((status, code), expected, what)

        changed = form()
        changed["fields"]["key"] = "other/photo.png"
        rejected((403, "AccessDenied"), "another key", changed)
        forged = form()
        forged["fields"]["x-amz-signature"] = "0" * 64
        rejected((403, "SignatureDoesNotMatch"), "a forged signature", forged)
        rejected((403, "AccessDenied"), "a field without a condition", form(), small, "--form-string", "acl=public-read")
        rejected((413, "EntityTooLarge"), "a large file", form(), large)
        rejected((403, "AccessDenied"), "an expired policy", form(ExpiresIn=-1))
        keys = [item["Key"] for item in store.list_objects_v2(Bucket="photos")["Contents"]]
        check(keys, ["user/photo 1.png"], "the objects")
        check("placeholder-secret" in log.read_text(), False, "the log")


with tempfile.TemporaryDirectory() as name:
    run(pathlib.Path(name))
print(checks)
