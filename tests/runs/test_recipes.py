import pytest

from tests.drawn import Squares
from wsis.data import Pointed, Scenes
from wsis.plugins import SettingError, UnknownPartError
from wsis.runs import recipes
from wsis.runs.pipeline import Pipeline
from wsis.runs.recipes import Recipe, UnknownRecipeError
from wsis.runs.settings import Part, Settings, SettingsError

OWN = """
description = "mine"
data = "scenes:train_images=4"
miner = "mist:reading=box"

[settings]
backbone = "efficientnet_lite0:weights=random"
train_sides = [64, 96]
schedule.epochs = 2
"""


def test_every_recipe_that_comes_with_wsis_is_whole():
    assert set(recipes.names()) >= {
        "coco-cim-r50",
        "paper-small",
        "photos-small",
        "scenes-small",
        "voc12-cim-hrnet48",
        "voc12-cim-points",
        "voc12-cim-r50",
        "voc12-cim-vgg16",
    }
    for name in recipes.names():
        recipe = Recipe.read(name)
        assert recipe.description.endswith("."), name
        assert recipe.miner.build("miners"), name


def test_the_papers_recipe_is_the_papers():
    recipe = Recipe.read("voc12-cim-r50")
    settings, schedule = recipe.settings, recipe.settings.schedule

    assert recipe.data == Part(name="voc")
    assert recipe.miner == Part(name="cim")
    assert settings.backbone == Part(name="resnet50")
    assert settings.head == Part(name="mask_fuse", settings={"width": "4096"})
    assert settings.train_sides == settings.test_sides == (480, 576, 688, 864, 1200)
    assert settings.train_flips
    assert settings.test_flips
    assert (settings.resize, settings.max_side) == ("shorter", 2000)
    assert (schedule.optimizer, schedule.lr, schedule.momentum) == ("sgd", 5e-4, 0.9)
    assert schedule.weight_decay == 5e-4
    assert (schedule.iterations, schedule.milestones) == (90_000, (60_000,))
    assert schedule.images(10_582) == 180_000
    selection = settings.selection
    assert (selection.threshold, selection.nms, selection.limit) == (1e-5, 0.3, 100)
    assert Recipe.read("coco-cim-r50").settings.schedule.iterations == 480_000


def test_overrides_change_one_setting_of_a_recipe_and_no_other():
    base = Recipe.read("voc12-cim-r50").settings
    changed = Settings.read(
        ["schedule.lr=0.01", "head.width=8", "backbone.weights=random"], base
    )

    assert changed.schedule.lr == 0.01
    assert changed.schedule.milestones == (60_000,)
    assert changed.head == Part(name="mask_fuse", settings={"width": "8"})
    assert changed.backbone.settings == {"weights": "random"}
    assert changed.train_sides == base.train_sides
    assert Settings.read([], base) == base


def test_a_file_of_ones_own_is_read(tmp_path):
    path = tmp_path / "mine.toml"
    path.write_text(OWN, "utf-8-sig")  # as Notepad writes it
    recipe = Recipe.read(str(path))

    assert recipe.name == "mine"
    assert recipe.miner == Part.parse("mist:reading=box")
    assert recipe.settings.train_sides == (64, 96)
    assert recipe.settings.schedule.epochs == 2


def test_differences_name_what_is_not_the_same():
    one, other = Recipe.read("voc12-cim-r50"), Recipe.read("coco-cim-r50")

    assert recipes.differences(one, one) == []
    assert recipes.differences(one, other) == [
        ("data", "voc", "coco"),
        ("schedule.iterations", 90_000, 480_000),
        ("schedule.milestones", [60_000], [400_000]),
    ]
    own = {key for key, _, _ in recipes.differences(one, recipes.suited())}
    assert {"freeze", "head", "head.width", "head.reduced"} <= own


@pytest.mark.parametrize(
    ("old", "new", "error", "message"),
    [
        ("miner", "minr", SettingsError, "did you mean 'miner'"),
        ("train_sides", "train_side", SettingsError, "did you mean 'train_sides'"),
        ("schedule.epochs", "schedule.epoch", SettingsError, "'schedule.epochs'"),
        ("[64, 96]", "[8]", SettingsError, "greater than or equal to 32"),
        ("weights=", "weigths=", SettingError, "did you mean 'weights'"),
        ("mist:", "mitz:", UnknownPartError, "did you mean 'mist'"),
        ("scenes:", "scnes:", UnknownPartError, "did you mean 'scenes'"),
        ("train_images=", "train_image=", SettingError, "did you mean 'train_images'"),
        ("[settings]", "[settings", SettingsError, "expected TOML"),
        ('description = "mine"', "", SettingsError, "expected description"),
    ],
)
def test_wrong_files_are_refused_with_the_nearest_name(old, new, error, message):
    with pytest.raises(error, match=message):
        Recipe.parse("mine", OWN.replace(old, new, 1))


def test_the_message_names_the_file(tmp_path):
    path = tmp_path / "mine.toml"
    path.write_text("description = 3")

    with pytest.raises(SettingsError, match=r"mine\.toml: expected description"):
        Recipe.read(str(path))


def test_unknown_recipes_are_named_with_the_nearest():
    with pytest.raises(UnknownRecipeError, match="did you mean 'voc12-cim-r50'"):
        Recipe.read("voc12-cim-r5")


def test_the_sampler_shown_is_the_one_that_runs():
    assert Recipe.read("scenes-small").values()["sampler"] == "anti_noise"
    assert recipes.suited().values()["sampler"] == "anti_noise"


def test_photos_and_scenes_have_their_recipes_where_none_is_named(tmp_path):
    photos = Pipeline.of(data=Squares(), cache=tmp_path, device="cpu")
    scenes = Pipeline.of(data=Scenes(), cache=tmp_path, device="cpu")
    changed = Pipeline.of(
        data=Squares(), settings=["schedule.epochs=3"], cache=tmp_path, device="cpu"
    )

    assert photos.settings == Recipe.read("photos-small").settings
    assert recipes.suited(Squares()).miner == Part(name="apart")
    assert recipes.suited(Scenes()).miner == Part(name="cim")
    assert scenes.settings == Recipe.read("scenes-small").settings
    assert Pipeline.of(cache=tmp_path, device="cpu").settings == Settings()
    pointed = Pointed(source=Scenes(), file=tmp_path / "points.csv")
    assert recipes.suited(pointed) == recipes.suited(Scenes())
    assert changed.settings.schedule.images(10) == 30
    assert not changed.settings.anti_noise


def test_the_paper_at_small_size_has_every_part_of_cim():
    recipe = Recipe.read("paper-small")
    sampler = recipe.settings.sampler_of(recipe.miner)

    assert (recipe.miner.name, sampler.name) == ("cim", "anti_noise")
    assert recipe.settings == Settings()


@pytest.mark.parametrize(
    ("photos", "images"), [(20, 1400), (697, 1400), (5000, 10_000)]
)
def test_training_on_own_photos_is_as_long_as_the_photos_ask_for(photos, images):
    schedule = Recipe.read("photos-small").settings.schedule

    assert schedule.images(photos) == images
