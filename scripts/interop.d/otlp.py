"""The gateway's traces and metrics, by gRPC and HTTP, at the collector rotel and at a receiver of Google's libraries:
each span with its parent, kind, status, attributes and resource, and each metric with its value on the Prometheus page.
Then the collector is killed and started again, and the endpoint is wrong. First argument: the gateway's program. Prints
the number of passed checks."""

import contextlib
import http.server
import pathlib
import re
import subprocess
import sys
import tempfile
import threading
import time

from opentelemetry.proto.metrics.v1.metrics_pb2 import AGGREGATION_TEMPORALITY_CUMULATIVE

import checks
from checks import check
from fleet import free_port
from otlp_collector import Collector, Receiver
from otlp_expected import CLIENT, HOST, REQUESTS, RESOURCE, SCOPE, SERVER, UNSAMPLED, spans, status
from otlp_gateway import GATEWAY, TOKEN, Gateway, Origin

WAIT_SECONDS = 60
VERSION = subprocess.run([GATEWAY, "--version"], capture_output=True, text=True, check=True).stdout.split()[1]
# Flags of a span in trace.proto.
SAMPLED, HAS_IS_REMOTE, IS_REMOTE = 1, 0x100, 0x200
# Spans that wait for a collector: those of the queue, and of a batch.
MIN_WAITING, MAX_WAITING = 4096, 4096 + 512
PLAIN_SPANS = 4  # of a request to /plain
OVERFLOW = ["/plain/1"] * 1300  # they have more spans than can wait
KINDS = {"counter": "sum", "gauge": "gauge", "histogram": "histogram"}
UNITS = {
    "process_start_time_seconds": "s",
    "sigv4_gateway_body_budget_size_bytes": "By",
    "sigv4_gateway_connections_open": "",
    "sigv4_gateway_hashed_bytes_total": "By",
    "sigv4_gateway_request_duration_seconds": "s",
}


def wait_for(name, probe, wanted):
    end = time.monotonic() + WAIT_SECONDS
    while (got := probe()) != wanted and time.monotonic() < end:
        time.sleep(0.05)
    check(name, got, wanted)


def attributes(pairs):
    found = {pair.key: getattr(pair.value, pair.value.WhichOneof("value")) for pair in pairs}
    if len(found) != len(pairs):
        sys.exit(f"otlp: an attribute twice: {pairs}")
    return found


def check_spans(name, gateway, receiver, port):
    check(f"{name}: unsampled", gateway.send("GET", "/orders/5", headers={"traceparent": UNSAMPLED}), {200})
    check(f"{name}: the context of the unsampled request", Origin.contexts["/orders/5"], UNSAMPLED)
    for request in REQUESTS:
        got = gateway.send(request.method, f"{request.path}?token={TOKEN}", headers=request.headers)
        check(f"{name}: {request.name}", got, {request.status})
    expected = [spans(request, port) for request in REQUESTS]
    total = sum(len(trace) for trace in expected)
    wait_for(f"{name}: spans", lambda: len(receiver.spans), total)
    resource_attributes = {**RESOURCE, "service.version": VERSION}
    for resource, scope, _ in receiver.spans:
        check(f"{name}: resource", attributes(resource.attributes), resource_attributes)
        check(f"{name}: scope", (scope.name, scope.version), (SCOPE, VERSION))
    received = [span for _, _, span in receiver.spans]
    ids = {span.span_id for span in received}
    check(f"{name}: IDs of spans", (len(ids), {len(number) for number in ids}), (total, {8}))
    traces = {span.trace_id for span in received}
    check(f"{name}: IDs of traces", (len(traces), {len(number) for number in traces}), (len(REQUESTS), {16}))
    for request, trace in zip(REQUESTS, expected):
        check_trace(f"{name}: {request.name}", request, trace, received)


