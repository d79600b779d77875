"""The manifests of gateway/deploy/kubernetes: rendered by kubectl, compared with the schemas of Kubernetes and of the
Prometheus Operator, with each other and with docs/deploy.md, and their gateway.toml checked by the gateway. Arguments:
the gateway's program, and a Python with the aws CLI. Prints the number of passed checks. Needs kubectl 1.27 or
newer."""

import copy
import json
import pathlib
import re
import shlex
import shutil
import subprocess
import sys
import tempfile

import checks
import kubernetes_validate
import pydantic
import yaml
from checks import check
from cloudcoil.models.prometheus_operator.v1 import ServiceMonitor
from kubernetes_docs import check_names, check_pod_identity, check_stopping, check_values

GATEWAY, CLI = sys.argv[1:3]
FOLDER = pathlib.Path(__file__).resolve().parents[2] / "gateway/deploy/kubernetes"
# The oldest that supports sidecar containers, and the newest whose schemas are installed.
VERSIONS = ["1.29", kubernetes_validate.latest_version()]


def render(name, folder=FOLDER):
    command = ["kubectl", "kustomize", folder / name]
    result = subprocess.run(command, capture_output=True, text=True)
    check(f"kubectl kustomize {name}: {result.stderr}", (result.returncode, result.stderr), (0, ""))
    return list(yaml.safe_load_all(result.stdout))


def validate(resource):
    if resource["kind"] == "ServiceMonitor":
        problem = monitor_problem(resource)
        check(f"ServiceMonitor {resource['metadata']['name']}", problem, None)
        return
    for version in VERSIONS:
        try:
            kubernetes_validate.validate(resource, version, strict=True)
        except kubernetes_validate.ValidationError as error:
            sys.exit(f"kubernetes: {resource['kind']} {resource['metadata']['name']}, {version}: {error}")
        check("valid", True)


def monitor_problem(resource):
    """Returns the reason for which a ServiceMonitor is invalid, or `None`."""
    try:
        model = ServiceMonitor.model_validate(resource)
    except pydantic.ValidationError as error:
        return str(error)
    # The model drops unknown keys.
    kept = model.model_dump(mode="json", by_alias=True, exclude_unset=True)
    return None if kept == resource else f"unknown keys: only {kept} is known"


def check_monitor_checks(monitor):
    """Each kind of mistake in a ServiceMonitor is reported."""
    for key, value in [("intervall", "15s"), ("interval", "15 s"), ("port", 9090), ("scheme", "htp")]:
        broken = copy.deepcopy(monitor)
        broken["spec"]["endpoints"][0][key] = value
        check(f"a ServiceMonitor with {key} = {value!r} is reported", monitor_problem(broken) is not None)
    for key in ["endpoints", "selector"]:
        broken = copy.deepcopy(monitor)
        del broken["spec"][key]
        check(f"a ServiceMonitor without {key} is reported", monitor_problem(broken) is not None)


def of_kind(resources, kind):
    return [resource for resource in resources if resource["kind"] == kind]


def seconds(text):
    return int(text.removesuffix("s"))


def check_configuration(resources):
    """The file is valid, and its times and ports fit the pod."""
    (config,) = of_kind(resources, "ConfigMap")
    text = config["data"]["gateway.toml"]
    with tempfile.NamedTemporaryFile("w", suffix=".toml") as file:
        file.write(text)
        file.flush()
        result = subprocess.run([GATEWAY, "--config", file.name, "--check"], capture_output=True, text=True)
    check(f"gateway.toml: {result.stderr}", (result.returncode, result.stderr), (0, ""))
    (deployment,) = of_kind(resources, "Deployment")
    pod = deployment["spec"]["template"]["spec"]
    containers = [*pod.get("initContainers", []), *pod["containers"]]
    (gateway,) = [container for container in containers if container["name"] == "gateway"]
    times = [line.split('"')[1] for line in text.splitlines() if line.startswith(("drain_delay", "shutdown_grace"))]
    check("termination grace", pod["terminationGracePeriodSeconds"] > sum(map(seconds, times)))
    for port in gateway["ports"]:
        check(f"port {port['name']}", f":{port['containerPort']}\"" in text)
    names = {volume["configMap"]["name"] for volume in pod["volumes"] if "configMap" in volume}
    check("the mounted ConfigMap", names, {config["metadata"]["name"]})
    security = {**pod.get("securityContext", {}), **gateway["securityContext"]}
    check("user", (security["runAsNonRoot"], security["runAsUser"]), (True, 65532))
    check("read-only", security["readOnlyRootFilesystem"])
    check("capabilities", security["capabilities"], {"drop": ["ALL"]})
    check_secret(deployment["metadata"]["namespace"], gateway)
    return deployment, config, gateway


def named_ports(deployment):
    """Returns the numbers of the named ports of all containers, and of those that are not sidecars."""
    pod = deployment["spec"]["template"]["spec"]
    found = [
        {port["name"]: port["containerPort"] for container in containers for port in container.get("ports", [])}
        for containers in (pod.get("initContainers", []), pod["containers"])
    ]
    return {**found[0], **found[1]}, found[1]


def check_secret(namespace, gateway):
    """The variables of the gateway are those of the Secret that the command in docs/deploy.md creates."""
    document = (FOLDER.parents[2] / "docs/deploy.md").read_text()
    (line,) = [line for line in document.splitlines() if line.startswith("kubectl create secret ")]
    with tempfile.TemporaryDirectory() as folder:
        pathlib.Path(folder, "environment").write_text("API_KEY=a secret\n")
        command = [*shlex.split(line), "--dry-run=client", "--output=yaml"]
        result = subprocess.run(command, cwd=folder, capture_output=True, text=True)
    check(f"{line}: {result.stderr}", (result.returncode, result.stderr), (0, ""))
    secret = yaml.safe_load(result.stdout)
    created = (secret["metadata"]["namespace"], secret["metadata"]["name"], list(secret["data"]))
    (source,) = gateway["envFrom"]
    check("the Secret of envFrom", created, (namespace, source["secretRef"]["name"], ["API_KEY"]))


