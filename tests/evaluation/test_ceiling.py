from dataclasses import replace
from functools import partial

import pytest
import torch

from tests.builders import strips, tagged
from tests.drawn import Masked, settings
from tests.evaluation.drawing import truth
from wsis.contracts import Annotated, Supervision, Tagged
from wsis.evaluation import MaskTeacher, best_proposals
from wsis.proposals.bags import Bag
from wsis.runs.pipeline import Pipeline
from wsis.training.checkpoints import CheckpointError

BOTH = torch.tensor([True, True])


def pairs(found):
    return list(zip(found.index.tolist(), found.label.tolist(), strict=True))


def test_the_best_proposal_of_every_object_teaches_its_class():
    proposals = strips((0, 5), (0, 4), (10, 18), (0, 20), width=20)
    objects = truth((1, 0, 4), (2, 10, 20), (1, 1, 4))

    found = best_proposals(proposals, objects, BOTH)

    # The third object's best proposal is the first's, of the same class.
    assert pairs(found) == [(1, 1), (2, 2)]
    assert found.weight.tolist() == [1, 1]


def test_absent_classes_crowds_and_objects_without_a_proposal_teach_nothing():
    proposals = strips((0, 4), (10, 18), width=20)
    objects = truth((1, 0, 4), (2, 10, 20), (1, 10, 18), (1, 19, 20), ignore=(2,))

    found = best_proposals(proposals, objects, torch.tensor([True, False]))

    assert pairs(found) == [(0, 1)]
    assert pairs(best_proposals(proposals, truth(), BOTH)) == []


def test_a_photo_without_proposals_teaches_nothing():
    none = strips((0, 4), width=20)
    none = type(none)(
        regions=none.regions,
        members=none.members[:0],
        objectness=none.objectness[:0],
        source="none",
    )

    assert len(best_proposals(none, truth((1, 0, 4)), BOTH)) == 0


class Kept:
    """A source of the same proposals for every photo."""

    ledger = frozenset()

    def __init__(self, width=20):
        self.width = width

    def origin(self, key):
        return key

    def get(self, key, load):
        return strips((0, 4), (10, 18), width=self.width)


def test_photos_are_known_by_their_number_and_other_sizes_are_named():
    image = tagged(True, True)
    seen = Annotated(
        tagged=Tagged(name="one", classes=("a", "b"), images=[image]),
        truths=[truth((2, 10, 20), image=0)],
    )
    teacher = MaskTeacher(seen)

    assert teacher.ledger == {Supervision.MASKS, Supervision.TAGS}
    assert pairs(teacher(Bag(image, Kept()))) == [(1, 2)]

    with pytest.raises(ValueError, match=r"black\.png: expected masks of size"):
        MaskTeacher(seen)(Bag(image, Kept(21)))


def test_no_training_takes_masks_without_saying_so(tmp_path):
    data, pipeline = Masked(), Pipeline(settings(), tmp_path)
    teacher = MaskTeacher(Annotated(tagged=data.train(), truths=data.train_truths()))

    with pytest.raises(ValueError, match="ledger names what the teacher consumes"):
        pipeline.train(data.train(), "cim", 0, teacher=teacher)
    marked = pipeline.consuming(Supervision.MASKS)
    assert marked.ledger == pipeline.ledger | {Supervision.MASKS}


def test_a_checkpoint_of_one_teacher_is_not_another_s(tmp_path):
    data = Masked()
    pipeline = Pipeline(settings(), tmp_path).consuming(Supervision.MASKS)
    truths, path = data.train_truths(), tmp_path / "kept"
    of_all = Annotated(tagged=data.train(), truths=truths)
    none = [replace(one, ignore=torch.ones_like(one.ignore)) for one in truths[:1]]
    of_fewer = replace(of_all, truths=[*none, *truths[1:]])
    learn = partial(pipeline.train, data.train(), "cim", 0, checkpoint=path, steps=2)
    learn(teacher=MaskTeacher(of_all))

    learn(teacher=MaskTeacher(of_all))
    with pytest.raises(CheckpointError, match="taught"):
        learn(teacher=MaskTeacher(of_fewer))
