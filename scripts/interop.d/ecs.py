"""The files of gateway/deploy/ecs: compared with botocore's models of the ECS API, with each other, with the image and
with docs/deploy.md, and their gateway.toml checked by the gateway. The commands of docs/deploy.md then run with the aws
CLI before moto. Arguments: the gateway's program, and a Python with the aws CLI. Prints the number of passed checks."""

import copy
import json
import os
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile

import boto3
import botocore.session
import checks
from botocore.validate import ParamValidator
from checks import check
from fleet import free_port
from moto_server import start_moto

GATEWAY, CLI = sys.argv[1:3]
TOP = pathlib.Path(__file__).resolve().parents[2]
DEPLOY = TOP / "gateway/deploy"
FOLDER = DEPLOY / "ecs"
REGION = "us-east-1"
MAX_STOP_TIMEOUT = 120
# GiB that Fargate offers for each number of CPU units.
MEMORY = {256: [0.5, 1, 2], 512: range(1, 5), 1024: range(2, 9), 2048: range(4, 17), 4096: range(8, 31)}
MODEL = botocore.session.Session().get_service_model("ecs")


def mistakes(operation, parameters):
    """Returns what the model of the operation does not allow. ParamValidator knows no enumerations."""
    shape = MODEL.operation_model(operation).input_shape
    report = ParamValidator().validate(parameters, shape).generate_report()
    return [report] if report else list(unknown_values(shape, parameters))


def unknown_values(shape, value):
    if shape.type_name == "structure":
        for name, member in value.items():
            yield from unknown_values(shape.members[name], member)
    elif shape.type_name == "list":
        for member in value:
            yield from unknown_values(shape.member, member)
    elif shape.type_name == "string" and shape.enum and value not in shape.enum:
        yield f"{value!r} is not in {shape.enum}"


def check_model(definition, service):
    check("task-definition.json", mistakes("RegisterTaskDefinition", definition), [])
    check("service.json", mistakes("CreateService", service), [])
    for name, value in [("stopTimeOut", 90), ("user", 65532), ("essential", "true")]:
        broken = copy.deepcopy(definition)
        broken["containerDefinitions"][0][name] = value
        check(f"{name} {value!r} is found", len(mistakes("RegisterTaskDefinition", broken)), 1)
    check("an unknown launch type is found", len(mistakes("CreateService", {**service, "launchType": "FARGAT"})), 1)


def instructions(file):
    """Returns the last stage of a Containerfile: the arguments of each instruction."""
    found = {}
    for line in file.read_text().splitlines():
        name, _, arguments = line.partition(" ")
        if name == "FROM":
            found = {}
        if name.isupper():
            found[name] = arguments
    return found


def setting(text, section, key):
    return re.search(rf'^\[{section}\]$[^\[]*?^{key} = "(.*?)"', text, re.MULTILINE)[1]


def port(text, section):
    return int(setting(text, section, "listen").rsplit(":", 1)[1])


def seconds(text, key):
    return int(setting(text, "server", key).removesuffix("s"))


def check_task(definition, text):
    """The container fits its image and its configuration."""
    (container,) = definition["containerDefinitions"]
    image, derived = instructions(DEPLOY / "Containerfile"), instructions(FOLDER / "Containerfile")
    check("user", container["user"], image["USER"])
    check("read-only", container["readonlyRootFilesystem"], True)
    check("capabilities", container["linuxParameters"]["capabilities"], {"drop": ["ALL"]})
    check("instructions of the derived image", sorted(derived), ["COPY", "FROM"])
    mode, file, target = derived["COPY"].split()
    check("all can read the file", (mode, (FOLDER / file).is_file()), ("--chmod=644", True))
    check("the file's place", target, json.loads(image["CMD"])[1])
    check("the image's command is kept", {"command", "entryPoint"} & container.keys(), set())
    # The image has no shell, and the program no option that probes.
    check("no health check in the container", "healthCheck" in container, False)
    ports = {it["name"]: it["containerPort"] for it in container["portMappings"]}
    check("ports", ports, {"http": port(text, "server"), "admin": port(text, "admin")})
    check("port of the image", image["EXPOSE"], str(ports["http"]))
    drain = seconds(text, "drain_delay") + seconds(text, "shutdown_grace")
    check("stopTimeout", drain < container["stopTimeout"] <= MAX_STOP_TIMEOUT, True)
    check("memory", int(definition["memory"]) / 1024 in MEMORY[int(definition["cpu"])], True)
    check("one role for each purpose", definition["taskRoleArn"] != definition["executionRoleArn"], True)
    return container


