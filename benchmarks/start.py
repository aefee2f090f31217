"""What starting costs: `import inegnum` and `inegnum --help`, beside python, numpy and pandas.

Run: python benchmarks/start.py [--quick]. CPU medians of fresh processes, in one run.
"""

from __future__ import annotations

import argparse
import resource
import statistics
import subprocess
import sys

COMMANDS = {
    "python": ["-c", "pass"],
    "import numpy": ["-c", "import numpy"],
    "import pandas": ["-c", "import pandas"],
    "import inegnum": ["-c", "import inegnum"],
    "inegnum --help": ["-m", "inegnum", "--help"],
}


def cpu(words: list[str]) -> float:
    """Return the CPU seconds of one fresh process."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run([sys.executable, *words], check=True, capture_output=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def main() -> None:
    """Print one line a command, then the two that have a target."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--quick", action="store_true")
    repeats = 5 if parser.parse_args().quick else 25
    found = {
        name: statistics.median(cpu(words) for _ in range(repeats))
        for name, words in COMMANDS.items()
    }
    for name, seconds in found.items():
        print(f"{name:<16} {1000 * seconds:6.0f} ms")
    base = found["python"]
    for name, peer, target in (
        ("import inegnum", "import numpy", 0.5),
        ("inegnum --help", "import pandas", 1.0),
    ):
        ratio = (found[name] - base) / (found[peer] - base)
        state = "ok" if ratio <= target else "short"
        print(f"{name.replace(' ', '-')} ratio={ratio:.2f} target={target} {state}")


if __name__ == "__main__":
    main()
