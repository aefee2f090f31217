"""Build the wheel, install it in a clean environment, run the small commands from elsewhere."""

import subprocess
import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))
from bootstrap import BIN, ROOT, find_uv

LIMIT_MB = 20


def main() -> None:
    """Fail unless the wheel is small, whole and works outside the checkout."""
    uv = find_uv()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        build = [uv, "build", "--wheel", "--no-build-isolation", "--python", sys.executable]
        subprocess.run([*build, "--out-dir", str(folder), str(ROOT), "--quiet"], check=True)
        wheel = next(folder.glob("*.whl"))
        size = wheel.stat().st_size / 1e6
        print(f"{wheel.name}: {size:.1f} MB")
        if size > LIMIT_MB:
            raise SystemExit(f"the wheel is {size:.1f} MB, over {LIMIT_MB} MB")
        venv = folder / "venv"
        python = str(venv / BIN / "python")
        subprocess.run([uv, "venv", "--quiet", "--python", sys.executable, str(venv)], check=True)
        pip = [uv, "pip", "install", "--quiet", "--python", python]
        locked = ["--require-hashes", "-r", str(ROOT / "requirements" / "run.txt")]
        subprocess.run([*pip, *locked], check=True)
        subprocess.run([*pip, "--no-deps", str(wheel)], check=True)
        for words in (
            ["--version"],
            ["data", "verify"],
            ["run", "bordeaux-metropole-2022", "--out", str(folder / "release")],
        ):
            subprocess.run([python, "-m", "inegnum", *words], check=True, cwd=folder)
        print("wheel: installs, verifies its data and runs the main job outside the checkout")


if __name__ == "__main__":
    main()