def check_selectors(resources, deployment):
    """Each selector, each named port and the service account exist."""
    pod = deployment["spec"]["template"]
    labels = pod["metadata"]["labels"]
    accounts = [it["metadata"]["name"] for it in of_kind(resources, "ServiceAccount")]
    check("service account", accounts, [pod["spec"].get("serviceAccountName")])
    ports, _ = named_ports(deployment)
    for service in of_kind(resources, "Service"):
        check("selector", service["spec"]["selector"].items() <= labels.items())
        check("ports", {port["targetPort"] for port in service["spec"]["ports"]} <= ports.keys())
    for kind, key in [("PodDisruptionBudget", "selector"), ("NetworkPolicy", "podSelector")]:
        for resource in of_kind(resources, kind):
            check(kind, resource["spec"][key]["matchLabels"].items() <= labels.items())
    for monitor in of_kind(resources, "ServiceMonitor"):
        wanted = monitor["spec"]["selector"]["matchLabels"].items()
        selected = [it for it in of_kind(resources, "Service") if wanted <= it["metadata"]["labels"].items()]
        names = {port["name"] for service in selected for port in service["spec"]["ports"]}
        check("monitored ports", {endpoint["port"] for endpoint in monitor["spec"]["endpoints"]} <= names)
    for scaler in of_kind(resources, "HorizontalPodAutoscaler"):
        check("scaled Deployment", scaler["spec"]["scaleTargetRef"]["name"], deployment["metadata"]["name"])
        # Kubernetes removes no pod while it cannot read a metric: `Pods` needs a ServiceMonitor.
        types = [metric["type"] for metric in scaler["spec"]["metrics"]]
        check("metrics", types, ["Resource"] + ["Pods"] * len(of_kind(resources, "ServiceMonitor")))


def check_network_policy(resources, deployment):
    """Prometheus alone reaches the admin port, and clients the others."""
    (policy,) = of_kind(resources, "NetworkPolicy")
    check("policy", policy["spec"]["policyTypes"], ["Ingress"])
    ports, found_by_policies = named_ports(deployment)
    reached = set()
    for rule in policy["spec"]["ingress"]:
        # A rule without ports is for all of them.
        numbers = {found_by_policies.get(it["port"], it["port"]) for it in rule.get("ports", [{"port": None}])}
        check(f"ports of the policy: {numbers}", numbers <= set(ports.values()))
        if ports["admin"] in numbers:
            monitoring = {"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "monitoring"}}}
            check("from", rule.get("from"), [monitoring])
        reached |= numbers
    check("each port is reached", reached, set(ports.values()))


def check_rollout(name, deployment):
    """A changed file changes the ConfigMap's name and with it the pods, and nothing else of them."""
    with tempfile.TemporaryDirectory() as work:
        copied = pathlib.Path(work) / "kubernetes"
        shutil.copytree(FOLDER, copied)
        with open(copied / name / "gateway.toml", "a") as file:
            file.write("# changed\n")
        resources = render(name, copied)
    (config,), (changed,) = of_kind(resources, "ConfigMap"), of_kind(resources, "Deployment")
    before, after = (json.dumps(it["spec"]["template"]) for it in (deployment, changed))
    check(f"{name}: a changed file changes the pods", before != after)
    prefix, _ = config["metadata"]["name"].rsplit("-", 1)
    names = re.escape(prefix) + "-[a-z0-9]{10}"
    check(f"{name}: only by the ConfigMap's name", re.sub(names, "", before), re.sub(names, "", after))


def main():
    if not shutil.which("kubectl"):
        sys.exit("scripts/interop needs kubectl, 1.27 or newer")
    monitors, accounts = [], set()
    for name in ["base", "irsa", "prometheus", "sidecar", "sidecar-irsa"]:
        resources = render(name)
        monitors += of_kind(resources, "ServiceMonitor")
        for resource in resources:
            validate(resource)
        deployment, config, gateway = check_configuration(resources)
        check_selectors(resources, deployment)
        check_network_policy(resources, deployment)
        if name in ("base", "sidecar"):
            check_rollout(name, deployment)
        if name == "base":
            check_stopping(config, gateway, deployment["spec"]["template"]["spec"])
        check_values("value of `sidecar`" if name.startswith("sidecar") else "value", resources)
        metadata = [it["metadata"] for it in of_kind(resources, "ServiceAccount")]
        accounts |= {(it["namespace"], it["name"]) for it in metadata}
        roles = ["eks.amazonaws.com/role-arn" in it.get("annotations", {}) for it in metadata]
        check(f"{name}: role", roles, [name.endswith("irsa")])
    for title in ["value", "value of `sidecar`"]:
        check_names(title, FOLDER)
    check_pod_identity(CLI, accounts)
    (monitor,) = monitors
    check_monitor_checks(monitor)
    broken = of_kind(render("base"), "Deployment")[0]
    broken["spec"]["template"]["spec"]["containers"][0]["imagePullPolice"] = "Always"
    try:
        kubernetes_validate.validate(broken, VERSIONS[0], strict=True)
    except kubernetes_validate.ValidationError:
        check("an unknown key is rejected", True)
    else:
        sys.exit("kubernetes: the schemas accept an unknown key")
    print(checks.passed)


main()
