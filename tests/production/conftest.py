"""What a toy run must give."""

import numpy as np
import pytest

from caloforge.io import read
from support.toy_jobs import ToyJob, toy_sample


@pytest.fixture
def folder(tmp_path):
    """Where the outputs of a test go; nothing else is in it."""
    path = tmp_path / "here"
    path.mkdir()
    return path


@pytest.fixture
def check_output():
    """The file is what the job says, alone in its folder, and names what was replaced."""

    def check(job: ToyJob, replaced=()):
        expected = toy_sample(job, {event["event"]: event["attempt"] for event in replaced})
        showers = read(job.output)
        np.testing.assert_array_equal(showers.voxels, expected.voxels)
        np.testing.assert_allclose(showers.e_inc, expected.e_inc, rtol=1e-15)  # GeV and back
        wanted = {"seed": job.seed, "cpu_seconds": float(job.n_showers)}
        if job.can_replace:
            wanted["replaced_events"] = list(replaced)
        assert showers.provenance == wanted
        assert [path.name for path in job.output.parent.iterdir()] == [job.output.name]

    return check
