from pathlib import Path

import numpy as np
import pandas as pd

from inegnum.review.folds import Runner


def counted(i: int, folder: str) -> pd.DataFrame:
    """A fold that leaves a trace of each call."""
    trace = Path(folder) / f"{i}.calls"
    trace.write_text(trace.read_text() + "x" if trace.exists() else "x")
    return pd.DataFrame({"i": [i], "draw": [np.random.default_rng([7, i]).standard_normal()]})


def calls(folder: Path) -> dict[str, int]:
    return {path.stem: len(path.read_text()) for path in sorted(folder.glob("*.calls"))}


def test_finished_folds_are_not_run_again_until_an_input_changes(tmp_path) -> None:
    tasks = [(i, str(tmp_path)) for i in range(3)]
    runner = Runner(1, tmp_path / "kept", quiet=True)
    first = runner.run("count", counted, tasks[:2], inputs="a")
    again = runner.run("count", counted, tasks, inputs="a")
    assert calls(tmp_path) == {"0": 1, "1": 1, "2": 1}
    pd.testing.assert_frame_equal(again.iloc[:2], first)
    runner.run("count", counted, tasks, inputs="b")
    assert calls(tmp_path) == {"0": 2, "1": 2, "2": 2}


def test_the_result_does_not_depend_on_the_workers() -> None:
    # Module-level functions of the package can be sent to other processes.
    from inegnum.review.rung_france import france_fold

    tasks = [(94, "retired", ("national",), 1), (94, "unemployed", ("national",), 1)]
    alone = Runner(1, quiet=True).run("f", france_fold, tasks)
    shared = Runner(2, quiet=True).run("f", france_fold, tasks[::-1])
    assert set(alone["target"]) == {"retired", "unemployed"}
    for _, code, *_ in tasks:
        pd.testing.assert_frame_equal(
            alone[alone["target"] == code].reset_index(drop=True),
            shared[shared["target"] == code].reset_index(drop=True),
        )
