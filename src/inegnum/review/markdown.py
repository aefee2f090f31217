"""Tables of stored results in Markdown, so that a document never quotes a figure by hand.

A block of a document starts with ``<!-- results: NAME -->`` and ends with ``<!-- end -->``; what
stands between is written by `fill`.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Sequence
from statistics import fmean
from typing import Any, Final

from inegnum.errors import InputError, nearest
from inegnum.review.record import recorded, tables_of

__all__ = ["BLOCKS", "fill"]

Row = dict[str, Any]
Results = dict[str, Any]
REFERENCE: Final = "bordeaux-metropole-2022"
_BLOCK: Final = re.compile(r"(<!-- results: ([a-z_]+) -->\n).*?(<!-- end -->)", re.DOTALL)
_TARGETS: Final = {
    "no_diploma": "no diploma",
    "higher": "higher education",
    "unemployed": "unemployed",
    "retired": "retired",
}
_METHODS: Final = {"mrp": "model", "raking": "raking", "age": "age", "national": "national"}


def fill(text: str, results: Results) -> str:
    """Return a document with every block of results written anew.

    Raises
    ------
    InputError
        A block has an unknown name, or the results lack its table.
    """

    def written(match: re.Match[str]) -> str:
        name = match[2]
        if name not in BLOCKS:
            raise InputError("no such block of results", got=name, hint=nearest(name, BLOCKS))
        return f"{match[1]}\n{BLOCKS[name](results)}\n{match[3]}"

    return _BLOCK.sub(written, text)


def _table(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = ["| " + " | ".join(heads) + " |", "|" + "---|" * len(heads)]
    return "\n".join([*lines, *("| " + " | ".join(row) + " |" for row in rows)]) + "\n"


def _coverage(row: Row) -> str:
    """Return a coverage and its bootstrap interval, in percent."""
    low, high = 100 * row["coverage_low"], 100 * row["coverage_high"]
    return f"{100 * row['coverage_95']:.1f} % [{low:.1f}, {high:.1f}]"


def _rows(results: Results, table: str, **keys: object) -> list[Row]:
    """Return the rows of a table that hold these values."""
    known = tables_of(results)
    if table not in known:
        raise InputError("the results lack a table", got=table, expected=", ".join(known))
    return [row for row in known[table] if all(row[k] == v for k, v in keys.items())]


def _by(results: Results, table: str, *index: str, **keys: object) -> dict[tuple[str, ...], Row]:
    """Return the same by the values of some columns."""
    return {tuple(row[k] for k in index): row for row in _rows(results, table, **keys)}


def _summary(results: Results) -> str:
    """Return date, level, versions, and every check that does not hold."""
    states = [v["status"] for rung in results["rungs"] for v in rung["verdicts"]]
    packages = ", ".join(f"{k} {v}" for k, v in results["versions"].items())
    lines = [
        f"Level {results['level']}, run on {results['date']} ({packages}): "
        f"{states.count('pass')} checks hold, {states.count('warn')} to watch, "
        f"{states.count('fail')} fail.",
        "",
    ]
    for status, word in (("fail", "fails"), ("warn", "watch")):
        lines += [
            f"- **{word}**, rung {rung['number']}: {v['sentence_en']}"
            for rung in results["rungs"]
            for v in rung["verdicts"]
            if v["status"] == status
        ]
    return "\n".join(lines) + "\n"


def _rouen(results: Results) -> str:
    hidden = _by(results, "rouen", "target", "method")
    sampled = _by(results, "rouen_area_level", "target", "method")
    heads = ["outcome", "model", "error of the survey alone", "margins-only"]
    heads += ["Fay-Herriot, no respondent", "Fay-Herriot, sampled", "direct, sampled"]
    rows = []
    for target in ("retired", "managers", "workers"):
        methods = ("mrp", "mrp_no_tau", "margins", "fay_herriot")
        cells = [_coverage(hidden[target, m]) for m in methods]
        cells += [_coverage(sampled[target, m]) for m in ("fay_herriot", "direct")]
        rows.append([target, *cells])
    return _table(heads, rows)


def _rouen_scores(results: Results) -> str:
    """Return every score of every method, mean over outcomes."""
    order = ("mrp", "margins", "fay_herriot", "raking", "age", "national", "mrp_no_tau")
    heads = ["method", "bias", "RMSE", "rank correlation", "variance ratio", "50 %", "80 %", "95 %"]
    rows = []
    for method in order:
        own = _rows(results, "rouen", method=method)

        def mean(name: str, own: list[Row] = own) -> float:
            return fmean(row[name] for row in own)

        rows.append(
            [
                method.replace("_", " "),
                f"{100 * mean('bias'):+.1f} pts",
                f"{100 * mean('rmse'):.1f} pts",
                f"{mean('rank_correlation'):.2f}",
                f"{mean('variance_ratio'):.2f}",
                *(f"{100 * mean(f'coverage_{p}'):.0f}" for p in (50, 80, 95)),
                f"{100 * mean('width_95'):.0f} pts",
                f"{mean('interval_score'):.3f}",
            ]
        )
    return _table([*heads, "width", "interval score"], rows)


def _ratio(own: Row, rival: Row) -> str:
    """Return how many times the rival's interval score one has."""
    return f"{own['interval_score'] / rival['interval_score']:.2f}"


