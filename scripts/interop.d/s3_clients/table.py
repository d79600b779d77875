"""The operations that each S3 client carries out through the gateway, in one table. Argument: the name of a module in
this folder, which has a function for each operation. Prints a line of JSON for each operation. The environment has the
settings, so that clients in other languages read the same."""

import hashlib
import importlib
import json
import os
import pathlib
import ssl
import sys
import traceback
import urllib.error
import urllib.request
from urllib.parse import unquote_plus

ENDPOINT = os.environ.get("S3_ENDPOINT")
CA = os.environ.get("S3_CA")  # empty without TLS
BUCKET = os.environ.get("S3_BUCKET")
KEY = os.environ.get("S3_ACCESS_KEY")
SECRET = os.environ.get("S3_SECRET_KEY")
REGION = "us-east-1"
SERVER = os.environ.get("S3_SERVER")
HAS_VERIFY = bool(os.environ.get("S3_VERIFY"))
WORK = pathlib.Path(os.environ.get("S3_WORK", "."))
OPERATIONS = [
    "put",
    "get",
    "head",
    "list",
    "multipart",
    "copy",
    "delete_objects",
    "presigned_get",
    "presigned_put",
]
ODD_KEYS = [
    "a b+c/é~x",
    "p/50%.bin",
    "p/%2F%2f%20",
    "()!*'",
    "a:b@c&d=e?f#g",
    "日本/語",
    "dots...",
    "dir./a.",
    "s//t//u",
    "v/../w",
]
SIZES = [5, 200_000, 0]
PART = 5 * 1024 * 1024
MULTIPART = 12 * 1024 * 1024 + 5


def content(key, size):
    """Returns the bytes of every object with this key, so that the origin's side can compare them too."""
    line = key.encode() + b"\n"
    return (line * (size // len(line) + 1))[:size]


def fetch(url, method="GET", body=None):
    """Sends a presigned request without a client of S3."""
    context = ssl.create_default_context(cafile=CA) if CA else None
    # Not signed, as browsers send it; Python would add that of forms.
    headers = {"content-type": "application/octet-stream"} if body is not None else {}
    request = urllib.request.Request(url, body, headers, method=method)
    try:
        with urllib.request.urlopen(request, timeout=60, context=context) as response:
            return response.read()
    except urllib.error.HTTPError as error:
        raise AssertionError(f"{error.code}: {error.read()[:500]}") from None


class Table:
    def __init__(self, client):
        self.client = client
        here = getattr(client, "UNABLE_AT", {}).get(SERVER, {})
        self.unable = {**getattr(client, "UNABLE", {}), **here}
        keys = json.loads(os.environ["S3_KEYS"])
        self.keys = [key for key in keys if key not in getattr(client, "UNABLE_KEYS", {})]
        self.kept = {}  # sizes by key
        self.local, self.received = WORK / "local", WORK / "received"

    def operation(self, kind, name, call, *given):
        """Reports one operation. Later ones are carried out even if it fails."""
        if kind in self.unable:
            return
        error = None
        try:
            call(*given)
        except (Exception, SystemExit) as caught:
            error = f"{type(caught).__name__}: {caught}"
            if os.environ.get("S3_TRACE"):
                traceback.print_exc()
        print(json.dumps({"kind": kind, "name": name, "error": error}), flush=True)

    def put(self, key, size, call=None):
        self.local.write_bytes(content(key, size))
        (call or self.client.put)(key, self.local)
        self.kept[key] = size

    def get(self, key, size):
        self.received.unlink(missing_ok=True)
        self.client.get(key, self.received)
        same(self.received.read_bytes(), content(key, size))

    def head(self, key, size):
        same(self.client.head(key), size)

    def list(self, prefix):
        same(listed(self.client.list(prefix)), listed(key for key in self.kept if key.startswith(prefix)))

    def copy(self, source, target):
        self.client.copy(source, target)
        # The target has the source's content.
        self.received.unlink(missing_ok=True)
        self.client.get(target, self.received)
        same(self.received.read_bytes(), content(source, self.kept[source]))
        self.copies.append(target)

    def presigned_get(self, key, presign):
        same(fetch(presign(key)), content(key, self.kept[key]))

    def presigned_put(self, key, presign):
        fetch(presign(key), "PUT", content(key, 5))
        self.kept[key] = 5
        self.get(key, 5)

    def delete(self, keys):
        self.client.delete_objects(keys)
        for key in keys:
            self.kept.pop(key, None)
        if "list" not in self.unable:
            self.list("")

    def large(self, path, digest):
        self.client.put("large", pathlib.Path(path))
        self.received.unlink(missing_ok=True)
        self.client.get("large", self.received)
        with open(self.received, "rb") as file:
            same(hashlib.file_digest(file, "sha256").hexdigest(), digest)
        self.client.delete_objects(["large"])
        self.received.unlink()

    def run(self):
        for number, key in enumerate(self.keys):
            size = SIZES[number % len(SIZES)]
            self.operation("put", f"put {key}, {size} bytes", self.put, key, size)
            self.operation("get", f"get {key}", self.get, key, size)
            self.operation("head", f"head {key}", self.head, key, size)
        self.operation("list", "list", self.list, "")
        self.operation("list", "list a prefix", self.list, "a b+c/")
        multipart = getattr(self.client, "multipart", None)
        key = "parts/a b+c"
        self.operation("multipart", "multipart", self.put, key, MULTIPART, multipart)
        self.operation("multipart", "get the parts", self.get, key, MULTIPART)
        self.copies = []
        for key in [key for key in self.keys if key in self.kept]:
            self.operation("copy", f"copy {key}", self.copy, key, f"copies/{key}")
        for kind in ["presigned_get", "presigned_put"]:
            for method in [name for name in dir(self.client) if name.startswith(kind)]:
                presign = getattr(self.client, method)
                for key in self.keys:
                    key = f"presigned/{key}" if kind == "presigned_put" else key
                    self.operation(kind, f"{method} {key}", getattr(self, kind), key, presign)
        self.operation("delete_objects", "delete_objects", self.delete, [*self.copies, "parts/a b+c"])
        for name, check in getattr(self.client, "MORE", {}).items():
            self.operation("more", name, check)
        if large := os.environ.get("S3_LARGE"):
            self.operation("large", "300 MiB", self.large, large, os.environ["S3_LARGE_SHA256"])
        for kind, reason in self.unable.items():
            print(json.dumps({"kind": kind, "unable": reason}))
        # The judge at the origin needs these.
        checksum, chunks = getattr(self.client, "CHECKSUM", None), getattr(self.client, "SENDS_CHUNKS", False)
        print(json.dumps({"kept": self.kept, "checksum": checksum, "chunks": chunks}))


def listed(keys, server=SERVER):
    """Sorts the keys of a listing. s3s-fs announces `encoding-type=url` to clients that ask for it, and does not encode
    the keys: those clients decode them once too often."""
    return sorted(unquote_plus(key) if server == "s3s-fs" else key for key in keys)


def same(got, wanted):
    if got != wanted:
        raise AssertionError(f"{got!r:.300}, not {wanted!r:.300}")


if __name__ == "__main__":
    Table(importlib.import_module(sys.argv[1])).run()
