"""For all tests: shapes of arrays checked at run time, and no test that leaves torch or NumPy changed."""

import signal
from collections.abc import Iterator

import hypothesis
import jaxtyping
import numpy as np
import pytest

# Before anything of the package is loaded. Left out are the subpackages whose own shape errors are tested, and
# which take what is not an array yet.
CHECKED = (
    "caloforge.flows",
    "caloforge.preprocessing",
    "caloforge.models",
    "caloforge.noise",
    "caloforge.seeding",
)
_hook = jaxtyping.install_import_hook(CHECKED, "beartype.beartype")

# Tests send interrupts to processes that they start, and these would ignore them where this one does, as jobs that a
# shell runs in the background do.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

# The times of a shared machine are no property of the code.
hypothesis.settings.register_profile("caloforge", deadline=None, derandomize=True)
hypothesis.settings.load_profile("caloforge")


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--device", default="cpu", help="torch device of the tests that can run on any (default: cpu)"
    )


@pytest.fixture(scope="session")
def device(request: pytest.FixtureRequest):
    """The device asked for with ``--device``."""
    import torch

    return torch.device(request.config.getoption("--device"))


@pytest.fixture(autouse=True)
def _global_state() -> Iterator[None]:
    """Give every test the same global random numbers, and fail it if it seeds them or changes a default.

    Drawing from torch's generator is allowed (a new layer does), since it starts from the same seed for every
    test; setting its seed, or touching NumPy's global generator at all, is not. Library code that must not even
    draw is tested with :func:`support.checks.no_global_draws`.
    """
    import torch

    def numpy_state() -> tuple[bytes, int]:
        state = np.random.get_state(legacy=False)  # noqa: NPY002 - the global state is what is guarded
        return state["state"]["key"].tobytes(), state["state"]["pos"]

    def settings() -> dict[str, object]:
        return {
            "torch's default dtype": torch.get_default_dtype(),
            "torch's number of threads": torch.get_num_threads(),
            "torch's global seed": torch.initial_seed(),
            "torch's deterministic mode": torch.are_deterministic_algorithms_enabled(),
            "gradients being on": torch.is_grad_enabled(),
            "NumPy's global random state": numpy_state(),
        }

    outside = settings()
    state = torch.get_rng_state()
    torch.manual_seed(20_210_611)
    before = settings()
    yield
    after = settings()
    torch.set_rng_state(state)
    torch.set_default_dtype(outside["torch's default dtype"])
    torch.set_num_threads(outside["torch's number of threads"])
    torch.use_deterministic_algorithms(outside["torch's deterministic mode"])
    torch.set_grad_enabled(outside["gradients being on"])
    changed = [name for name in before if before[name] != after[name]]
    assert not changed, f"the test changed {', '.join(changed)}"
