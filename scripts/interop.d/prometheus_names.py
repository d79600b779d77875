"""The names, labels and values in expressions of PromQL, and those that gateways export."""

import json
import pathlib
import re
import subprocess
import tempfile

import yaml

TREE = pathlib.Path(__file__).resolve().parents[2]
DEPLOY = TREE / "gateway/deploy"
# Labels that Prometheus adds; outside of Kubernetes there is no namespace.
TARGET_LABELS = {"namespace", "job", "instance"}
TOKEN = re.compile(r'"(?:[^"\\]|\\.)*"|[A-Za-z_:][A-Za-z0-9_:]*|\d[\w.]*|=~|!~|!=|\S')
NAME = re.compile(r"[A-Za-z_:][A-Za-z0-9_:]*")
AGGREGATIONS = {"avg", "count", "max", "min", "sum"}
GROUPINGS = {"by", "without", "on", "ignoring", "group_left", "group_right"}
OPERATORS = {"and", "bool", "offset", "or", "unless"}


def parses(promtool, expression):
    record = {"groups": [{"name": "test", "rules": [{"record": "test", "expr": expression}]}]}
    with tempfile.NamedTemporaryFile("w", suffix=".yaml") as file:
        yaml.safe_dump(record, file)
        file.flush()
        return subprocess.run([promtool, "check", "rules", file.name], capture_output=True).returncode == 0


def parsed(expression):
    """Returns the selectors, each with its matchers, and the labels by which results are grouped or matched."""
    tokens = TOKEN.findall(expression) + [""]
    selectors, groupings, index = [], set(), 0
    while index < len(tokens):
        token, following = tokens[index], tokens[min(index + 1, len(tokens) - 1)]
        index += 1
        if token in GROUPINGS:
            if following == "(":
                end = tokens.index(")", index)
                groupings.update(filter(NAME.fullmatch, tokens[index:end]))
                index = end + 1
        elif not NAME.fullmatch(token) or token in AGGREGATIONS | OPERATORS or following == "(":
            continue
        else:
            matchers = []
            if following == "{":
                end = tokens.index("}", index)
                words = [word for word in tokens[index + 1 : end] if word != ","]
                matchers = [(words[i], words[i + 1], json.loads(words[i + 2])) for i in range(0, len(words), 3)]
                index = end + 1
            selectors.append((token, matchers))
    return selectors, groupings


class Known:
    """The names, labels and values that gateways export."""

    def __init__(self, text):
        self.labels, self.values = {"up": set(TARGET_LABELS)}, {}
        for line in text.splitlines():
            if line.startswith("#"):
                continue
            name, labels = re.match(r"([^{ ]*)(?:\{(.*)\})? ", line).groups()
            pairs = re.findall(r'(\w+)="((?:[^"\\]|\\.)*)"', labels or "")
            self.labels.setdefault(name, set(TARGET_LABELS)).update(label for label, _ in pairs)
            for label, value in pairs:
                self.values.setdefault(label, set()).add(value)
        # Which of them occur depends on the origin's responses.
        causes = (TREE / "src/doctor/cause.rs").read_text()
        self.values["cause"].update(re.findall(r'^ {4}\w+: "([a-z-]+)", \[', causes, re.MULTILINE))
        self.jobs = documented_jobs()

    def problems(self, expression):
        """Returns the names, labels and values that no gateway exports."""
        selectors, groupings = parsed(expression)
        if not selectors:
            return ["no metric"]
        problems, found = [], set()
        for metric, matchers in selectors:
            if metric not in self.labels:
                problems.append(metric)
                continue
            found |= self.labels[metric]
            for label, operator, value in matchers:
                if label not in self.labels[metric]:
                    problems.append(f"{metric}: {label}")
                elif label == "job":
                    problems += [job for job in self.jobs if not re.fullmatch(value, job)]
                elif label not in TARGET_LABELS:
                    parts = value.split("|") if operator in ("=~", "!~") else [re.escape(value)]
                    known = self.values.get(label, set())
                    missing = [part for part in parts if not any(re.fullmatch(part, one) for one in known)]
                    problems += [f"{label}: {part}" for part in missing]
        return problems + sorted(groupings - found)


def documented_jobs():
    """Returns the job of docs/deploy.md, and that of a ServiceMonitor, which is the name of the Service."""
    job = re.search(r"job_name: (\S+)", (TREE / "docs/deploy.md").read_text())[1]
    service = yaml.safe_load((DEPLOY / "kubernetes/prometheus/service.yaml").read_text())
    return [job, service["metadata"]["name"]]
