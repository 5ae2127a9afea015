"""Runs on the Hugging Face Hub: the folder of a run, and a card that says what it is.

Not by huggingface_hub's ``ModelHubMixin``: it sets attributes of its own, which a
frozen value cannot have, and would load the hub's client with every run.
"""

from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

import yaml

from wsis.runs._card import MODEL, BaseCard, RunError

if TYPE_CHECKING:
    from wsis.runs._trained import Trained


def push(
    model: "Trained", repo: str, *, private: bool | None, token: str | None
) -> str:
    """Upload a model and its card as one commit; return the commit's address.

    Digests of single photos stay here: they tell who else has such a photo.
    """
    from huggingface_hub import HfApi

    api = HfApi(token=token)
    with TemporaryDirectory() as folder:
        place = Path(folder) / "run"
        card = replace(model, photos=()).save(place).card
        (place / "README.md").write_text(card_text(card, repo), encoding="utf-8")
        try:
            there = api.create_repo(repo, private=private, exist_ok=True)
            done = api.upload_folder(
                repo_id=there.repo_id,
                folder_path=place,
                commit_message=f"Add a {card.WHAT} of wsis",
            )
        except (OSError, ValueError) as error:
            raise RunError(
                f"cannot upload to {repo} on the Hugging Face Hub: {error}; log in "
                "with hf auth login, and name a repository as USER/NAME"
            ) from error
    return str(done)


def fetch(
    repo: str, names: tuple[str, ...], revision: str | None, token: str | None
) -> Path:
    """Return a folder with a model's card and weights, downloaded if need be.

    Raises:
        RunError: if there are none, or the hub does not answer.
    """
    from huggingface_hub import snapshot_download

    try:
        place = snapshot_download(
            repo, revision=revision, token=token, allow_patterns=[*names, MODEL]
        )
    except (OSError, ValueError) as error:
        raise RunError(
            f"expected a folder, or a repository of the Hugging Face Hub that can be "
            f"read, got {repo}: {error}"
        ) from error
    return Path(place)


def card_text(card: BaseCard, repo: str) -> str:
    """Return a model card: classes, labels consumed, settings, and how to load it."""
    head = {
        "library_name": "wsis",
        "pipeline_tag": "image-segmentation",
        "tags": ["instance-segmentation", "weakly-supervised"],
    }
    facts = {
        "classes": ", ".join(card.model_dump().get("classes", ())),
        "labels consumed": ", ".join(card.supervision),
        "trained on": card.data,
        "photos seen, repeats included": f"{card.images:,}",
        "seed": card.seed,
        "versions": ", ".join(f"{k} {v}" for k, v in card.versions.items()),
        "commit": card.commit or "unknown",
    }
    rows = "\n".join(
        f"| {name} | {str(value).replace('|', chr(92) + '|')} |"
        for name, value in facts.items()
        if value
    )
    return f"""---
{yaml.safe_dump(head, sort_keys=False)}---

# {repo}

A {card.WHAT} of wsis: instance masks learned from image-level tags.

| | |
|---|---|
{rows}

```python
import wsis

found = wsis.Run.from_pretrained("{repo}").predict("photo.jpg")
```

Scores rank instances; they are no probabilities. `{card.FILE}` has all settings.
"""