def check_trace(name, request, expected, received):
    servers = [span for span in received if span.kind == SERVER]
    roots = [span for span in servers if attributes(span.attributes).get("url.path") == request.path]
    check(f"{name}: spans of the server", len(roots), 1)
    root = roots[0]
    trace = [span for span in received if span.trace_id == root.trace_id]
    shown = [(span.name, span.kind, attributes(span.attributes)) for span in trace]
    check(f"{name}: spans", sorted(shown, key=str), sorted(expected, key=str))
    check(f"{name}: parent", root.parent_span_id.hex(), request.parent_id)
    if request.trace_id:
        check(f"{name}: trace", root.trace_id.hex(), request.trace_id)
    for span in trace:
        remote = IS_REMOTE if span is root and request.parent_id else 0
        check(f"{name}: {span.name}: parent", span is root or span.parent_span_id == root.span_id)
        check(f"{name}: {span.name}: flags", span.flags, SAMPLED | HAS_IS_REMOTE | remote)
        check(f"{name}: {span.name}: state", span.trace_state, request.trace_state)
        check(f"{name}: {span.name}: status", span.status.code, status(attributes(span.attributes)))
        times = [root.start_time_unix_nano, span.start_time_unix_nano, span.end_time_unix_nano, root.end_time_unix_nano]
        check(f"{name}: {span.name}: times {times}", times, sorted(times))
        check(f"{name}: {span.name}: end {times[3]}", abs(time.time_ns() - times[3]) < 2 * WAIT_SECONDS * 10**9)
    for client in [span for span in trace if span.kind == CLIENT]:
        context = f"00-{root.trace_id.hex()}-{client.span_id.hex()}-01"
        check(f"{name}: context at the origin", Origin.contexts[request.path], context)


def exported_samples(metrics):
    """Returns the samples, named as on the page."""
    samples = {}
    for _, _, metric in metrics:
        kind = metric.WhichOneof("data")
        for point in getattr(metric, kind).data_points:
            labels = attributes(point.attributes)
            values = [("", {}, point.as_double)] if kind != "histogram" else histogram_values(point)
            for suffix, bound, value in values:
                samples[metric.name + suffix, frozenset((labels | bound).items())] = value
    return samples


def histogram_values(point):
    """The page counts the samples of a bucket with those of all smaller ones."""
    values = [("_sum", {}, point.sum), ("_count", {}, point.count)]
    below = 0
    for bound, count in zip([*point.explicit_bounds, float("inf")], point.bucket_counts, strict=True):
        below += count
        values.append(("_bucket", {"le": bound}, below))
    return values


def page_samples(page):
    samples = {}
    for name, listed, value in re.findall(r"^([a-z]\w*)(?:{(.*)})? (\S+)$", page, re.M):
        labels = dict(re.findall(r'(\w+)="([^"]*)"', listed))
        if "le" in labels:
            labels["le"] = float(labels["le"])
        samples[name, frozenset(labels.items())] = float(value)
    return samples


def requests_total(samples):
    counters = [(dict(key[1]), value) for key, value in samples.items() if key[0] == "sigv4_gateway_requests_total"]
    return {(labels["route"], labels["method"], labels["code"]): value for labels, value in counters if value}


def check_metrics(name, gateway, receiver):
    def difference():
        exported, page = exported_samples(receiver.metrics), page_samples(gateway.metrics())
        keys = exported.keys() | page.keys()
        return [(key, exported.get(key), page.get(key)) for key in keys if exported.get(key) != page.get(key)]

    wait_for(f"{name}: values that differ from the page", difference, [])
    counted = {}
    for route, method, code in [(it.route, it.method, it.status) for it in REQUESTS] + [(f"{HOST}/orders", "GET", 200)]:
        counted[route, method, str(code)] = counted.get((route, method, str(code)), 0) + 1
    check(f"{name}: requests", requests_total(exported_samples(receiver.metrics)), counted)
    kinds = dict(re.findall(r"^# TYPE (\w+) (\w+)$", gateway.metrics(), re.M))
    descriptions = dict(re.findall(r"^# HELP (\w+) (.+)$", gateway.metrics(), re.M))
    check(f"{name}: metrics", sorted(metric.name for _, _, metric in receiver.metrics), sorted(kinds))
    for resource, scope, metric in receiver.metrics:
        what, kind = f"{name}: {metric.name}", metric.WhichOneof("data")
        data = getattr(metric, kind)
        check(f"{what}: kind", kind, KINDS[kinds[metric.name]])
        check(f"{what}: description", metric.description, descriptions[metric.name])
        check(f"{what}: resource", attributes(resource.attributes), {**RESOURCE, "service.version": VERSION})
        check(f"{what}: scope", (scope.name, scope.version), (SCOPE, VERSION))
        if kind != "gauge":
            check(f"{what}: temporality", data.aggregation_temporality, AGGREGATION_TEMPORALITY_CUMULATIVE)
        if kind == "sum":
            check(f"{what}: monotonic", data.is_monotonic)
        for begin, end in {(point.start_time_unix_nano, point.time_unix_nano) for point in data.data_points}:
            age = time.time_ns() - begin
            check(f"{what}: times {begin} {end}", begin < end < begin + age < begin + 2 * WAIT_SECONDS * 10**9)
    units = {metric.name: metric.unit for _, _, metric in receiver.metrics}
    check(f"{name}: units", {metric: units[metric] for metric in UNITS}, UNITS)


