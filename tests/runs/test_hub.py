"""Runs go to the Hugging Face Hub and come back, without a network."""

import shutil
from types import SimpleNamespace

import huggingface_hub
import pytest
import torch
import yaml

import wsis
from wsis.runs import Card, Part, Pipeline, RunError, Settings
from wsis.training import Progress

ADDRESS = "https://hub.invalid/user/things/commit/1"


@pytest.fixture
def run(tmp_path):
    settings = Settings.read(["backbone.weights=random", "source.nodes=20"])
    pipeline = Pipeline(settings, tmp_path / "cache")
    data = wsis.Scenes(train_images=2, val_images=1, size=96).train()
    card = Card.of(pipeline, Part.parse("cim"), 3, data)
    card = card.trained(Progress(step=1234))
    model = pipeline.model(len(data.classes), 3).eval()
    return wsis.Run(card=card, model=model, pipeline=pipeline)


@pytest.fixture
def hub(tmp_path, monkeypatch):
    """A folder in the hub's place, and what it was asked for."""
    there, asked = tmp_path / "hub", []

    def create(api, repo, **given):
        asked.append((api.token, repo, given))
        return SimpleNamespace(repo_id=repo)

    def upload(api, *, repo_id, folder_path, commit_message):
        shutil.copytree(folder_path, there / repo_id)
        return ADDRESS

    def download(repo, *, revision, token, allow_patterns):
        asked.append((revision, token, allow_patterns))
        if not (there / repo).is_dir():
            raise FileNotFoundError("no such repository")
        return str(there / repo)

    monkeypatch.setattr(huggingface_hub.HfApi, "create_repo", create)
    monkeypatch.setattr(huggingface_hub.HfApi, "upload_folder", upload)
    monkeypatch.setattr(huggingface_hub, "snapshot_download", download)
    return there, asked


def test_a_run_goes_to_the_hub_and_comes_back(run, hub):
    there, asked = hub

    address = run.push_to_hub("user/things", private=True, token="secret")
    back = wsis.Run.from_pretrained("user/things", revision="v1", device="cpu")

    assert address == ADDRESS
    assert asked == [
        ("secret", "user/things", {"private": True, "exist_ok": True}),
        ("v1", None, ["run.json", "refined.json", "model.safetensors"]),
    ]
    files = sorted(path.name for path in (there / "user/things").iterdir())
    assert files == ["README.md", "model.safetensors", "run.json"]
    assert "secret" not in (there / "user/things/run.json").read_text()
    assert back.classes == run.classes
    weights = back.model.state_dict()
    assert all(
        torch.equal(one, weights[key]) for key, one in run.model.state_dict().items()
    )


def test_the_card_names_classes_and_labels_consumed(run, hub):
    run.push_to_hub("user/things")

    text = (hub[0] / "user/things/README.md").read_text()
    _, head, body = text.split("---\n", 2)
    assert yaml.safe_load(head)["library_name"] == "wsis"
    assert yaml.safe_load(head)["pipeline_tag"] == "image-segmentation"
    assert f"| classes | {', '.join(run.classes)} |" in body
    assert "| labels consumed | tags |" in body
    assert "| photos seen, repeats included | 1,234 |" in body
    assert 'wsis.Run.from_pretrained("user/things")' in body


def test_a_folder_needs_no_hub(run, hub, tmp_path):
    run.save(tmp_path / "saved")

    back = wsis.Run.from_pretrained(tmp_path / "saved", device="cpu")

    assert back.classes == run.classes
    assert hub[1] == []


def test_what_is_not_there_is_named(hub):
    with pytest.raises(RunError, match=r"got user/nothing: no such repository"):
        wsis.Run.from_pretrained("user/nothing")


def test_a_refused_upload_says_how_to_log_in(run, monkeypatch):
    def refuse(*args, **given):
        raise OSError("401 unauthorized")

    monkeypatch.setattr(huggingface_hub.HfApi, "create_repo", refuse)

    with pytest.raises(RunError, match=r"user/things.*401.*hf auth login"):
        run.push_to_hub("user/things")
