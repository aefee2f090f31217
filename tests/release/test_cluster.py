"""The recipes of the documentation, taken from it and run as processes over TCP on one machine."""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import stat
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from inegnum.study.scale.folder import wide_to_folder
from inegnum.study.spec import Scale, parse_study
from release.test_wide import STUDY, outputs
from shared import ROOT

pytestmark = pytest.mark.slow

BIN = Path(sys.executable).parent
PAGE = (ROOT / "docs" / "scale.md").read_text("utf-8")


def recipe(language: str, mark: str) -> str:
    """Return the one block of the page in a language that holds a word."""
    blocks = re.findall(rf"```{language}\n(.*?)```", PAGE, re.DOTALL)
    (found,) = [block for block in blocks if mark in block]
    return str(found)


@pytest.fixture(scope="module")
def release(tmp_path_factory: pytest.TempPathFactory) -> Path:
    pytest.importorskip("distributed")
    out = tmp_path_factory.mktemp("alone") / "corse"
    wide_to_folder(parse_study(STUDY), Scale(workers=1), out)
    return out


@pytest.fixture
def started() -> Iterator[list[subprocess.Popen[bytes]]]:
    """Processes to end with their children, whatever happens."""
    processes: list[subprocess.Popen[bytes]] = []
    yield processes
    for process in processes:
        end(process)


def end(process: subprocess.Popen[bytes]) -> None:
    try:
        os.killpg(process.pid, signal.SIGKILL)
    except ProcessLookupError:
        return
    process.wait()


def start(command: list[str], **environment: str) -> subprocess.Popen[bytes]:
    path = f"{BIN}{os.pathsep}{os.environ['PATH']}"
    env = os.environ | {"PATH": path, "OMP_NUM_THREADS": "1"} | environment
    return subprocess.Popen(command, env=env, start_new_session=True)


def free_port() -> int:
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        return int(held.getsockname()[1])


def test_the_script_for_a_queue_gives_the_same_bytes(
    release: Path, tmp_path: Path, started: list[subprocess.Popen[bytes]]
) -> None:
    script = recipe("bash", "#SBATCH")
    subprocess.run(["bash", "-n"], input=script, text=True, check=True)
    # What the queue would give: two tasks of one command, and a host of that name.
    for name, text in {
        "srun": '#!/bin/bash\n"$@" & "$@" & wait\n',
        "hostname": "#!/bin/bash\necho 127.0.0.1\n",
    }.items():
        (tmp_path / name).write_text(text)
        (tmp_path / name).chmod(stat.S_IRWXU)
    (tmp_path / "study.toml").write_bytes(STUDY)
    script = script.replace("source .venv/bin/activate", f'export PATH="{tmp_path}:$PATH"')
    script = script.replace("models/france-2022.toml", "study.toml")
    script = script.replace("releases/france-2022", "corse")
    (tmp_path / "job.sh").write_text(script)
    job = 20_000 + free_port() % 10_000
    command = ["bash", "-c", f"cd {tmp_path} && SLURM_JOB_ID={job} exec bash job.sh"]
    started.append(start(command))
    assert started[0].wait(timeout=580) == 0
    assert outputs(tmp_path / "corse") == outputs(release)


def containers() -> dict[str, dict[str, Any]]:
    yaml = pytest.importorskip("yaml")
    found = yaml.safe_load(recipe("yaml", "DaskCluster"))
    assert (found["apiVersion"], found["kind"]) == ("kubernetes.dask.org/v1", "DaskCluster")
    spec = found["spec"]
    (worker,) = spec["worker"]["spec"]["containers"]
    (scheduler,) = spec["scheduler"]["spec"]["containers"]
    ports = {port["name"]: port for port in spec["scheduler"]["service"]["ports"]}
    assert ports["tcp-comm"]["port"] == 8786
    names = {port["name"] for port in scheduler["ports"]}
    assert {port["targetPort"] for port in ports.values()} <= names
    return {"worker": worker, "scheduler": scheduler}


def test_containers_lose_a_worker_and_give_the_same_bytes(
    release: Path, tmp_path: Path, started: list[subprocess.Popen[bytes]]
) -> None:
    from distributed import Client

    held, port = containers(), free_port()
    address = f"tcp://127.0.0.1:{port}"
    started.append(start([*held["scheduler"]["args"], "--port", str(port), "--no-dashboard"]))
    workers = {}
    for name in ("one", "two"):
        # Kubernetes puts the value of a variable in place of $(NAME).
        args = [arg.replace("$(DASK_WORKER_NAME)", name) for arg in held["worker"]["args"]]
        given = {item["name"]: str(item["value"]) for item in held["worker"]["env"]}
        workers[name] = start(args, DASK_SCHEDULER_ADDRESS=address, **given)
        started.append(workers[name])
    with Client(address, timeout=60) as client:
        client.wait_for_workers(2, timeout=60)
        names = {addr: info["name"] for addr, info in client.scheduler_info()["workers"].items()}
        (tmp_path / "study.toml").write_bytes(STUDY)
        command = ["inegnum", "run", "study.toml", "--out", "corse", "--scheduler", address]
        run = start(["env", "--chdir", str(tmp_path), *command])
        started.append(run)
        lost = _working(client, run)
        end(workers[names[lost]])
        assert run.wait(timeout=580) == 0
        assert lost not in client.scheduler_info()["workers"]
    assert outputs(tmp_path / "corse") == outputs(release)
    assert not json.loads((tmp_path / "corse" / "manifest.json").read_text())["study"]["scale"][
        "scheduler"
    ]


def _working(client: Any, run: subprocess.Popen[bytes]) -> str:
    """Wait until a worker computes a department; return its address."""
    while run.poll() is None:
        for address, keys in client.processing().items():
            if any("compute" in str(key) for key in keys):
                return str(address)
        time.sleep(0.2)
    raise AssertionError("the run ended before a worker was seen at work")
