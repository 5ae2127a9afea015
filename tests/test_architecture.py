"""Data flows one way: a room imports itself and the rooms before it."""

import ast
from pathlib import Path

import wsis

ROOMS = [
    "_support",
    "contracts",
    "plugins",
    "geometry",
    "data",
    "proposals",
    "features",
    "heads",
    "cues",
    "mining",
    "training",
    "evaluation",
    "runs",
    "report",
    "projects",
    "experiments",
    "testing",
    "cli",
]
PACKAGE = Path(wsis.__file__).parent


def room(path: Path) -> str:
    return path.relative_to(PACKAGE).parts[0].removesuffix(".py")


def imported_rooms(path: Path) -> set[str]:
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom) and node.module:
            if node.module == "wsis":
                found |= {name.name for name in node.names if name.name in ROOMS}
            elif node.module.startswith("wsis."):
                found.add(node.module.split(".")[1])
        elif isinstance(node, ast.Import):
            names = [name.name.split(".") for name in node.names]
            found |= {parts[1] for parts in names if parts[0] == "wsis" and parts[1:]}
    return found


def test_every_room_has_its_place():
    present = {room(path) for path in PACKAGE.rglob("*.py")} - {"__init__", "__main__"}

    assert present == set(ROOMS)


def test_rooms_import_only_themselves_and_rooms_before():
    backwards = [
        f"{path.relative_to(PACKAGE)} imports {other}"
        for path in PACKAGE.rglob("*.py")
        if room(path) in ROOMS
        for other in sorted(imported_rooms(path))
        if ROOMS.index(other) > ROOMS.index(room(path))
    ]

    assert backwards == []


def test_masks_reach_training_in_a_benchs_ceiling_alone():
    """Whoever passes a teacher, or makes the one that knows masks."""
    users: dict[str, set[str]] = {"teacher": set(), "MaskTeacher": set()}
    for path in PACKAGE.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Call):
                name = str(path.relative_to(PACKAGE))
                if any(one.arg == "teacher" for one in node.keywords):
                    users["teacher"].add(name)
                if ast.unparse(node.func).endswith("MaskTeacher"):
                    users["MaskTeacher"].add(name)

    assert users == {
        "teacher": {"experiments/runner.py", "runs/pipeline.py"},
        "MaskTeacher": {"experiments/runner.py"},
    }


def test_what_learns_without_proposals_knows_no_masks():
    truths = {"GroundTruth", "Annotated", "MaskTeacher", "training_truths", "truths"}
    for name in ("training/proposal_free.py", "experiments/_free.py"):
        tree = ast.parse((PACKAGE / name).read_text())
        used = {
            getattr(node, "id", getattr(node, "attr", "")) for node in ast.walk(tree)
        }

        assert used & truths == set()
