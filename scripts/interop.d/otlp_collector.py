"""A receiver of OTLP whose gRPC and protobuf are Google's, and the collector rotel, which sends to it all that it
receives."""

import concurrent.futures
import contextlib
import http.server
import pathlib
import socket
import subprocess
import sys
import threading
import time

import grpc
import rotel
from opentelemetry.proto.collector.metrics.v1 import metrics_service_pb2_grpc
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import (
    ExportMetricsServiceRequest,
    ExportMetricsServiceResponse,
)
from opentelemetry.proto.collector.trace.v1 import trace_service_pb2_grpc
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTraceServiceRequest,
    ExportTraceServiceResponse,
)

from fleet import free_port

AGENT = pathlib.Path(rotel.__file__).parent / "rotel-agent"
START_SECONDS = 20


class Receiver:
    """Keeps the spans and the last metrics, each with its resource and its scope, and the headers of all exports."""

    def __init__(self, stack):
        self.lock = threading.Lock()
        self.forget()
        grpc_server = grpc.server(concurrent.futures.ThreadPoolExecutor(4))
        traces, metrics = Service(self, ExportTraceServiceResponse), Service(self, ExportMetricsServiceResponse)
        trace_service_pb2_grpc.add_TraceServiceServicer_to_server(traces, grpc_server)
        metrics_service_pb2_grpc.add_MetricsServiceServicer_to_server(metrics, grpc_server)
        grpc_port = grpc_server.add_insecure_port("127.0.0.1:0")
        grpc_server.start()
        stack.callback(lambda: grpc_server.stop(None).wait())
        http_server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler(self))
        stack.callback(http_server.shutdown)
        threading.Thread(target=http_server.serve_forever, daemon=True).start()
        self.ports = {"grpc": grpc_port, "http": http_server.server_port}

    def forget(self):
        with self.lock:
            self.spans, self.metrics, self.heads, self.unknown_bytes = [], [], [], 0

    def add(self, request, headers):
        """Adds an export. An encoder with another number for a field leaves bytes that the decoder does not know."""
        size = request.ByteSize()
        request.DiscardUnknownFields()
        with self.lock:
            self.unknown_bytes += size - request.ByteSize()
            self.heads.append(headers)
            if isinstance(request, ExportTraceServiceRequest):
                for resource in request.resource_spans:
                    for scope in resource.scope_spans:
                        self.spans += [(resource.resource, scope.scope, span) for span in scope.spans]
            else:
                # A collector may send several exports in one.
                last = request.resource_metrics[-1]
                self.metrics = [
                    (last.resource, scope.scope, metric) for scope in last.scope_metrics for metric in scope.metrics
                ]


class Service(trace_service_pb2_grpc.TraceServiceServicer, metrics_service_pb2_grpc.MetricsServiceServicer):
    def __init__(self, receiver, response):
        self.receiver = receiver
        self.response = response

    def Export(self, request, context):
        self.receiver.add(request, dict(context.invocation_metadata()))
        return self.response()


def handler(receiver):
    messages = {
        "/v1/traces": (ExportTraceServiceRequest, ExportTraceServiceResponse),
        "/v1/metrics": (ExportMetricsServiceRequest, ExportMetricsServiceResponse),
    }

    class Handler(http.server.BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self):
            body = self.rfile.read(int(self.headers["content-length"]))
            if self.path not in messages or self.headers["content-type"] != "application/x-protobuf":
                self.send_error(404)
                return
            request, response = messages[self.path]
            receiver.add(request.FromString(body), {name.lower(): value for name, value in self.headers.items()})
            content = response().SerializeToString()
            self.send_response_only(200)
            self.send_header("content-type", "application/x-protobuf")
            self.send_header("content-length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, *_):
            pass

    return Handler


class Collector:
    """rotel, which can be killed and started again with the same ports."""

    def __init__(self, stack, receiver, log):
        self.ports = {"grpc": free_port(), "http": free_port()}
        self.command = [AGENT, "start", "--exporter", "otlp"]
        self.command += ["--otlp-exporter-endpoint", f"http://127.0.0.1:{receiver.ports['grpc']}"]
        self.command += ["--otlp-grpc-endpoint", f"127.0.0.1:{self.ports['grpc']}"]
        self.command += ["--otlp-http-endpoint", f"127.0.0.1:{self.ports['http']}"]
        self.log = log
        self.start()
        stack.callback(self.kill)

    def start(self):
        # Its options are variables too.
        self.process = subprocess.Popen(self.command, stdout=self.log, stderr=self.log, env={})
        end = time.monotonic() + START_SECONDS
        for port in self.ports.values():
            while not accepts(port):
                if self.process.poll() is not None or time.monotonic() > end:
                    self.kill()
                    sys.exit("rotel has not started")
                time.sleep(0.05)

    def kill(self):
        self.process.kill()
        self.process.wait()


def accepts(port):
    with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
        return True
    return False
