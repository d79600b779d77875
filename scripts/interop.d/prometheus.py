"""The alert rules of gateway/deploy/prometheus and the dashboard of gateway/deploy/grafana: promtool checks and tests
the rules, and parses each expression. Then Prometheus reads two gateways of which most parts fail: each name, label and
value in an expression is one of theirs, each query of the dashboard has a result, and the alerts are pending. The rule
of prometheus-adapter finds the metric by which Kubernetes scales. First argument: the gateway's program. Prints the
number of passed checks. Needs promtool and prometheus, which it takes from Debian's package."""

import contextlib
import json
import pathlib
import re
import subprocess
import sys
import tempfile
import time
from urllib.parse import quote

import yaml

import checks
import debian
from checks import check
from fleet import free_port
from prometheus_gateways import CALLER_STATUSES, STATUSES, Gateways, caller_status, get, started, statuses
from prometheus_names import DEPLOY, Known, documented_jobs, parsed, parses

RULES = DEPLOY / "prometheus/alerts.yaml"
TESTS = DEPLOY / "prometheus/alerts_test.yaml"
ADAPTER = DEPLOY / "kubernetes/prometheus/adapter.yaml"
SCALER = DEPLOY / "kubernetes/prometheus/horizontalpodautoscaler.yaml"
DASHBOARD = DEPLOY / "grafana/sigv4-gateway.json"
SEVERITIES = {"warning", "critical"}
VARIABLES = {"$__rate_interval": "10s", "$instance": ".*", "$route": ".*"}
WAIT_SECONDS = 40
# After one request to each path, and two of the caller.
SAMPLES = [
    'sigv4_gateway_caller_limited_total{caller="partner",limit="rate"} 1',
    'sigv4_gateway_caller_requests_total{caller="partner"} 1',
    'sigv4_gateway_rate_checks_total{counted_by="gateway"} 3',
    'sigv4_gateway_rate_checks_total{counted_by="redis"} 0',
    'sigv4_gateway_retries_total{origin="closed",route="/closed"} 1',
]


def run(what, *command, **options):
    result = subprocess.run(command, capture_output=True, text=True, **options)
    check(f"{what}: {result.stdout}{result.stderr}", result.returncode, 0)


def rules():
    return [rule for group in yaml.safe_load(RULES.read_text())["groups"] for rule in group["rules"]]


def substituted(expression):
    for name, value in VARIABLES.items():
        expression = expression.replace(name, value)
    return expression


def check_texts():
    """Each rule has its fields, and a test in which it fires and one in which it does not."""
    fires, rests = set(), set()
    for test in yaml.safe_load(TESTS.read_text())["tests"]:
        for case in test["alert_rule_test"]:
            (fires if case.get("exp_alerts") else rests).add(case["alertname"])
    for rule in rules():
        name = rule["alert"]
        check(f"{name}: keys", set(rule), {"alert", "expr", "for", "labels", "annotations"})
        check(f"{name}: severity", rule["labels"]["severity"] in SEVERITIES)
        check(f"{name}: texts", set(rule["annotations"]), {"summary", "description"})
        description = rule["annotations"]["description"]
        sentences = [part for part in re.split(r"(?<=\.) (?=[A-Z])", description) if part]
        check(f"{name}: sentences of the description", len(sentences), 2)
        check(f"{name}: the value in the first sentence", "$value" in sentences[0])
        check(f"{name}: a test in which it fires", name in fires)
        check(f"{name}: a test in which it does not fire", name in rests)
    check("names of rules in tests", fires | rests, {rule["alert"] for rule in rules()})


def check_dashboard(dashboard):
    """Grafana shows a wrong dashboard without an error, so its parts and its layout are compared here."""
    check("schema version", dashboard["schemaVersion"], 39)
    variables = {variable["name"] for variable in dashboard["templating"]["list"]}
    check("variables", variables, {"datasource", "instance", "route"})
    panels = dashboard["panels"]
    check("unique numbers of panels", len({panel["id"] for panel in panels}), len(panels))
    cells = [
        (x, y)
        for position in (panel["gridPos"] for panel in panels)
        for x in range(position["x"], position["x"] + position["w"])
        for y in range(position["y"], position["y"] + position["h"])
    ]
    check("no overlaps", len(set(cells)), len(cells))
    check("within 24 columns", max(x for x, _ in cells), 23)
    source = {"type": "prometheus", "uid": "${datasource}"}
    for panel in panels:
        if panel["type"] == "row":
            continue
        check(f"{panel['title']}: data source", panel["datasource"], source)
        check(f"{panel['title']}: queries", len(panel["targets"]) > 0)
        numbers = [target["refId"] for target in panel["targets"]]
        check(f"{panel['title']}: unique queries", len(set(numbers)), len(numbers))
        for target in panel["targets"]:
            check(f"{panel['title']}: data source of a query", target["datasource"], source)
            used = set(re.findall(r"\$(\w+)", target["expr"]))
            check(f"{panel['title']}: variables", used <= variables | {"__rate_interval"})


