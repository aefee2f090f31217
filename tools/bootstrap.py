"""Make the project's environment with nothing but python3.

Puts uv into `.tools`, finds a Python >= 3.12 (PATH, pyenv's versions, uv's own download), makes
`.venv` and installs the pinned, hashed requirements and the package itself. Does nothing when the
environment is already what the requirements say. Runs on any python3 >= 3.6.
"""

import hashlib
import os
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
TOOLS = ROOT / ".tools"
VENV = ROOT / ".venv"
BIN = "Scripts" if os.name == "nt" else "bin"
NEEDED = (3, 12)
PREFERRED = ("3.13", "3.12", "3.14")


def fail(what, todo):
    """Stop with one plain message."""
    sys.stderr.write(f"\nSet-up stopped: {what}\n  what to do: {todo}\n")
    raise SystemExit(2)


def answers(command):
    """Return the first line a command prints, or None when it cannot run."""
    try:
        done = subprocess.run(
            command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, timeout=60, check=False
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    text = done.stdout.decode("utf-8", "replace").strip()
    return text.splitlines()[0] if done.returncode == 0 and text else None


def find_uv():
    """Return the path of uv, installed into `.tools` when it is not there yet."""
    own = TOOLS / "bin" / ("uv.exe" if os.name == "nt" else "uv")
    if answers([str(own), "--version"]):
        return str(own)
    requirements = ["--require-hashes", "-r", str(ROOT / "requirements" / "uv.txt")]
    quiet = ["--quiet", "--disable-pip-version-check"]
    print("installing uv into .tools ...", flush=True)
    if answers([sys.executable, "-m", "pip", "--version"]):
        command = [sys.executable, "-m", "pip", "install", "--target", str(TOOLS), "--upgrade"]
        if subprocess.run(command + quiet + requirements, check=False).returncode == 0:
            return str(own)
    seed = TOOLS / "seed"
    if subprocess.run([sys.executable, "-m", "venv", str(seed)], check=False).returncode == 0:
        command = [str(seed / BIN / "python"), "-m", "pip", "install"]
        if subprocess.run(command + quiet + requirements, check=False).returncode == 0:
            return str(seed / BIN / own.name)
    found = shutil.which("uv")
    if found:
        return found
    fail(
        "uv could not be installed: this python3 has neither a working pip nor venv, or the"
        " package index cannot be reached (messages above)",
        "install python3-venv (Debian, Ubuntu) or uv itself, check the network, run again",
    )


def is_recent(python):
    """Tell whether this interpreter runs, is recent enough and can hold an environment."""
    check = f"import ssl, venv, sys; print(sys.version_info[:2] >= {NEEDED!r})"
    return answers([str(python), "-c", check]) == "True"


def find_python(uv):
    """Return an interpreter >= 3.12: PATH, pyenv, what uv knows, then uv's download."""
    candidates = [shutil.which("python" + version) for version in PREFERRED]
    candidates += [shutil.which("python3"), sys.executable]
    pyenv = Path(os.environ.get("PYENV_ROOT", str(Path.home() / ".pyenv"))) / "versions"
    for version in PREFERRED:
        candidates += sorted(pyenv.glob(version + "*/bin/python"), reverse=True)
    for candidate in candidates:
        if candidate and is_recent(candidate):
            return str(candidate)
    known = answers([uv, "python", "find", ">=3.12"])
    if known and is_recent(known):
        return known
    print("no Python >= 3.12 here: asking uv to download one ...", flush=True)
    if subprocess.run([uv, "python", "install", "3.12"], check=False).returncode == 0:
        found = answers([uv, "python", "find", "3.12"])
        if found:
            return found
    fail(
        "no Python >= 3.12 on PATH or among pyenv's versions, and none could be downloaded",
        "install Python 3.12 or 3.13 (system package, pyenv install 3.12), then run again",
    )


def fingerprint():
    """Return what the environment must have been made from."""
    digest = hashlib.sha256()
    for name in ("requirements/dev.txt", "pyproject.toml", "tools/bootstrap.py"):
        digest.update((ROOT / name).read_bytes())
    digest.update(str(ROOT).encode())
    return digest.hexdigest()


def main():
    """Bring `.venv` to what the requirements say."""
    stamp = VENV / "made-from"
    python = VENV / BIN / "python"
    wanted = fingerprint()
    if stamp.exists() and stamp.read_text() == wanted and is_recent(python):
        return
    uv = find_uv()
    if not is_recent(python):
        base = find_python(uv)
        print(f"making .venv with {base} ...", flush=True)
        subprocess.run([uv, "venv", "--quiet", "--clear", "--python", base, str(VENV)], check=True)
    print("installing the pinned requirements ...", flush=True)
    pip = [uv, "pip", "install", "--quiet", "--python", str(python)]
    requirements = ["--require-hashes", "-r", str(ROOT / "requirements" / "dev.txt")]
    if subprocess.run(pip + requirements, check=False).returncode != 0:
        fail(
            "the pinned requirements could not be installed (messages above)",
            "check the network and the disk, then run again; nothing outside .venv was touched",
        )
    project = ["--no-deps", "--no-build-isolation", "--editable", str(ROOT)]
    subprocess.run(pip + project, check=True)
    stamp.write_text(wanted)


if __name__ == "__main__":
    main()
