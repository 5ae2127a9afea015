"""A tuning's results: settings ranked by criteria, the choice, the masks' verdict."""

import csv
import io
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from statistics import fmean
from typing import Any

import numpy as np

from wsis._support.provenance import versions
from wsis.experiments.tuning.criteria import CRITERIA
from wsis.experiments.tuning.judging import correlation, judge, ranks
from wsis.experiments.tuning.space import Space
from wsis.experiments.tuning.trial import LOSS, Trial
from wsis.experiments.variants import Variant
from wsis.plugins import nearest
from wsis.report import METRICS

BY = "evidence"
"""The criterion that chooses by default; of all it left the least regret in the sweeps
that masks have judged (``benchmarks/tune.md``)."""

COMBINED = "combined"

PARTS = ("tag-ap", "agreement", "flips", "scales", "evidence")
"""The combined criteria. The anti-noise branch's AP is none of them, since no threshold
sets it; nor are integrity and loss, whose level the thresholds move by themselves."""

CHOICES = (COMBINED, *(criterion.name for criterion in CRITERIA), LOSS)
"""The criteria that may choose."""

SAYS = {
    COMBINED: f"mean rank by {', '.join(PARTS)}",
    **{criterion.name: criterion.says for criterion in CRITERIA},
    LOSS: "mean loss of the last epoch, negated; of the training photos",
}

VERDICT = "mAP50"


def check_choice(name: str) -> None:
    """Make sure that settings can be chosen by a criterion.

    Raises:
        LookupError: if there is none of that name; lists what there is.
    """
    if name not in CHOICES:
        raise LookupError(
            f"no criterion is called {name!r}{nearest(name, list(CHOICES))}; they are: "
            f"{', '.join(CHOICES)}"
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Tuning:
    """Trials of all settings; ``results`` turns them into JSON-like values.

    Args:
        space: the axes that were swept.
        variants: the settings, the default first.
        trials: of all variants and seeds.
        design: what the figures depend on.
        by: the criterion that chooses.
    """

    space: Space
    variants: Sequence[Variant]
    trials: Sequence[Trial]
    design: dict[str, Any]
    by: str = BY

    def results(self) -> dict[str, Any]:
        """Return the content of ``tune.json``; settings best first by the criterion.

        If the criterion says nothing, settings keep their order and the default is
        chosen.
        """
        table = self._criteria()
        values = [-np.inf if v is None else v for v in table[self.by]]
        order = np.argsort([-value for value in values], kind="stable").tolist()
        figures = self._verdict()
        chosen = self.variants[order[0]]
        rows = [
            {
                "rank": place + 1,
                "label": self.variants[i].label,
                "values": self.space.values(self.variants[i]),
                "miner": self.variants[i].miner.label,
                "overrides": list(self.variants[i].overrides),
                "criteria": {name: column[i] for name, column in table.items()},
                "metrics": figures[i],
            }
            for place, i in enumerate(order)
        ]
        judged = [figure[VERDICT] for figure in figures if figure is not None]
        complete = len(judged) == len(self.variants)
        return {
            "design": self.design,
            "versions": versions(),
            "sweep": [axis.text for axis in self.space.axes],
            "by": self.by,
            "says": SAYS,
            "chosen": {"label": chosen.label, "options": options(chosen)},
            "verdict": judge(table, judged) if complete else None,
            "sensitivity": self._sensitivity(table, judged if complete else None),
            "settings": rows,
            "seconds": {
                name: fmean(getattr(one, f"{name}_seconds") for one in self.trials)
                for name in ("train", "look", "judge")
            },
            "trials": [asdict(one) for one in self.trials],
        }

    def _criteria(self) -> dict[str, list[float | None]]:
        """Return each criterion of each variant, mean over seeds; combined first."""
        names = [criterion.name for criterion in CRITERIA] + [LOSS]
        table = {
            name: [
                _mean([one.criteria.get(name) for one in self._of(variant)])
                for variant in self.variants
            ]
            for name in names
        }
        whole = [
            ranks(np.asarray(column, float))
            for name in PARTS
            if None not in (column := table[name])
        ]
        combined: list[float | None] = [None] * len(self.variants)
        if whole:
            combined = np.mean(whole, 0).tolist()
        return {COMBINED: combined, **table}

    def _verdict(self) -> list[dict[str, float] | None]:
        """Return the masks' figures of each variant; None unless all were judged."""
        found: list[dict[str, float] | None] = []
        for variant in self.variants:
            some = self._of(variant)
            known = [one.metrics for one in some if one.metrics is not None]
            found.append(
                {name: fmean(one[name] for one in known) for name in METRICS}
                if len(known) == len(some)
                else None
            )
        return found

    def _sensitivity(
        self, table: dict[str, list[float | None]], judged: list[float] | None
    ) -> dict[str, dict[str, float | None]]:
        """Return Spearman's correlation of swept values with criterion and masks."""
        found = {}
        for axis in self.space.axes:
            values = [self.space.values(one)[axis.name] for one in self.variants]
            found[axis.name] = {
                self.by: _correlation(values, table[self.by]),
                VERDICT: None if judged is None else _correlation(values, judged),
            }
        return found

    def _of(self, variant: Variant) -> list[Trial]:
        return [one for one in self.trials if one.label == variant.label]


def options(variant: Variant) -> str:
    """Return the options of ``wsis bench`` that a variant stands for."""
    sets = "".join(f" --set {one}" for one in variant.overrides)
    return f"--miners {variant.miner.label}{sets}"


def to_csv(results: dict[str, Any]) -> str:
    """Return a line a setting: rank, values, criteria, and figures if masks judged."""
    text = io.StringIO()
    rows = results["settings"]
    axes, criteria = list(rows[0]["values"]), list(rows[0]["criteria"])
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["rank", "label", *axes, *criteria, *METRICS])
    for row in rows:
        metrics = row["metrics"] or {}
        writer.writerow(
            [
                row["rank"],
                row["label"],
                *(row["values"][name] for name in axes),
                *(row["criteria"][name] for name in criteria),
                *(metrics.get(name) for name in METRICS),
            ]
        )
    return text.getvalue()


def _mean(values: Sequence[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return fmean(known) if known and len(known) == len(values) else None


def _correlation(
    one: Sequence[float | None], other: Sequence[float | None]
) -> float | None:
    both = np.array([one, other], float)  # None is NaN
    return correlation(*both[:, ~np.isnan(both).any(0)])
