"""Images and clusters that serve an export: their files agree with the command and its routes, and work."""

import json
import re
import shlex
import shutil
import signal
import subprocess
import urllib.request
from pathlib import Path

import pytest
import yaml
from typer.main import get_command

from polymodal.cli import app
from tests.support.environments import Environment

REPOSITORY = Path(__file__).resolve().parent.parent
DOCKERFILE = (REPOSITORY / "Dockerfile.serve").read_text(encoding="utf-8")
DEPLOY = REPOSITORY / "deploy"
COMPOSE = yaml.safe_load((DEPLOY / "compose.yaml").read_text(encoding="utf-8"))
PROMETHEUS = yaml.safe_load((DEPLOY / "prometheus.yml").read_text(encoding="utf-8"))
DEPLOYMENT, SERVICE = yaml.safe_load_all((DEPLOY / "kubernetes.yaml").read_text(encoding="utf-8"))
POD = DEPLOYMENT["spec"]["template"]["spec"]
(CONTAINER,) = POD["containers"]
COMMAND = get_command(app).commands["serve"]
PORT, ADDRESS = 8000, "0.0.0.0"


def instructions(name):
    """The arguments of an instruction of the Dockerfile, in order."""
    return re.findall(rf"^{name} (.+)$", DOCKERFILE, re.M)


def copies():
    """What each COPY of files of the repository copies, and where to."""
    for line in instructions("COPY"):
        if not line.startswith("--from"):
            *sources, folder = shlex.split(line)
            yield from ((source, folder) for source in sources)


def parsed(arguments):
    """Arguments of the image as the command reads them; unknown ones are refused."""
    return COMMAND.make_context("serve", list(arguments)).params


def pins(path):
    """The versions in a file of requirements, by package."""
    lines = [line for line in path.read_text(encoding="utf-8").splitlines() if line and line[0] != "#"]
    return dict(line.split("==") for line in lines)


def test_the_stated_packages_have_the_versions_of_the_tests_and_none_is_of_training():
    stated, tested = pins(DEPLOY / "requirements-serve.txt"), pins(REPOSITORY / "constraints.txt")
    assert stated == {name: tested[name] for name in stated}
    assert not stated.keys() & {"torch", "transformers", "datasets", "pandas", "pyarrow", "scikit-learn"}


def test_the_image_copies_what_is_there_and_runs_as_a_user():
    let_in = re.findall(r"^!(.+)$", (REPOSITORY / ".dockerignore").read_text(encoding="utf-8"), re.M)
    for source, _ in copies():
        assert (REPOSITORY / source).exists() and source in let_in, source
    assert DOCKERFILE.index("\nUSER polymodal") > DOCKERFILE.rindex("\nRUN ")
    assert all("--no-deps" in line for line in instructions("RUN") if "pip" in line)


@pytest.mark.parametrize(
    "arguments",
    [
        json.loads(instructions("CMD")[0]),
        COMPOSE["services"]["polymodal"]["command"],
        CONTAINER["args"],
    ],
    ids=["Dockerfile", "compose", "kubernetes"],
)
def test_arguments_are_those_of_the_command(arguments):
    options = parsed(arguments)
    assert (options["host"], options["port"]) == (ADDRESS, PORT)
    assert options["runs"] == [Path("/export/houses")] and options["token"] is None
    assert json.loads(instructions("ENTRYPOINT")[0]) == ["polymodal", "serve"]


def test_ports_agree():
    assert instructions("EXPOSE") == [str(PORT)] and f"127.0.0.1:{PORT}/ready" in DOCKERFILE
    assert COMPOSE["services"]["polymodal"]["ports"] == [f"127.0.0.1:{PORT}:{PORT}"]
    (port,) = CONTAINER["ports"]
    assert port == {"name": "http", "containerPort": PORT}
    assert SERVICE["spec"]["ports"] == [{"name": "http", "port": PORT, "targetPort": "http"}]
    assert SERVICE["spec"]["selector"] == DEPLOYMENT["spec"]["selector"]["matchLabels"]


def test_probes_and_scrapes_are_of_routes_and_the_token_is_a_secret():
    from polymodal.serving.security import OPEN

    paths = {CONTAINER[f"{name}Probe"]["httpGet"]["path"] for name in ("startup", "liveness", "readiness")}
    assert paths == set(OPEN)
    (variable,) = [each for each in CONTAINER["env"] if each["name"] == token_variable()]
    assert variable["valueFrom"]["secretKeyRef"] == {"name": "polymodal", "key": "token"}
    assert token_variable() in COMPOSE["services"]["polymodal"]["environment"]
    (scrape,) = PROMETHEUS["scrape_configs"]
    assert scrape["metrics_path"] == "/metrics"
    name = scrape["authorization"]["credentials_file"].removeprefix("/run/secrets/")
    assert COMPOSE["services"]["prometheus"]["secrets"] == [name]
    assert COMPOSE["secrets"][name] == {"environment": token_variable()}


