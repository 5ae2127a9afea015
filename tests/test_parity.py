import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from benchmarks.parity import main

Edit = Callable[[dict[str, np.ndarray]], None]
GOLDEN = Path(__file__).parent / "golden"
SMALL = {
    "refinement": "refinement_04_b1.npz",
    "box miners": "boxminers_02.npz",
    "trajectory": "trajectory_mist.npz",
}


def change(
    folder: Path, file: str, edit: Callable[[dict[str, np.ndarray]], None]
) -> int:
    """The exit status on one golden file, edited and renamed."""
    with np.load(GOLDEN / file) as archive:
        arrays = dict(archive)
    edit(arrays)
    np.savez(folder / "any_name.npz", **arrays)
    return main(["--golden", str(folder)])


def nudge(key: str, by: float) -> Edit:
    """Adds to the last entry of an array."""

    def edit(arrays: dict[str, np.ndarray]) -> None:
        flat = arrays[key].reshape(-1).copy()
        flat[-1] = ~flat[-1] if flat.dtype == bool else flat[-1] + by
        arrays[key] = flat.reshape(arrays[key].shape)

    return edit


def test_agrees_with_the_authors(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--golden", str(GOLDEN)]) == 0

    printed = capsys.readouterr().out
    for kind in SMALL:
        assert f"{kind}: 0 files" not in printed
    assert printed.endswith("all agree\n")


@pytest.mark.parametrize("file", SMALL.values())
def test_the_name_does_not_matter(tmp_path: Path, file: str) -> None:
    assert change(tmp_path, file, lambda arrays: None) == 0


@pytest.mark.parametrize(
    ("kind", "key", "by"),
    [
        ("refinement", "cim_pseudo_index", 1),
        ("refinement", "cim_pseudo_class", 1),
        ("refinement", "cim_pseudo_weight", 1e-4),
        ("refinement", "cim_not_oversized", 1),
        ("refinement", "cim_label", 1),
        ("refinement", "cim_integrity_target", 1),
        ("refinement", "cim_weight", float("nan")),
        ("refinement", "mist_pseudo_index", 1),
        ("refinement", "mist_label", 1),
        ("refinement", "loss_bag", 1e-3),
        ("refinement", "grad_integrity_logits", 1e-3),
        ("refinement", "grad_mil_det_logits", 1e-3),
        ("refinement", "loss_cluster", 1e-3),
        ("refinement", "branch", 1),
        ("box miners", "oicr_label", 1),
        ("box miners", "oicr_pcl_weight", 1e-3),
        ("box miners", "pcl_assignment", 1),
        ("box miners", "mist_weight", 1e-3),
        ("box miners", "loss_pcl", 1e-3),
        ("trajectory", "losses", 1e-2),
        ("trajectory", "foreground", 1),
        ("trajectory", "final.refine_iou.2.bias", 1e-3),
    ],
)
def test_any_difference_fails(tmp_path: Path, kind: str, key: str, by: float) -> None:
    assert change(tmp_path, SMALL[kind], nudge(key, by)) == 1


@pytest.mark.parametrize("key", ["cim_weight", "loss_bag", "mist_pseudo_class", "cls"])
def test_a_missing_quantity_fails(tmp_path: Path, key: str) -> None:
    def edit(arrays: dict[str, np.ndarray]) -> None:
        del arrays[key]

    assert change(tmp_path, SMALL["refinement"], edit) == 1


def test_an_unknown_quantity_fails(tmp_path: Path) -> None:
    def edit(arrays: dict[str, np.ndarray]) -> None:
        arrays["loss_new"] = np.zeros(())

    assert change(tmp_path, SMALL["box miners"], edit) == 1


def test_inputs_alone_fail(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    def edit(arrays: dict[str, np.ndarray]) -> None:
        for key in arrays.keys() - {"boxes", "scores", "image_label"}:
            del arrays[key]

    assert change(tmp_path, SMALL["box miners"], edit) == 1
    assert "any_name.npz: nothing to check in it" in capsys.readouterr().err


def test_the_branch_may_be_in_the_name_alone(tmp_path: Path) -> None:
    with np.load(GOLDEN / SMALL["refinement"]) as archive:
        arrays = {key: archive[key] for key in archive.files if key != "branch"}

    np.savez(tmp_path / "other_b1.npz", **arrays)
    assert main(["--golden", str(tmp_path)]) == 0
    (tmp_path / "other_b1.npz").rename(tmp_path / "other.npz")
    assert main(["--golden", str(tmp_path)]) == 1


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"not a zip file at all",
        (GOLDEN / "boxminers_02.npz").read_bytes()[:5000],
        (GOLDEN / "boxminers_02.npz").read_bytes()[:40]
        + b"\0" * 400
        + (GOLDEN / "boxminers_02.npz").read_bytes()[440:],
    ],
    ids=["empty", "text", "truncated", "overwritten"],
)
def test_a_broken_file_fails_beside_good_ones(
    tmp_path: Path, content: bytes, capsys: pytest.CaptureFixture[str]
) -> None:
    shutil.copy(GOLDEN / "boxminers_01.npz", tmp_path)
    (tmp_path / "broken.npz").write_bytes(content)

    assert main(["--golden", str(tmp_path)]) == 1
    assert "broken.npz: " in capsys.readouterr().err


def test_a_pickle_is_never_loaded(tmp_path: Path) -> None:
    np.savez(tmp_path / "object.npz", losses=np.array([print], dtype=object))

    assert main(["--golden", str(tmp_path)]) == 1


@pytest.mark.parametrize("arrays", [{}, {"strange": np.zeros(3)}])
def test_an_unknown_kind_fails(tmp_path: Path, arrays: dict[str, np.ndarray]) -> None:
    np.savez(tmp_path / "file.npz", **arrays)

    assert main(["--golden", str(tmp_path)]) == 1


def test_an_empty_folder_fails(tmp_path: Path) -> None:
    assert main(["--golden", str(tmp_path)]) == 1


def test_wrong_usage_is_refused(tmp_path: Path) -> None:
    for arguments in ([], ["--golden", str(tmp_path / "missing")]):
        with pytest.raises(SystemExit) as refusal:
            main(arguments)
        assert refusal.value.code == 2
