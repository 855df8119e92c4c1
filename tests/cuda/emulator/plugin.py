"""pytest -p emulator.plugin: the tests of this run, on the emulated device. tests/cuda/run.py starts it."""

import faulthandler

import emulator


def pytest_configure(config):
    """Begin before any test file is imported, in every worker."""
    emulator.start()
    faulthandler.enable()
