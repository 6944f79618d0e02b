"""Files around the code: workflows, templates, Makefile and Dockerfile name what is there, and work."""

import re
import shlex
import shutil
import subprocess
import tomllib
from pathlib import Path

import pytest
import yaml

from tests.support.environments import Environment

REPOSITORY = Path(__file__).resolve().parent.parent
MAKEFILE = (REPOSITORY / "Makefile").read_text(encoding="utf-8")
WORKFLOWS = {
    name: yaml.safe_load((REPOSITORY / f".github/workflows/{name}.yml").read_text(encoding="utf-8"))["jobs"]
    for name in ("tests", "slow")
}
JOBS = WORKFLOWS["tests"]
DOCKERFILE = (REPOSITORY / "Dockerfile").read_text(encoding="utf-8")


def instructions(name):
    """The arguments of an instruction of the Dockerfile, in order."""
    return re.findall(rf"^{name} (.+)$", DOCKERFILE, re.M)


def copies():
    """The files and folders that the image copies, each with the folder it is copied to."""
    for line in instructions("COPY"):
        *sources, folder = shlex.split(line)
        yield from ((source, folder) for source in sources)


def test_the_tests_run_on_every_python_that_the_package_names():
    project = tomllib.loads((REPOSITORY / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    named = [entry.rsplit(" ", 1)[1] for entry in project["classifiers"] if "Python :: 3." in entry]
    assert JOBS["tests"]["strategy"]["matrix"]["python"] == named


def test_every_job_runs_a_target_or_a_script():
    jobs = [job for each in WORKFLOWS.values() for job in each.values()]
    runs = [step["run"] for job in jobs for step in job["steps"] if "run" in step]
    assert {".ci/run", "make docs", "make slow"} <= {*runs}
    for run in runs:
        words = shlex.split(run)
        named = f"\n{words[1]}:" in MAKEFILE if words[0] == "make" else (REPOSITORY / run).is_file()
        assert named, run


@pytest.mark.parametrize("name", ["bug", "proposal"])
def test_issue_templates_have_a_body(name):
    template = yaml.safe_load((REPOSITORY / f".github/ISSUE_TEMPLATE/{name}.yml").read_text(encoding="utf-8"))
    assert {"name", "description", "body"} <= {*template}
    assert all(entry["attributes"]["label"] for entry in template["body"])


def test_the_image_copies_what_is_there_and_runs_as_a_user():
    let_in = re.findall(r"^!(.+)$", (REPOSITORY / ".dockerignore").read_text(encoding="utf-8"), re.M)
    for source, _ in copies():
        assert (REPOSITORY / source).exists() and source in let_in, source
    assert DOCKERFILE.index("\nUSER polymodal") > DOCKERFILE.rindex("\nRUN ")
    assert "libgomp1" in DOCKERFILE


def test_bench_prints_what_it_takes_before_it_starts():
    recipe = MAKEFILE.partition("\nbench:")[2].partition("\n\n")[0].splitlines()[1:]
    scripts = re.findall(r"benchmarks/(\w+\.py)", "\n".join(recipe))
    assert recipe[0].startswith("\t@echo") and "minutes" in recipe[0]
    assert scripts and all(script in recipe[0] for script in scripts)


@pytest.mark.slow
def test_the_lines_of_the_image_install_the_command(tmp_path):
    """The lines that install run in a new environment, which finds the packages of this one installed."""
    folder, environment = tmp_path / "image", Environment.new(tmp_path / "environment")
    environment.see_packages_of_this_one()
    for source, into in copies():
        (folder / into).mkdir(parents=True, exist_ok=True)
        path = REPOSITORY / source
        if path.is_dir():
            shutil.copytree(path, folder / into, dirs_exist_ok=True)
        else:
            shutil.copy(path, folder / into)
    lines = [line for line in instructions("RUN") if line.startswith("python -m pip")]
    variables = {
        "PATH": f"{environment.folder / 'bin'}:/usr/bin:/bin",
        "TORCH_INDEX": "https://pypi.org/simple",
    }
    script = "set -euo pipefail\n" + "\n".join(lines)
    done = subprocess.run(["bash", "-c", script], cwd=folder, env=variables, capture_output=True, text=True)
    assert len(lines) == 2 and done.returncode == 0, done.stderr
    entry = environment.folder / "bin" / instructions("ENTRYPOINT")[0].strip('["]')
    shown = subprocess.run([entry, "--help"], env=variables, cwd=tmp_path, capture_output=True, text=True)
    assert shown.returncode == 0 and "Usage: polymodal" in shown.stdout
