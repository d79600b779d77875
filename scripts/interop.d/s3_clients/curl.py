"""curl. It signs with `--aws-sigv4` and sends `UNSIGNED-PAYLOAD`. Without [verify], it does not sign at all."""

import base64
import hashlib
import re
import subprocess
import xml.etree.ElementTree as ElementTree
from urllib.parse import quote, unquote
from xml.sax.saxutils import escape

from table import BUCKET, CA, ENDPOINT, HAS_VERIFY, KEY, PART, REGION, SECRET, WORK

UNABLE = {"presigned_get": "curl signs headers only", "presigned_put": "curl signs headers only"}


def curl(key, *arguments, query=""):
    url = f"{ENDPOINT}/{BUCKET}/{quote(key)}{query}"
    sign = []
    if HAS_VERIFY:
        sign = ["--aws-sigv4", f"aws:amz:{REGION}:s3", "--user", f"{KEY}:{SECRET}"]
        sign += ["--header", "x-amz-content-sha256: UNSIGNED-PAYLOAD"]
    trust = ["--cacert", CA] if CA else []
    command = ["curl", "--silent", "--show-error", "--path-as-is", "--globoff", "--max-time", "120"]
    command += [*sign, *trust, "--write-out", "%{stderr}%{http_code}", *map(str, arguments), url]
    done = subprocess.run(command, capture_output=True)
    status = done.stderr.decode()
    assert status in ["200", "204"], f"{status} {done.stdout[:500]}"
    return done.stdout


def put(key, path):
    curl(key, "--upload-file", path)


def get(key, path):
    path.write_bytes(curl(key))


def head(key):
    lines = curl(key, "--head").decode().lower().splitlines()
    return next(int(line.split(":")[1]) for line in lines if line.startswith("content-length:"))


def list(prefix):
    body = curl("", query=f"?encoding-type=url&list-type=2&prefix={quote(prefix, safe='')}")
    return [unquote(found.text) for found in ElementTree.fromstring(body).findall(".//{*}Contents/{*}Key")]


def multipart(key, path):
    upload = ElementTree.fromstring(curl(key, "--request", "POST", query="?uploads=")).find("{*}UploadId").text
    body, parts = path.read_bytes(), ""
    for number, start in enumerate(range(0, len(body), PART), 1):
        part, heads = WORK / "part", WORK / "heads"
        part.write_bytes(body[start : start + PART])
        curl(key, "--upload-file", part, "--dump-header", heads, query=f"?partNumber={number}&uploadId={upload}")
        tag = re.search(r"(?im)^etag: *(\S+)", heads.read_text())[1]
        parts += f"<Part><PartNumber>{number}</PartNumber><ETag>{escape(tag)}</ETag></Part>"
    post(key, f"?uploadId={upload}", f"<CompleteMultipartUpload>{parts}</CompleteMultipartUpload>")


def post(key, query, xml):
    body = WORK / "post"
    body.write_text(xml)
    digest = base64.b64encode(hashlib.md5(body.read_bytes()).digest()).decode()
    headers = ["--header", f"content-md5: {digest}", "--header", "content-type: application/xml"]
    return curl(key, "--data-binary", f"@{body}", *headers, query=query)


def copy(source, target):
    curl(target, "--request", "PUT", "--header", f"x-amz-copy-source: /{BUCKET}/{quote(source)}")


def delete_objects(keys):
    objects = "".join(f"<Object><Key>{escape(key)}</Key></Object>" for key in keys)
    response = post("", "?delete=", f"<Delete>{objects}</Delete>")
    assert b"<Error>" not in response, response
