"""Shapes and types are checked at run time in every test."""

import os
import signal

import torch
from hypothesis import settings
from jaxtyping import install_import_hook

install_import_hook("wsis", "beartype.beartype")

# How long an example takes says how busy the machine is. Examples are the same in every
# run.
settings.register_profile("wsis", deadline=None, derandomize=True)
settings.load_profile("wsis")

if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    # As shells start what runs in the background.
    signal.signal(signal.SIGINT, signal.default_int_handler)

if "PYTEST_XDIST_WORKER" in os.environ:
    # Workers share the cores: more threads than these make all of them wait.
    torch.set_num_threads(1)
