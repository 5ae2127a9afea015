import pytest

from tests.evaluation.drawing import found, truth
from wsis.evaluation import evaluate


def test_percent_of_all_and_of_each_class() -> None:
    truths = [truth((1, 0, 10), (2, 10, 20))]
    predictions = [found((0.9, 1, 0, 8), (0.8, 3, 0, 8))]

    evaluation = evaluate(predictions, truths, ["cat", "dog", "cow"])

    # IoU 0.8 of cat, dog missed, no cow there.
    assert evaluation.metrics == pytest.approx(
        {
            "mAP25": 50,
            "mAP50": 50,
            "mAP70": 50,
            "mAP75": 50,
            "AP": 35,
            "AP50": 50,
            "AP75": 50,
            "APs": 35,
        }
    )
    assert evaluation.per_class["cat"]["AP"] == pytest.approx(70)
    assert evaluation.per_class["cat"]["APl"] is None
    assert evaluation.per_class["dog"]["mAP50"] == 0
    assert set(evaluation.per_class["cow"].values()) == {None}


def test_order_of_predictions_images_is_free() -> None:
    truths = [truth((1, 0, 4), image=1), truth((1, 5, 9), image=2)]
    predictions = [found((0.9, 1, 0, 4), image=1), found((0.8, 1, 5, 9), image=2)]

    one = evaluate(predictions, truths, ["cat"])

    assert one == evaluate(predictions[::-1], truths, ["cat"])


def test_refuses_two_classes_of_one_name() -> None:
    with pytest.raises(ValueError, match="classes to differ"):
        evaluate([found()], [truth((1, 0, 4))], ["cat", "cat"])
