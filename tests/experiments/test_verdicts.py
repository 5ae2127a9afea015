import numpy as np
import pytest

from wsis.evaluation.matches import COCO, VOC, Matches
from wsis.experiments._verdicts import judge

IMAGES, CLASSES, EXPERIMENTS = 40, 4, 60


def simulated(quality, draw, hard, seeds):
    """Runs of a strategy that finds an object with probability ``quality + hard``.

    Every image has an object of one class. ``hard`` is how much easier each image is
    than the mean one; every seed is better or worse by itself.
    """
    for seed in range(seeds):
        chance = quality + hard + draw.normal(0, 0.03)
        best = draw.random(IMAGES) < chance
        found = np.repeat(np.stack([best, np.zeros(IMAGES, bool)], 1).ravel(), 1)
        score = draw.random((IMAGES, 2))
        score[:, 0] += 0.3 * best
        score = -np.sort(-score, axis=1)
        label = np.arange(IMAGES) % CLASSES
        yield (
            seed,
            Matches(
                image=np.repeat(np.arange(IMAGES), 2),
                label=np.repeat(label + 1, 2),
                score=score.ravel(),
                state=np.repeat(found[:, None], len(VOC) + len(COCO), 1).astype(
                    np.int8
                ),
                objects=np.eye(CLASSES, dtype=np.int64)[label],
            ),
        )


def experiment(number, gain, seeds, samples=40):
    draw = np.random.default_rng([7, number])
    hard = draw.normal(0, 0.15, IMAGES)
    runs = {}
    for label, quality in (("one", 0.5), ("two", 0.5 + gain)):
        for seed, matches in simulated(quality, draw, hard, seeds):
            runs[label, seed] = matches
    return judge(runs, samples=samples)


def share(verdict, gain, seeds):
    found = [
        experiment(i, gain, seeds)["differences"]["two"]["mAP50"]["verdict"]
        for i in range(EXPERIMENTS)
    ]
    return np.mean([one == verdict for one in found])


@pytest.mark.slow
def test_runs_that_differ_by_chance_alone_are_rarely_called_different():
    """mAP is computed on every sample here: detections, images and seeds are drawn."""
    assert 1 - share("not significant", 0.0, seeds=3) <= 0.05


@pytest.mark.slow
def test_a_large_gain_is_called_better():
    assert share("better", 0.35, seeds=3) > 0.6


def test_the_verdict_has_all_that_is_reported():
    verdict = experiment(0, 0.3, seeds=3)

    assert verdict["first"] == "one"
    assert set(verdict["strategies"]) == {"one", "two"}
    one = verdict["strategies"]["one"]["mAP50"]
    low, high = one["interval"]
    assert 0 <= low < one["mean"] < high <= 100
    assert one["deviation"] > 0
    two = verdict["differences"]["two"]["mAP50"]
    assert two["verdict"] == "better"
    assert two["p"] <= two["p_all"] <= 1
    assert two["interval"][0] > 0


def test_p_of_several_comparisons_is_holms():
    draw = np.random.default_rng(0)
    hard = draw.normal(0, 0.15, IMAGES)
    runs = {
        (label, seed): matches
        for label, quality in (("a", 0.4), ("b", 0.9), ("c", 0.45), ("d", 0.6))
        for seed, matches in simulated(quality, draw, hard, 3)
    }

    found = judge(runs, samples=50)["differences"]

    pairs = sorted((found[x]["mAP50"]["p"], found[x]["mAP50"]["p_all"]) for x in "bcd")
    expected, highest = [], 0.0
    for rank, (p, _) in enumerate(pairs):
        highest = max(highest, min(1, p * (3 - rank)))
        expected.append(highest)
    assert [all_ for _, all_ in pairs] == pytest.approx(expected)


def test_runs_of_other_images_are_refused():
    draw = np.random.default_rng(0)
    [(_, one)] = simulated(0.5, draw, np.zeros(IMAGES), 1)
    other = Matches(
        image=one.image[:2],
        label=one.label[:2],
        score=one.score[:2],
        state=one.state[:2],
        objects=one.objects[:1],
    )

    with pytest.raises(ValueError, match="same images"):
        judge({("one", 0): one, ("two", 0): other})