def _france(results: Results) -> str:
    table = _by(results, "france", "target", "method", level="commune")
    heads = ["census variable", "95 % coverage", "without area effect", "width"]
    heads += ["score / national", "score / age"]
    rows = []
    for target, name in _TARGETS.items():
        own, alone = table[target, "modelled"], table[target, "no_area_effect"]
        cells = [_coverage(own), f"{100 * alone['coverage_95']:.1f} %"]
        cells.append(f"{100 * own['width_95']:.0f} pts")
        cells += [_ratio(own, table[target, m]) for m in ("national", "age")]
        rows.append([name, *cells])
    return _table(heads, rows)


def _groups(results: Results, table: str, by: str, order: Sequence[str]) -> str:
    """Return coverage by target and group, in percent."""
    found = _by(results, table, "target", by)
    rows = [
        [name, *(f"{100 * found[target, group]['coverage_95']:.1f}" for group in order)]
        for target, name in _TARGETS.items()
    ]
    return _table(["", *order], rows)


def _france_size(results: Results) -> str:
    order = ("2-3k", "3-5k", "5-10k", "10-20k", "20-50k", "50k+")
    return _groups(results, "france_size", "size", order)


def _france_urban(results: Results) -> str:
    order = ("rural", "2k-20k", "20k-100k", "100k+", "paris")
    return _groups(results, "france_urban", "urban", order)


def _france_region(results: Results) -> str:
    """Return coverage by region: what an average over regions hides."""
    order = sorted({str(row["region"]) for row in _rows(results, "france_region")})
    return _groups(results, "france_region", "region", order)


def _france_other(results: Results) -> str:
    """Return the other ways of drawing deviations, and 2018 learned on 2012."""
    now = _by(results, "france", "target", "method", level="commune")
    later = _by(results, "france_later", "target", "method", level="commune")
    names = {
        "planned_tau": "the estimator's tau",
        "one_tau": "one tau for every size",
        "halved": "deviations halved",
        "doubled": "deviations doubled",
    }
    methods = [m for m in names if ("higher", m) in now]
    rows = []
    for target, name in _TARGETS.items():
        cells = [_coverage(now[target, m]) for m in methods]
        known = later.get((target, "modelled"))
        rows.append([name, *cells, _coverage(known) if known else "-"])
    return _table(["", *(names[m] for m in methods), "2018 learned on 2012"], rows)


def _morocco(results: Results) -> str:
    rows = []
    for sampled, name in ((True, "forty households asked"), (False, "no household asked")):
        part = _by(results, "morocco", "method", sampled=sampled)
        own = part["fay_herriot",]
        rows.append([name, _coverage(own), _ratio(own, part["mean",])])
    return _table(["communes", "95 % coverage of Fay-Herriot", "score / one mean"], rows)


