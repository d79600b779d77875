"""The section on Kubernetes of docs/deploy.md, compared with the manifests."""

import http.server
import json
import os
import pathlib
import re
import subprocess
import tempfile
import threading
import tomllib
import urllib.parse

import yaml
from checks import check

DOCUMENT = (pathlib.Path(__file__).resolve().parents[2] / "docs/deploy.md").read_text()
QUANTITY = re.compile(r"(\d+)([a-zA-Z]*)")


def section(title):
    return re.search(rf"^## {title}\n(.*?)^## ", DOCUMENT, re.DOTALL | re.MULTILINE)[1]


def blocks(text, language):
    return re.findall(rf"^```{language}\n(.*?)^```", text, re.DOTALL | re.MULTILINE)


def values(node, path=()):
    """Returns the quantities of a resource and the variables of its containers, each with its path."""
    if isinstance(node, dict):
        if "name" in node and "value" in node:
            yield (*path, node["name"]), node["value"]
        for key, value in node.items():
            yield from values(value, (*path, key))
    elif isinstance(node, list):
        for value in node:
            yield from values(value, path)
    elif isinstance(node, (int, str)) and not isinstance(node, bool) and QUANTITY.fullmatch(str(node)):
        yield path, str(node)


def settings(config):
    """Returns the times in [server] of a ConfigMap."""
    server = tomllib.loads(config["data"]["gateway.toml"])["server"]
    return [((key,), value) for key, value in server.items() if QUANTITY.fullmatch(value)]


def rows(title):
    """Returns the names, the place and the text of each row of a table of values."""
    table = section("Kubernetes").split(f"| {title} | in | meaning |\n")[1].split("\n\n")[0]
    for row in table.splitlines()[1:]:
        name, place, meaning = row.strip("| ").split(" | ")
        yield re.findall("`(.+?)`", name), place, meaning


def is_documented(title, kind, path, value):
    if quantity := QUANTITY.fullmatch(value):
        # `1Gi` is documented as 1 GiB, and `65s` as 65 s.
        number, unit = quantity.groups()
        text = rf"(?<![\w.]){number} ?{unit}B?(?![\w.]*\w)"
    else:
        text = re.escape(value)
    keys = {".".join(path[start:end]) for end in range(len(path) + 1) for start in range(end)}
    return any(keys.intersection(names) and kind in place and re.search(text, it) for names, place, it in rows(title))


def check_values(title, resources):
    """A row of the table has each value, and the kind of its resource."""
    for resource in resources:
        kind = resource["kind"]
        found = settings(resource) if kind == "ConfigMap" else values(resource.get("spec", {}))
        for path, value in found:
            name = f"a row of docs/deploy.md for {kind}: {'.'.join(path)} = {value}"
            check(name, is_documented(title, kind, path, value))


def check_names(title, folder):
    """The manifests have each name of the table."""
    text = "".join(file.read_text() for file in folder.rglob("*.*") if file.is_file())
    for names, _, _ in rows(title):
        for name in names:
            known = (folder / "base" / name).is_file() or re.search(rf"\b{re.escape(name.rsplit('.')[-1])}\b", text)
            check(f"{name} of docs/deploy.md", bool(known))


def check_stopping(config, gateway, pod):
    """The section on stopping has the settings and the probes of the manifests."""
    text = section("Stopping without losing a request")
    (toml,), (manifest,) = blocks(text, "toml"), blocks(text, "yaml")
    wanted, given = tomllib.loads(toml), tomllib.loads(config["data"]["gateway.toml"])
    for name in ["server", "admin"]:
        check(f"[{name}] of the section on stopping", wanted[name], given[name])
    shown = yaml.safe_load(manifest)
    key = "terminationGracePeriodSeconds"
    check(key, shown[key], pod[key])
    (container,) = shown["containers"]
    numbers = {port["name"]: port["containerPort"] for port in gateway["ports"]}
    for name in container.keys() - {"name"}:
        probe = gateway[name]
        get = {**probe["httpGet"], "port": numbers[probe["httpGet"]["port"]]}
        check(f"{name} of the section on stopping", container[name], {**probe, "httpGet": get})


class Recorder(http.server.BaseHTTPRequestHandler):
    """Stands in for AWS: keeps each request, and returns an empty response."""

    def do_POST(self):
        body = self.rfile.read(int(self.headers["content-length"])).decode()
        self.server.requests.append((self.path, body))
        response = b"<CreateRoleResponse><CreateRoleResult/></CreateRoleResponse>" if self.path == "/" else b"{}"
        self.send_response(200)
        self.send_header("content-length", str(len(response)))
        self.end_headers()
        self.wfile.write(response)

    def log_message(self, *_):
        pass


def sent_requests(cli, commands, policy):
    """Returns the path and the body of each request of the aws CLI, which checks the parameters of the commands."""
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Recorder)
    server.requests = []
    threading.Thread(target=server.serve_forever, daemon=True).start()
    kept = {name: value for name, value in os.environ.items() if not name.startswith("AWS_")}
    environment = {**kept, "AWS_ENDPOINT_URL": f"http://127.0.0.1:{server.server_port}", "AWS_ACCESS_KEY_ID": "a",
                   "AWS_SECRET_ACCESS_KEY": "b", "AWS_DEFAULT_REGION": "us-east-1", "AWS_CONFIG_FILE": os.devnull,
                   "AWS_SHARED_CREDENTIALS_FILE": os.devnull, "AWS_PAGER": "", "CLI": cli, "no_proxy": "*"}
    script = 'aws() { "$CLI" -Es -m awscli "$@"; }\n' + commands
    with tempfile.TemporaryDirectory() as work:
        (pathlib.Path(work) / "trust.json").write_text(policy)
        command = ["bash", "-euo", "pipefail", "-c", script]
        result = subprocess.run(command, cwd=work, env=environment, capture_output=True, text=True, timeout=120)
    server.shutdown()
    check(f"{commands}{result.stderr}", (result.returncode, result.stderr), (0, ""))
    return server.requests


def check_pod_identity(cli, accounts):
    """The commands send a role's policy and an association with a service account of the manifests."""
    text = section("Kubernetes")
    (policy,) = blocks(text, "json")
    (statement,) = json.loads(policy)["Statement"]
    check("principal", statement["Principal"], {"Service": "pods.eks.amazonaws.com"})
    check("actions", statement["Action"], ["sts:AssumeRole", "sts:TagSession"])
    (commands,) = [block for block in blocks(text, "console") if "create-pod-identity-association" in block]
    role, addon, association = sent_requests(cli, commands, policy)
    sent = dict(urllib.parse.parse_qsl(role[1]))
    check("policy of the role", (sent["Action"], sent["AssumeRolePolicyDocument"]), ("CreateRole", policy))
    cluster = addon[0].removesuffix("/addons")
    check("add-on", json.loads(addon[1])["addonName"], "eks-pod-identity-agent")
    check("cluster of the association", association[0], f"{cluster}/pod-identity-associations")
    fields = json.loads(association[1])
    check("service account", (fields["namespace"], fields["serviceAccount"]) in accounts)
    check("role", fields["roleArn"].rsplit("/")[-1], sent["RoleName"])