def token_variable():
    """The environment variable from which the command takes its token."""
    (option,) = [each for each in COMMAND.params if each.name == "token"]
    return option.envvar


def test_names_by_which_the_server_is_addressed_are_let_in():
    (target,) = PROMETHEUS["scrape_configs"][0]["static_configs"][0]["targets"]
    host, _, port = target.partition(":")
    assert host in COMPOSE["services"] and int(port) == PORT
    assert parsed(COMPOSE["services"]["polymodal"]["command"])["public_host"] == [host]
    assert parsed(CONTAINER["args"])["public_host"] == [SERVICE["metadata"]["name"]]


def test_requests_in_flight_have_time_to_end():
    from polymodal.serving.server import DRAINING_SECONDS

    assert POD["terminationGracePeriodSeconds"] > DRAINING_SECONDS
    assert int(COMPOSE["services"]["polymodal"]["stop_grace_period"].removesuffix("s")) > DRAINING_SECONDS


def test_containers_are_read_only_and_have_no_privilege():
    service = COMPOSE["services"]["polymodal"]
    assert service["read_only"] and service["tmpfs"] == ["/tmp"] and service["cap_drop"] == ["ALL"]
    security = CONTAINER["securityContext"]
    assert security["readOnlyRootFilesystem"] and not security["allowPrivilegeEscalation"]
    assert POD["securityContext"]["runAsNonRoot"] and POD["securityContext"]["runAsUser"]
    assert [each["mountPath"] for each in CONTAINER["volumeMounts"]] == ["/tmp"]
    assert {"cpu", "memory"} <= CONTAINER["resources"]["limits"].keys()


@pytest.fixture(scope="module")
def image(tmp_path_factory):
    """An environment in which the lines of the image that install have run, and nothing else."""
    folder = tmp_path_factory.mktemp("image")
    environment = Environment.new(folder / "environment")
    probe = ("pip", "download", "--quiet", "--no-deps", "--dest", "any", "typer")
    if environment.process(*probe, folder=folder).returncode != 0:
        pytest.skip("no index of packages answers")
    for source, into in copies():
        path, place = REPOSITORY / source, folder / "image" / into
        if path.is_dir():
            shutil.copytree(path, place, dirs_exist_ok=True)
        else:
            place.mkdir(parents=True, exist_ok=True)
            shutil.copy(path, place)
    lines = [line for line in instructions("RUN") if line.startswith("python -m pip")]
    script = "set -euo pipefail\n" + "\n".join(lines).replace("/wheels", str(folder / "wheels"))
    variables = {"PATH": f"{environment.folder / 'bin'}:/usr/bin:/bin", "HOME": str(folder)}
    done = subprocess.run(
        ["bash", "-c", script], cwd=folder / "image", env=variables, capture_output=True, text=True
    )
    assert len(lines) == 3 and done.returncode == 0, done.stderr
    return environment


@pytest.mark.slow
def test_the_lines_of_the_image_serve_an_export(image, exported_houses, tmp_path):
    listed = image.run("pip", "list", "--format", "freeze", folder=tmp_path).lower()
    assert "torch" not in listed and "pandas" not in listed and "polymodal==" in listed
    arguments = json.loads(instructions("CMD")[0])
    arguments[0], arguments[arguments.index("--port") + 1] = str(exported_houses[0]), "0"
    command = [str(image.folder / "bin" / "polymodal"), "serve", *arguments]
    variables = {"PATH": f"{image.folder / 'bin'}:/usr/bin:/bin", "HOME": str(tmp_path)}
    variables["PYTHONUNBUFFERED"] = "1"
    process = subprocess.Popen(
        command, cwd=tmp_path, env=variables, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    try:
        line = process.stdout.readline()
        port = re.search(r"http://0\.0\.0\.0:(\d+)", line)
        assert port, line + process.stderr.read()
        check = json.loads(re.search(r"CMD (\[.+)$", instructions("HEALTHCHECK")[0])[1])
        check[-1] = check[-1].replace(f":{PORT}", f":{port[1]}")
        subprocess.run(check, env=variables, check=True)
        answered(f"http://127.0.0.1:{port[1]}")
    finally:
        process.send_signal(signal.SIGTERM)
        _, errors = process.communicate(timeout=60)
    assert process.returncode == 0 and not errors, errors


def answered(address):
    """The kept rows, as the page sends them, have the answers that are kept with them."""
    with urllib.request.urlopen(f"{address}/runs/export/samples") as content:
        samples = json.load(content)["samples"]
    body = json.dumps({"rows": [each["row"] for each in samples]}).encode()
    request = urllib.request.Request(f"{address}/predict", body, {"Content-Type": "application/json"})
    with urllib.request.urlopen(request) as content:
        answers = json.load(content)["answers"]
    assert len(answers) == len(samples) > 0
    for answer, sample in zip(answers, samples, strict=True):
        expected = sample["answer"]["values"]
        assert answer["values"]["kind"] == expected["kind"]
        assert answer["values"]["price"] == pytest.approx(expected["price"], rel=1e-3)