def _regions(results: Results) -> str:
    names = {"published": "as published", "even": "phone interviews even on both sides"}
    table = _by(results, "regions", "judge", "method")
    rows = [
        [
            said,
            name,
            _coverage(table[judge, method]),
            f"{100 * table[judge, method]['rmse']:.1f} pts",
            f"{table[judge, method]['interval_score']:.3f}",
            f"{table[judge, method]['log_score']:.2f}",
        ]
        for judge, said in names.items()
        for method, name in _METHODS.items()
    ]
    heads = ["judge", "method", "95 % coverage", "RMSE", "interval score", "log score"]
    return _table(heads, rows)


def _regions_indicator(results: Results) -> str:
    table = _by(results, "regions_indicator", "judge", "indicator", "method")
    rows = []
    for code in sorted({code for _, code, _ in table}):
        cells = []
        for judge in ("published", "even"):
            own = table[judge, code, "mrp"]
            n = round(own["n"])
            cells.append(f"{round(n * own['coverage_95'])} of {n}")
            cells.append(_ratio(own, table[judge, code, "national"]))
        rows.append([f"`{code}`", *cells])
    heads = ["indicator", "inside, as published", "score / national"]
    return _table([*heads, "inside, phone even", "score / national"], rows)


_WORLDS: Final = {
    "as_assumed": "the model is right",
    "tau_drawn": "deviations drawn from the prior",
    "interaction": "an interaction of age and urban size is missing",
    "urban": "the last wave exaggerates the urban gradient",
    "mode": "mode confounded with place",
    "tau_half": "true deviations half the prior's",
    "tau_double": "true deviations twice the prior's",
}


def _misspecification(results: Results) -> str:
    table = _by(results, "misspecification", "world", "method")
    rows = []
    for world, name in _WORLDS.items():
        own = table[world, "release"]
        variants = [m for w, m in table if w == world and m != "release"]
        shown = [f"{_coverage(table[world, m])} ({m})" for m in variants] or ["-"]
        rows.append([name, _coverage(own), *shown, f"{100 * own['bias']:+.1f} pt"])
    return _table(["world", "95 % coverage", "the variant printed beside it", "bias"], rows)


def _engines(results: Results) -> str:
    if "misspecification_engine" not in tables_of(results):
        return "Engines are compared at the full level only.\n"
    table = _by(results, "misspecification_engine", "world", "method")
    rows = [
        [name, *(_coverage(table[world, engine]) for engine in ("laplace", "nuts"))]
        for world, name in _WORLDS.items()
        if (world, "nuts") in table
    ]
    return _table(["world", "nested Laplace", "NUTS"], rows)


def _published(results: Results) -> str:
    counts = Counter(
        (row["indicator"], row["reading"], row["why_en"]) for row in _rows(results, "published")
    )
    rows = [
        [f"`{code}`", reading, str(n), why]
        for (code, reading, why), n in sorted(counts.items(), key=lambda item: item[0])
    ]
    return _table(["published indicator", "reading", "figures", "why"], rows)


def _release(results: Results) -> str:
    """Return the published figures beside the reference release, and the state of its checks."""
    del results
    found = recorded(REFERENCE)
    rows = []
    for row in _rows(found, "reference"):
        judged = row["reading"] == "judged"
        rows.append(
            [
                f"{row['territory']}, `{row['indicator']}`, {row['year']}",
                f"{100 * row['value']:.0f} %",
                "-" if row["est"] is None else f"{100 * row['est']:.0f} %",
                f"{row['reading']}, {row['z']:.1f} joint se" if judged else row["reading"],
                row["why_en"] or "",
            ]
        )
    heads = ["published", "value", "release", "reading", "why"]
    return f"{_summary(found)}\n{_table(heads, rows)}"


BLOCKS: Final[dict[str, Callable[[Results], str]]] = {
    "summary": _summary,
    "rouen": _rouen,
    "rouen_scores": _rouen_scores,
    "france": _france,
    "france_size": _france_size,
    "france_urban": _france_urban,
    "france_region": _france_region,
    "france_other": _france_other,
    "morocco": _morocco,
    "regions": _regions,
    "regions_indicator": _regions_indicator,
    "published": _published,
    "misspecification": _misspecification,
    "engines": _engines,
    "release": _release,
}