def queries(dashboard):
    """Returns the title, expression and legend of each query."""
    return [
        (panel["title"], substituted(target["expr"]), target["legendFormat"])
        for panel in dashboard["panels"]
        for target in panel.get("targets", [])
    ]


class Prometheus:
    """Reads the gateways each second, and evaluates the rules."""

    def __init__(self, work, admins):
        self.address = f"127.0.0.1:{free_port()}"
        self.pods = {f"gateway-{number}": admin for number, admin in enumerate(admins)}
        config = {
            "global": {"scrape_interval": "1s", "scrape_timeout": "1s", "evaluation_interval": "1s"},
            "rule_files": [str(RULES)],
            "scrape_configs": [{"job_name": documented_jobs()[0], "static_configs": self.targets()}],
        }
        (work / "prometheus.yml").write_text(yaml.safe_dump(config))
        self.options = [f"--config.file={work}/prometheus.yml", f"--storage.tsdb.path={work}/data"]
        self.options += [f"--web.listen-address={self.address}", "--log.level=error"]

    def targets(self):
        """Returns the gateways with the labels that a ServiceMonitor adds."""
        return [
            {"targets": [admin], "labels": {"namespace": "default", "pod": pod}} for pod, admin in self.pods.items()
        ]

    def api(self, path):
        status, body = get(self.address, f"/api/v1/{path}")
        if status != 200:
            sys.exit(f"prometheus: {path}: {status}: {body}")
        return json.loads(body)["data"]

    def query(self, expression):
        return self.api(f"query?query={quote(expression, safe='')}")["result"]

    def wait_until_ready(self):
        for _ in range(WAIT_SECONDS * 10):
            with contextlib.suppress(OSError):
                if get(self.address, "/-/ready")[0] == 200:
                    return
            time.sleep(0.1)
        sys.exit("prometheus has not started")

    def active(self):
        """Returns the alerts that are pending or firing."""
        return {alert["labels"]["alertname"] for alert in self.api("alerts")["alerts"]}


def wait_for(what, probe, wanted, traffic=lambda: None):
    """Sends requests until the probe returns the result."""
    end = time.monotonic() + WAIT_SECONDS
    while (got := probe()) != wanted and time.monotonic() < end:
        traffic()
        time.sleep(0.5)
    check(what, got, wanted)


def check_queries(prometheus, dashboard, traffic):
    for title, expression, legend in queries(dashboard):
        wait_for(f"{title}: a result of {expression}", lambda: bool(prometheus.query(expression)), True, traffic)
        for series in prometheus.query(expression):
            labels = set(re.findall(r"{{(\w+)}}", legend))
            check(f"{title}: labels of the legend", labels <= set(series["metric"]))


def check_alerts(prometheus, gateways):
    failing = {
        "SigV4GatewayCacheDown",
        "SigV4GatewayCallersRejected",
        "SigV4GatewayClockCorrected",
        "SigV4GatewayCredentialsExpiring",
        "SigV4GatewayCredentialsUnavailable",
        "SigV4GatewayOriginErrors",
        "SigV4GatewayOriginRejectsSignatures",
        "SigV4GatewayRatesCountedAlone",
        "SigV4GatewaySessionsFailing",
    }
    wait_for("alerts", prometheus.active, failing, gateways.traffic)
    gateways.processes[0].kill()
    others = failing - {"SigV4GatewayCacheDown"}
    down = {"SigV4GatewayDown", "SigV4GatewayCacheDegraded"}
    wait_for("one gateway down", lambda: prometheus.active() - others, down)
    gateways.processes[1].kill()
    wait_for("all gateways down", lambda: {"SigV4GatewayDown", "SigV4GatewayAllDown"} <= prometheus.active(), True)
    for group in prometheus.api("rules")["groups"]:
        for rule in group["rules"]:
            check(f"{rule['name']}: {rule.get('lastError')}", rule["health"], "ok")