def check_service(service, definition, container):
    check("task definition", service["taskDefinition"], definition["family"])
    check("launch type", [service["launchType"]], definition["requiresCompatibilities"])
    (balancer,) = service["loadBalancers"]
    target = (balancer["containerName"], balancer["containerPort"])
    check("target", target, (container["name"], container["portMappings"][0]["containerPort"]))
    deployment = service["deploymentConfiguration"]
    check("circuit breaker", deployment["deploymentCircuitBreaker"], {"enable": True, "rollback": True})
    percent = (deployment["minimumHealthyPercent"], deployment["maximumPercent"])
    check("a new task starts before an old one stops", percent[0] >= 100 and percent[1] > 100, True)


def check_variables(container, text, section):
    """The file's variables are those of the task, and docs/deploy.md describes each."""
    given = [it["name"] for it in [*container.get("environment", []), *container["secrets"]]]
    check("variables", sorted(given), sorted(set(re.findall(r'"env:(\w+)"', text))))
    for name in given:
        check(f"{name} is described", f"| `{name}` |" in section, True)


def check_configuration(container):
    names = [it["name"] for it in container["secrets"]]
    environment = {name: value for name, value in os.environ.items() if name not in names}

    def result(**variables):
        command = [GATEWAY, "--config", FOLDER / "gateway.toml", "--check"]
        return subprocess.run(command, capture_output=True, text=True, env={**environment, **variables})

    valid = result(**dict.fromkeys(names, "a"))
    check(f"gateway.toml: {valid.stderr}", (valid.returncode, valid.stderr), (0, ""))
    missing = result()
    check("a missing secret fails", (missing.returncode != 0, names[0] in missing.stderr), (True, True))


class Recipe:
    """The commands of docs/deploy.md, in a copy of the files, with the aws CLI before moto."""

    def __init__(self, section, url, work):
        self.blocks = re.findall(r"^```console\n(.*?)^```", section, re.DOTALL | re.MULTILINE)
        self.work = work
        self.folder = work / FOLDER.relative_to(TOP)
        shutil.copytree(FOLDER, self.folder)
        (work / "api-key").write_text("a secret")
        kept = {name: value for name, value in os.environ.items() if not name.startswith("AWS_")}
        self.environment = {**kept, "AWS_ENDPOINT_URL": url, "AWS_DEFAULT_REGION": REGION, "AWS_ACCESS_KEY_ID": "a",
                            "AWS_SECRET_ACCESS_KEY": "b", "AWS_CONFIG_FILE": os.devnull, "no_proxy": "*",
                            "AWS_SHARED_CREDENTIALS_FILE": os.devnull, "AWS_PAGER": "", "CLI": CLI}

    def run(self, commands):
        # The image is built elsewhere.
        functions = 'aws() { "$CLI" -Es -m awscli "$@"; }\npodman() { :; }\n'
        command = ["bash", "-euo", "pipefail", "-c", functions + commands]
        options = dict(cwd=self.work, env=self.environment, capture_output=True, text=True, timeout=300)
        result = subprocess.run(command, **options)
        check(f"{commands}{result.stderr}", (result.returncode, result.stderr), (0, ""))


def check_recipe(section, definition, service, url, work):
    def client(name):
        key = {"aws_access_key_id": "a", "aws_secret_access_key": "b"}
        return boto3.client(name, region_name=REGION, endpoint_url=url, **key)

    recipe = Recipe(section, url, work)
    check("blocks of commands", len(recipe.blocks), 2)
    client("ecs").create_cluster(clusterName=service["cluster"])
    ec2 = client("ec2")
    first, edits = re.subn(r"vpc-[0-9a-f]+", ec2.describe_vpcs()["Vpcs"][0]["VpcId"], recipe.blocks[0])
    check("names of a VPC", edits, 1)
    recipe.run(first)
    group = check_target_group(client("elbv2"), definition, service)
    check_resources(client, definition["containerDefinitions"][0])
    # The user replaces these too.
    edited = copy.deepcopy(service)
    edited["loadBalancers"][0]["targetGroupArn"] = group
    network = edited["networkConfiguration"]["awsvpcConfiguration"]
    network["subnets"] = [it["SubnetId"] for it in ec2.describe_subnets()["Subnets"][:2]]
    network["securityGroups"] = [ec2.describe_security_groups()["SecurityGroups"][0]["GroupId"]]
    (recipe.folder / "service.json").write_text(json.dumps(edited))
    recipe.run(recipe.blocks[1])
    check_created(client("ecs"), definition, edited)


