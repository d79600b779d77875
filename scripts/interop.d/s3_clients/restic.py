"""restic, which uses minio-go: over HTTP it sends signed chunks. Backs up a tree, checks it and restores it. Prints
lines as table.py does."""

import json
import os
import pathlib
import random
import subprocess

from table import BUCKET, CA, ENDPOINT, KEY, REGION, SECRET, WORK

environment = {
    "PATH": os.environ["PATH"],
    "HOME": str(WORK),
    "AWS_ACCESS_KEY_ID": KEY,
    "AWS_SECRET_ACCESS_KEY": SECRET,
    "AWS_DEFAULT_REGION": REGION,
    "RESTIC_REPOSITORY": f"s3:{ENDPOINT}/{BUCKET}",
    "RESTIC_PASSWORD": "any",
    "RESTIC_CACHE_DIR": str(WORK / "cache"),
}


def restic(*arguments, cwd):
    command = ["restic", *(["--cacert", CA] if CA else []), "--option", "s3.bucket-lookup=path", *arguments]
    done = subprocess.run(command, env=environment, cwd=cwd, capture_output=True, text=True, timeout=120)
    error = None if done.returncode == 0 else f"exit {done.returncode}: {done.stderr[-800:]}"
    print(json.dumps({"kind": arguments[0], "name": " ".join(arguments), "error": error}), flush=True)


def files(folder):
    return {path.relative_to(folder): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def main():
    tree = pathlib.Path(WORK, "tree")
    data = random.Random(1)
    for number in range(40):
        path = tree / f"d{number % 7}" / f"é {number}"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data.randbytes(number * 20_000))
    (tree / "large").write_bytes(data.randbytes(20 * 2**20))
    restic("init", cwd=WORK)
    restic("backup", "tree", cwd=WORK)
    (tree / "d1" / "more").write_bytes(b"any data")
    restic("backup", "tree", cwd=WORK)
    restic("check", "--read-data", cwd=WORK)
    restic("restore", "latest", "--target", "restored", cwd=WORK)
    restic("forget", "--keep-last", "1", "--prune", cwd=WORK)
    restic("check", cwd=WORK)
    is_same = files(tree) == files(WORK / "restored" / "tree")
    error = None if is_same else "the restored tree differs"
    print(json.dumps({"kind": "compare", "name": "compare the trees", "error": error}))
    print(json.dumps({"kept": None}))


main()