def check_names(promtool, known, dashboard):
    expressions = [(rule["alert"], rule["expr"]) for rule in rules()]
    expressions += [(title, expression) for title, expression, _ in queries(dashboard)]
    for name, expression in expressions:
        check(f"{name}: {expression} is parsed", parses(promtool, expression))
        check(f"{name}: unknown names, labels and values", known.problems(expression), [])
    for rule in rules():
        labels = set(re.findall(r"\$labels\.(\w+)", " ".join(rule["annotations"].values())))
        exported = set().union(*(known.labels[metric] for metric, _ in parsed(rule["expr"])[0]))
        check(f"{rule['alert']}: labels in texts", labels <= exported)
    for variable in dashboard["templating"]["list"]:
        if variable["type"] == "query":
            query = variable["query"]["query"]
            check(f"{variable['name']}: definition", variable["definition"], query)
            selector, label = re.fullmatch(r"label_values\((.*), (\w+)\)", substituted(query)).groups()
            check(f"{variable['name']}: names", known.problems(f"sum by ({label}) ({selector})"), [])


def check_adapter(prometheus, known):
    """Kubernetes scales by a metric of the gateway, which the rule of prometheus-adapter finds for each pod."""
    (addition,) = yaml.safe_load(SCALER.read_text())
    metric = addition["value"]["pods"]["metric"]["name"]
    check(f"{metric}, by which Kubernetes scales, is exported", metric in known.labels)
    (rule,) = yaml.safe_load(ADAPTER.read_text())["rules"]["custom"]
    # With `name`, the metric would have another name than the series.
    check("keys of the rule", set(rule), {"seriesQuery", "resources", "metricsQuery"})
    series = prometheus.api(f"series?match[]={quote(rule['seriesQuery'], safe='')}")
    check("series of the rule", {it["__name__"] for it in series}, {metric})
    resources = {label: it["resource"] for label, it in rule["resources"]["overrides"].items()}
    check("resources of the rule", resources, {"namespace": "namespace", "pod": "pod"})
    query = rule["metricsQuery"].replace("<<.Series>>", metric).replace("<<.GroupBy>>", "pod")
    pods = "|".join(prometheus.pods)
    query = query.replace("<<.LabelMatchers>>", f'namespace="default",pod=~"{pods}"')
    found = sorted(it["metric"].get("pod") for it in prometheus.query(query))
    check(f"pods of {query}", found, sorted(prometheus.pods))


def check_the_checks(promtool, known):
    check("an invalid expression", parses(promtool, "sum by (code (up)"), False)
    requests = "sigv4_gateway_requests_total"
    for expression, problem in [
        ("sigv4_gateway_attempts_total", "sigv4_gateway_attempts_total"),
        (f'rate({requests}{{status="200"}}[5m])', f"{requests}: status"),
        (f'{requests}{{code=~"2..|7.."}}', "code: 7.."),
        (f"sum by (phase) ({requests})", "phase"),
        (f"{requests} / on (kind) group_left () {requests}", "kind"),
        ('up{job="gateway"}', "sigv4-gateway"),
    ]:
        check(f"{expression} is reported", problem in known.problems(expression))


def main():
    promtool, server = debian.unpack("prometheus", "promtool", "prometheus")
    dashboard = json.loads(DASHBOARD.read_text())
    run("check rules", promtool, "check", "rules", RULES)
    run("test rules", promtool, "test", "rules", TESTS.name, cwd=TESTS.parent)
    check_texts()
    check_dashboard(dashboard)
    with contextlib.ExitStack() as stack:
        work = pathlib.Path(stack.enter_context(tempfile.TemporaryDirectory()))
        log = stack.enter_context(tempfile.TemporaryFile("w+"))
        gateways = Gateways(stack, work, log)
        prometheus = Prometheus(work, gateways.admins)
        stack.enter_context(started(server, *prometheus.options))
        prometheus.wait_until_ready()
        # Before the first call for credentials, so that Prometheus sees the counters grow.
        wait_for("gateways", lambda: len(prometheus.query("sigv4_gateway_requests_in_flight")), 2)
        for address in gateways.addresses:
            check("statuses", statuses(address), STATUSES)
            check("statuses of the caller", [caller_status(address) for _ in CALLER_STATUSES], CALLER_STATUSES)
        metrics = get(gateways.admins[0], "/metrics")[1]
        check("samples", [sample for sample in SAMPLES if sample not in metrics.splitlines()], [])
        run("check metrics", promtool, "check", "metrics", input=metrics)
        known = Known(metrics)
        check_names(promtool, known, dashboard)
        check_adapter(prometheus, known)
        check_the_checks(promtool, known)
        check_queries(prometheus, dashboard, gateways.traffic)
        check_alerts(prometheus, gateways)
    print(checks.passed)


main()
