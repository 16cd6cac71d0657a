"""Geant4's data sets for the tests here."""

import os

import pytest

from support.geant4 import data_variables


@pytest.fixture(scope="session")
def _data_variables() -> dict[str, str]:
    return data_variables()


@pytest.fixture
def geant4_data(_data_variables: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    """Environment with data for Geant4; the variables, for other processes."""
    for name, value in _data_variables.items():
        monkeypatch.setenv(name, value)
    return dict(os.environ)
