"""Training state in one safetensors file: weights, optimiser, generators, progress."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor, nn

from wsis._support.files import atomic_write, parse_json


class CheckpointError(ValueError):
    """A checkpoint is damaged or belongs to another run."""


@dataclass(frozen=True, slots=True, eq=False)
class TrainingState:
    """Everything that training changes, apart from its progress.

    Args:
        model: its weights.
        optimizer: its moments.
        generators: by name.
    """

    model: nn.Module
    optimizer: torch.optim.Optimizer
    generators: dict[str, torch.Generator]

    def save(self, path: Path, run: str, progress: dict[str, Any]) -> None:
        """Write everything atomically; ``run`` says what it belongs to."""
        weights = self.model.state_dict()
        tensors = {f"model.{key}": value for key, value in weights.items()}
        for i, state in self.optimizer.state_dict()["state"].items():
            tensors |= {f"optimizer.{i}.{k}": v for k, v in state.items()}
        for name, source in self.generators.items():
            tensors[f"generator.{name}"] = source.get_state()
        metadata = {"run": run, "progress": json.dumps(progress)}
        with atomic_write(path) as temporary:
            save_file(
                {k: v.contiguous() for k, v in tensors.items()}, temporary, metadata
            )

    def load(self, path: Path, run: str) -> dict[str, Any]:
        """Restore everything and return the progress.

        Raises:
            CheckpointError: if the file is damaged or belongs to another run.
        """
        try:
            with safe_open(path, framework="pt") as file:
                metadata = file.metadata() or {}
                tensors = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118
        except SafetensorError as error:
            raise CheckpointError(f"{path} is damaged ({error}); delete it") from None
        if metadata.get("run") != run:
            raise CheckpointError(
                f"expected {path} to be a checkpoint of this run, {run}; it belongs to "
                f"{metadata.get('run')}; choose another folder or delete it"
            )
        self.model.load_state_dict(_under(tensors, "model."))
        state: dict[int, dict[str, Tensor]] = {}
        for key, value in _under(tensors, "optimizer.").items():
            i, _, name = key.partition(".")
            state.setdefault(int(i), {})[name] = value
        groups = self.optimizer.state_dict()["param_groups"]
        self.optimizer.load_state_dict({"state": state, "param_groups": groups})
        for name, source in self.generators.items():
            source.set_state(tensors[f"generator.{name}"])
        progress: dict[str, Any] = parse_json(metadata["progress"])
        return progress


def _under(tensors: dict[str, Tensor], prefix: str) -> dict[str, Tensor]:
    return {
        k.removeprefix(prefix): v for k, v in tensors.items() if k.startswith(prefix)
    }
