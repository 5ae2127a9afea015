import pytest

from wsis.contracts import Supervision
from wsis.runs.refine import DETECTORS, RefineSettings
from wsis.runs.settings import SettingsError


def test_overrides_reach_every_depth():
    settings = RefineSettings.read(
        DETECTORS["small"],
        ["schedule.epochs=3", "trust.min_score=0.1", "sides=96,128", "flips=false"],
    )

    assert settings.schedule.epochs == 3
    assert settings.schedule.lr == RefineSettings().schedule.lr
    assert settings.trust.min_score == 0.1
    assert settings.sides == (96, 128)
    assert settings.flips is False


def test_the_paper_detector_starts_from_its_own_settings():
    settings = RefineSettings.read(DETECTORS["r50"], ["batch=4"])

    assert (settings.backbone, settings.width, settings.batch) == ("resnet50", 256, 4)
    assert settings.schedule.optimizer == "sgd"
    assert settings.trust.min_score == 0.3


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("shedule.epochs=3", "did you mean 'schedule'"),
        ("schedule.epoch=3", "epoch"),
        ("schedule.epochs=0", "epochs must be positive, got 0"),
        ("schedule.batch=4", "expected batch, the images per step"),
        ("trust.min_score=2", r"min_score must be in \[0, 1\]"),
        ("backbone=vgg16", "'efficientnet_lite0' or 'resnet50'"),
        ("width=4", "greater than or equal to 8"),
        ("width.x=4", "width"),
        ("sides=", "sides"),
        ("flips", "expected key=value, got 'flips'"),
    ],
)
def test_wrong_settings_are_named(text, message):
    with pytest.raises(SettingsError, match=message):
        RefineSettings.read({}, [text])


def test_settings_come_back_from_json():
    settings = RefineSettings.read(DETECTORS["r50"], ["weights=random"])

    assert RefineSettings.model_validate(settings.model_dump(mode="json")) == settings


def test_the_ledger_names_what_the_weights_consumed():
    assert RefineSettings().ledger == {Supervision.IMAGENET}
    assert RefineSettings(weights="random").ledger == frozenset()


@pytest.mark.parametrize(("photos", "images"), [(20, 3600), (147, 3600), (697, 6970)])
def test_few_photos_are_seen_more_often(photos, images):
    assert RefineSettings().paced.images(photos) == images
