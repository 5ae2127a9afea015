from dataclasses import replace
from functools import partial

import pytest

from tests.drawn import Squares, settings
from wsis._support.problems import Problems
from wsis.contracts import Annotated
from wsis.data._truths import LazyTruths
from wsis.experiments import compare, variants_of
from wsis.experiments.runner import Work
from wsis.experiments.tuning import Space, tune
from wsis.plugins import UnknownPartError
from wsis.runs.pipeline import Pipeline
from wsis.runs.settings import Part


class Broken(Squares):
    """Masks of two validation photos cannot be read, and nothing may be prepared."""

    def val(self):
        found, began = super().val(), []

        def broken(i):
            if began:
                raise ValueError(f"{i}.png is truncated")
            return found.truths[i]

        makers = [lambda: found.truths[0], partial(broken, 1), partial(broken, 2)]
        val = Annotated(tagged=found.tagged, truths=LazyTruths(makers))
        began.append(True)  # What checks types looks at truths, too.
        return val

    def _load(self, split, i):
        raise AssertionError("work began")


class Renumbered(Squares):
    """Two validation photos have one number."""

    def val(self):
        found = super().val()
        first, second, *more = found.tagged.images
        images = [first, replace(second, id=first.id), *more]
        return replace(found, tagged=replace(found.tagged, images=images))

    def _load(self, split, i):
        raise AssertionError("work began")


@pytest.fixture
def file(tmp_path):
    (tmp_path / "file").write_text("")
    return tmp_path / "file"


def test_all_problems_are_told_at_once_before_work(tmp_path, file):
    pipeline = Pipeline(settings(), tmp_path)

    with pytest.raises(Problems) as told:
        compare(
            variants_of("cim"), Broken(), pipeline, folder=file / "bench", seeds=[0]
        )

    place, masks = map(str, told.value.found)
    assert place == f"cannot write to {file / 'bench'}: {file} is a file"
    assert "those of 2 of 3 cannot be read: val 1: 1.png is truncated, val 2" in masks
    assert str(told.value).startswith("2 problems, found before any work: (1) cannot")


def test_all_strategies_that_do_not_build_are_told(tmp_path):
    miners = [Part(name="cmi"), Part(name="cim"), Part.parse("mist:reading=bx")]

    with pytest.raises(Problems, match=r"\(1\) .*'cmi'.*\(2\) .*reading") as told:
        compare(
            variants_of(miners), Broken(), Pipeline(settings(), tmp_path), seeds=[0]
        )

    assert isinstance(told.value.found[0], UnknownPartError)


def test_a_tuning_looks_as_well(tmp_path, file):
    pipeline = Pipeline(settings("source.nodes=30"), tmp_path)
    space = Space.of(Part(name="cim"), pipeline.settings)

    with pytest.raises(Problems, match=r"2 problems.*is a file.*1\.png is truncated"):
        tune(Broken(), space, pipeline, settings=2, folder=file)


def test_photos_that_cannot_be_measured_are_told_before_work(tmp_path):
    with pytest.raises(ValueError, match="image"):
        compare(
            variants_of("cim"), Renumbered(), Pipeline(settings(), tmp_path), seeds=[0]
        )


def test_all_photos_that_cannot_be_read_are_told_before_the_first_run(
    tmp_path, monkeypatch
):
    class Torn(Squares):
        def _load(self, split, i):
            if split == "train" and i in (1, 3):
                raise OSError(f"{split} {i} is torn")
            return super()._load(split, i)

    def fails(*given):
        raise AssertionError("a run began")

    monkeypatch.setattr(Work, "run", fails)
    with pytest.raises(
        ValueError, match=r"^2 of \d+ photos .*train 1 is torn; train 3"
    ):
        compare(variants_of("cim"), Torn(), Pipeline(settings(), tmp_path), seeds=[0])