def check_restart(name, gateway, receiver, collector):
    """Loses the spans that cannot wait, and no others."""
    gateway.send("GET", "/plain/0")
    wait_for(f"{name}: spans before", lambda: len(receiver.spans), PLAIN_SPANS)
    collector.kill()
    check(f"{name}: statuses without a collector", gateway.send("GET", *OVERFLOW), {200})
    collector.start()
    sent = (1 + len(OVERFLOW)) * PLAIN_SPANS
    wait_for(f"{name}: received or dropped", lambda: len(receiver.spans) + gateway.dropped(), sent)
    waited = len(receiver.spans) - PLAIN_SPANS
    check(f"{name}: {waited} spans waited", MIN_WAITING <= waited <= MAX_WAITING)
    check(f"{name}: status after", gateway.send("GET", "/plain/2"), {200})
    check(f"{name}: the end of the process", gateway.stop(), 0)
    wait_for(f"{name}: spans after", lambda: len(receiver.spans), waited + 2 * PLAIN_SPANS)
    ids = {span.span_id for _, _, span in receiver.spans}
    check(f"{name}: different spans", len(ids), len(receiver.spans))
    gateway.check_failure(name)


def check_wrong_endpoint(name, gateway, receiver, is_permanent, cause):
    """The spans are dropped at once, or at the end of the process."""
    check(f"{name}: statuses", gateway.send("GET", *OVERFLOW[:300]), {200})
    gateway.wait_for_failure(name)
    time.sleep(2)  # the spans are sent within a second
    wait_for(f"{name}: dropped", gateway.dropped, 300 * PLAIN_SPANS if is_permanent else 0)
    check(f"{name}: the end of the process", gateway.stop(), 0)
    check(f"{name}: spans", len(receiver.spans), 0)
    gateway.check_failure(name, cause)


def main():
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Origin)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    with contextlib.ExitStack() as stack:
        work = pathlib.Path(stack.enter_context(tempfile.TemporaryDirectory()))
        log = stack.enter_context(tempfile.TemporaryFile())
        # rotel sends a last export later than the gateway ends.
        direct, behind = Receiver(stack), Receiver(stack)
        collector = Collector(stack, behind, log)

        @contextlib.contextmanager
        def gateway(protocol, endpoint, receiver):
            receiver.forget()
            with contextlib.ExitStack() as own:
                yield Gateway(own, work, server.server_port, f"http://127.0.0.1:{endpoint}", protocol)

        for protocol in ["grpc", "http"]:
            for peer, receiver, ports in [("libraries", direct, direct.ports), ("rotel", behind, collector.ports)]:
                name = f"{peer}, {protocol}"
                with gateway(protocol, ports[protocol], receiver) as exporting:
                    check_spans(name, exporting, receiver, server.server_port)
                    check_metrics(name, exporting, receiver)
                    check(f"{name}: failures", exporting.failures(), [])
            check(f"{protocol}: bytes of unknown fields", direct.unknown_bytes, 0)
            check(f"{protocol}: headers", {headers.get("authorization") for headers in direct.heads}, {TOKEN})
            senders = {headers.get("user-agent", "").split("/")[0] for headers in behind.heads}
            check(f"{protocol}: sender behind rotel", senders, {"Rotel Rust"})
            with gateway(protocol, collector.ports[protocol], behind) as exporting:
                check_restart(f"rotel is killed, {protocol}", exporting, behind, collector)
        for name, protocol, endpoint, is_permanent, cause in [
            ("another path", "http", f"{collector.ports['http']}/v1", True, "404 Not Found"),
            ("gRPC to the port of HTTP", "grpc", collector.ports["http"], True, "HTTP status code 404"),
            ("HTTP to the port of gRPC", "http", collector.ports["grpc"], False, "SendRequest"),
            ("no listener, gRPC", "grpc", free_port(), False, "Connection refused"),
            ("no listener, HTTP", "http", free_port(), False, "Connection refused"),
        ]:
            with gateway(protocol, endpoint, behind) as exporting:
                check_wrong_endpoint(name, exporting, behind, is_permanent, cause)
    print(checks.passed)


main()
