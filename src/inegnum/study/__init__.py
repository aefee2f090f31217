"""The one place where stages are chained."""

from inegnum.study.folder import find_study, run_to_folder
from inegnum.study.pipeline import Run, run
from inegnum.study.spec import Study, load_study

__all__ = ["Run", "Study", "find_study", "load_study", "run", "run_to_folder"]
