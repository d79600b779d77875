"""rclone, which uses the AWS SDK for Go. It sends `UNSIGNED-PAYLOAD`."""

import json
import os
import shutil
import subprocess
import sysconfig

from table import BUCKET, CA, ENDPOINT, KEY, PART, REGION, SECRET, WORK

UNABLE = {"presigned_put": "`rclone link` signs GET only"}
UNABLE_KEYS = {
    "s//t//u": "rclone joins the segments of a path",
    "v/../w": "rclone resolves the segments of a path",
}

# Beside Python, or beside its packages where pip has installed them with --target.
FOLDERS = [sysconfig.get_path("scripts"), os.path.join(sysconfig.get_path("purelib"), "bin")]
PROGRAM = shutil.which("rclone", path=os.pathsep.join(FOLDERS))
environment = {
    "PATH": os.environ["PATH"],
    "HOME": str(WORK),
    "RCLONE_CONFIG": os.devnull,
    "RCLONE_CONFIG_S3_TYPE": "s3",
    "RCLONE_CONFIG_S3_PROVIDER": "Other",
    "RCLONE_CONFIG_S3_ENDPOINT": ENDPOINT,
    "RCLONE_CONFIG_S3_REGION": REGION,
    "RCLONE_CONFIG_S3_ACCESS_KEY_ID": KEY,
    "RCLONE_CONFIG_S3_SECRET_ACCESS_KEY": SECRET,
    "RCLONE_S3_NO_CHECK_BUCKET": "true",
    # Keys as they are, without rclone's replacements for characters.
    "RCLONE_S3_ENCODING": "None",
    "RCLONE_RETRIES": "1",
    "RCLONE_LOW_LEVEL_RETRIES": "1",
}
if CA:
    environment["RCLONE_CA_CERT"] = CA


def rclone(*arguments):
    done = subprocess.run([PROGRAM, *map(str, arguments)], env=environment, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr[-800:]
    return done.stdout


def remote(key):
    return f"s3:{BUCKET}/{key}"


def put(key, path):
    rclone("copyto", path, remote(key))


def get(key, path):
    rclone("copyto", remote(key), path)


def head(key):
    return json.loads(rclone("lsjson", "--stat", remote(key)))["Size"]


def list(prefix):
    found = json.loads(rclone("lsjson", "--recursive", "--files-only", remote("")))
    return [file["Path"] for file in found if file["Path"].startswith(prefix)]


def multipart(key, path):
    rclone("copyto", "--s3-upload-cutoff", PART, "--s3-chunk-size", PART, path, remote(key))


def copy(source, target):
    rclone("copyto", remote(source), remote(target))


def delete_objects(keys):
    """rclone deletes objects one by one."""
    file = WORK / "delete"
    file.write_text("".join(f"/{key}\n" for key in keys))
    rclone("delete", "--files-from-raw", file, remote(""))


def presigned_get(key):
    return rclone("link", "--expire", "1h", remote(key)).strip()
