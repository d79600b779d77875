"""The gateway that exports its telemetry, and its origin. First argument: the gateway's program."""

import http.client
import http.server
import os
import re
import sys
import time

from checks import check
from fleet import addresses
from otlp_expected import HOST, RESOURCE, USER_AGENT
from prometheus_gateways import get, started

GATEWAY = sys.argv[1]
TOKEN = "not-to-be-exported"
WAIT_SECONDS, STOP_SECONDS = 60, 9


class Origin(http.server.BaseHTTPRequestHandler):
    """Responds with the status that ends the path, if any, and keeps the context of each path."""

    protocol_version = "HTTP/1.1"
    contexts = {}

    def respond(self):
        self.rfile.read(int(self.headers.get("content-length", 0)))
        path = self.path.partition("?")[0]
        self.contexts[path] = self.headers["traceparent"]
        ending = re.search(r"/([45]\d\d)$", path)
        self.send_response(int(ending[1]) if ending else 200)
        self.send_header("content-length", "0")
        self.end_headers()

    do_GET = do_POST = do_PUT = do_DELETE = respond

    def log_message(self, *_):
        pass


class Gateway:
    def __init__(self, stack, work, origin, endpoint, protocol):
        self.endpoint = endpoint
        config = work / "gateway.toml"
        config.write_text(f"""
            [server]
            listen = "127.0.0.1:0"
            [admin]
            listen = "127.0.0.1:0"
            [telemetry]
            endpoint = "{endpoint}"
            protocol = "{protocol}"
            service_name = "{RESOURCE["service.name"]}"
            metrics_interval = "200ms"
            [telemetry.resource]
            "deployment.environment.name" = "{RESOURCE["deployment.environment.name"]}"
            [telemetry.headers]
            authorization = "env:COLLECTOR_TOKEN"
            [credentials]
            source = "static"
            access_key_id = "AKID"
            secret_access_key = "secret"
            [verify]
            service = "execute-api"
            region = "us-east-1"
            [[verify.key]]
            access_key_id = "AKIDEXAMPLE"
            secret_access_key = "secret"
            [[origin]]
            name = "demo"
            url = "http://127.0.0.1:{origin}"
            service = "execute-api"
            region = "us-east-1"
            [[route]]
            host = "{HOST}"
            path = "/orders"
            origin = "demo"
            verify = false
            cache = true
            [[route]]
            host = "{HOST}"
            path = "/plain"
            origin = "demo"
            verify = false
            [[route]]
            host = "{HOST}"
            path = "/verified"
            origin = "demo"
        """)
        variables = {name: value for name, value in os.environ.items() if not name.startswith("OTEL_")}
        environment = {**variables, "COLLECTOR_TOKEN": TOKEN}
        self.log = work / "log"
        file = stack.enter_context(self.log.open("w"))
        command = [GATEWAY, "--config", config]
        self.process = stack.enter_context(started(*command, stderr=file, env=environment))
        self.address, self.admin = addresses(self.process)
        self.start = time.monotonic()

    def send(self, method, *paths, headers=None):
        """Sends requests by one connection, and returns their statuses."""
        connection = http.client.HTTPConnection(self.address, timeout=20)
        body = b"any body" if method in ("POST", "PUT") else None
        headers = {"host": HOST, "user-agent": USER_AGENT, **(headers or {})}
        statuses = set()
        for path in paths:
            connection.request(method, path, body, headers)
            response = connection.getresponse()
            response.read()
            statuses.add(response.status)
        connection.close()
        return statuses

    def metrics(self):
        return get(self.admin, "/metrics")[1]

    def dropped(self):
        return int(re.search("^sigv4_gateway_telemetry_spans_dropped_total (.*)$", self.metrics(), re.M)[1])

    def failures(self):
        """Returns the lines of failed exports."""
        return [line for line in self.log.read_text().splitlines() if "cannot export telemetry" in line]

    def wait_for_failure(self, name):
        end = time.monotonic() + WAIT_SECONDS
        while not self.failures() and time.monotonic() < end:
            time.sleep(0.05)
        check(f"{name}: a failure in the log", self.failures() != [])

    def check_failure(self, name, cause=""):
        """The log has one line a minute, however many exports failed."""
        minutes = int((time.monotonic() - self.start) // 60)
        lines = self.failures()
        check(f"{name}: {lines}: one line", 1 <= len(lines) <= 1 + minutes)
        check(f"{name}: {lines[0]}: cause {cause}", f"to {self.endpoint}" in lines[0] and cause in lines[0])

    def stop(self):
        """Returns the exit code of the process, which ends within seconds."""
        self.process.terminate()
        return self.process.wait(STOP_SECONDS)
