import subprocess
import sys

import wsis


def test_the_names_a_notebook_needs_and_no_others():
    assert wsis.__all__ == sorted(wsis.__all__)
    assert len(wsis.__all__) <= 15
    assert all(hasattr(wsis, name) for name in wsis.__all__)


def test_help_waits_for_no_torch():
    code = "import sys, wsis.cli; sys.exit('torch' in sys.modules)"

    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_commands_about_proposals_wait_for_no_torchvision():
    code = (
        "import sys, wsis.cli.covering, wsis.cli.storing, wsis.proposals.hed, "
        "wsis.proposals.grouping; sys.exit('torchvision' in sys.modules)"
    )

    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
