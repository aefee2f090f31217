"""Judgement, apart from numbers."""

from inegnum.review.ladder import Ladder, validate, worsened
from inegnum.review.page import write_page
from inegnum.review.verdict import Verdict, verdict_table, worst

__all__ = [
    "Ladder",
    "Verdict",
    "validate",
    "verdict_table",
    "worsened",
    "worst",
    "write_page",
]