def check_target_group(balancers, definition, service):
    """Its health check fits the times of the gateway and of the service. Returns its ARN."""
    (group,) = balancers.describe_target_groups()["TargetGroups"]
    container = definition["containerDefinitions"][0]
    http, admin = (it["containerPort"] for it in container["portMappings"])
    check("target type", group["TargetType"], "ip")  # as tasks with awsvpc need
    check("ports", (group["Port"], group["HealthCheckPort"]), (http, str(admin)))
    check("path", group["HealthCheckPath"], "/readyz")
    text = (FOLDER / "gateway.toml").read_text()
    interval, timeout = group["HealthCheckIntervalSeconds"], group["HealthCheckTimeoutSeconds"]
    noticed = group["UnhealthyThresholdCount"] * interval + timeout
    check("drain_delay", seconds(text, "drain_delay") > noticed, True)
    healthy = group["HealthyThresholdCount"] * interval + timeout
    check("healthCheckGracePeriodSeconds", service["healthCheckGracePeriodSeconds"] > healthy, True)
    listed = balancers.describe_target_group_attributes(TargetGroupArn=group["TargetGroupArn"])["Attributes"]
    attributes = {it["Key"]: it["Value"] for it in listed}
    delay = int(attributes["deregistration_delay.timeout_seconds"])
    check("deregistration delay", delay >= seconds(text, "shutdown_grace"), True)
    return group["TargetGroupArn"]


def check_resources(client, container):
    """The commands have created what the task definition names."""
    options = container["logConfiguration"]["options"]
    groups = client("logs").describe_log_groups()["logGroups"]
    check("log group", [it["logGroupName"] for it in groups], [options["awslogs-group"]])
    check("region of the log", options["awslogs-region"], REGION)
    (secret,) = container["secrets"]
    name = secret["valueFrom"].split(":parameter")[1]
    parameter = client("ssm").get_parameter(Name=name, WithDecryption=True)["Parameter"]
    wanted = (secret["valueFrom"], "SecureString", "a secret")
    check("secret", (parameter["ARN"], parameter["Type"], parameter["Value"]), wanted)


def check_created(ecs, definition, service):
    created = ecs.describe_task_definition(taskDefinition=definition["family"])["taskDefinition"]
    got = {name: created.get(name) for name in definition if name != "containerDefinitions"}
    wanted = {name: value for name, value in definition.items() if name != "containerDefinitions"}
    check("the registered task definition", got, wanted)
    (container,), (sent,) = created["containerDefinitions"], definition["containerDefinitions"]
    # moto adds defaults, also to the ports.
    for name in sent.keys() - {"portMappings"}:
        check(f"the registered {name}", container.get(name), sent[name])
    (it,) = ecs.describe_services(cluster=service["cluster"], services=[service["serviceName"]])["services"]
    check("the service's task definition", it["taskDefinition"], created["taskDefinitionArn"])
    for name in ["desiredCount", "launchType", "loadBalancers"]:
        check(f"the service's {name}", it[name], service[name])


def main():
    definition = json.loads((FOLDER / "task-definition.json").read_text())
    service = json.loads((FOLDER / "service.json").read_text())
    text = (FOLDER / "gateway.toml").read_text()
    section = re.search(r"^## ECS\n(.*?)^## ", (TOP / "docs/deploy.md").read_text(), re.DOTALL | re.MULTILINE)[1]
    check_model(definition, service)
    container = check_task(definition, text)
    check_service(service, definition, container)
    check_variables(container, text, section)
    check_configuration(container)
    server = free_port()
    moto = start_moto(server)
    try:
        with tempfile.TemporaryDirectory() as work:
            check_recipe(section, definition, service, f"http://127.0.0.1:{server}", pathlib.Path(work))
    finally:
        moto.terminate()
        moto.wait()
    print(checks.passed)


main()
