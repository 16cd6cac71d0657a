"""One figure each: what a process of its own measures. Arguments and results are JSON types."""

import resource
import sys
import time
import warnings
from collections.abc import Callable, Mapping
from dataclasses import asdict
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, final

from caloforge.benchmark.machine import peak_memory
from caloforge.errors import CaloForgeWarning

if TYPE_CHECKING:
    from caloforge.benchmark.timing import Timing
    from caloforge.generation import Precision, ShowerGenerator

__all__ = ["CELLS"]

_MB: Final = 1e6


def measure_model(
    *,
    name: str,
    batch: int,
    threads: int,
    device: str,
    repeats: int,
    max_seconds: float,
    seed: int,
    describe: bool,
    precision: "Precision" = "float32",
    compiled: bool = False,
) -> dict[str, Any]:
    """Time requests to one of our models.

    Args:
        name: Weights or recipe.
        batch: Showers per request.
        threads: Blocks at a time.
        device: Where.
        repeats: Timed repeats.
        max_seconds: Of them all.
        seed: Of the showers.
        describe: Add sizes and work of the model, after its time and memory were taken.
        precision: Of large matrix products.
        compiled: Compile generation first, if there is a compiler.
    """
    from caloforge.benchmark.requests import Requests
    from caloforge.benchmark.subjects import find_subjects, open_subject, spread_energies
    from caloforge.benchmark.timing import time_calls

    (subject,) = find_subjects([name], precision=precision, compiled=compiled)
    begin = time.perf_counter()
    generator = open_subject(subject, device=device)
    load_s = time.perf_counter() - begin
    made = {"precision": generator.precision} | (_compile(generator) if compiled else {"compiled": False})
    e_inc = spread_energies(subject.e_inc_range, batch)
    watch = _Watch(device)
    requests = Requests(generator, e_inc, threads=threads, seed=seed)
    timing = time_calls(requests, repeats=repeats, max_seconds=max_seconds, synchronize=watch.synchronize)
    result = _row(timing, batch) | watch.memory()
    result |= {"load_s": load_s, "path": requests.path} | made
    return result | ({"model": _describe(generator)} if describe else {})


def _compile(generator: "ShowerGenerator") -> dict[str, Any]:
    """Compile, with its seconds, and the reason where it did not work and generation stays as it was."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", CaloForgeWarning)
        begin = time.perf_counter()
        generator.compile()
        seconds = time.perf_counter() - begin
    reasons = [str(warning.message) for warning in caught if issubclass(warning.category, CaloForgeWarning)]
    return {"compiled": generator.compiled, "compile_s": seconds} | (
        {} if generator.compiled else {"not_compiled": " ".join(reasons)}
    )


def _describe(generator: "ShowerGenerator") -> dict[str, Any]:
    from caloforge.benchmark.flops import generate_flops
    from caloforge.benchmark.peers import peer_network

    model = generator.model
    if generator.compiled:
        model.compile_for(())  # the operations of compiled code are not counted
    network = peer_network(model)
    return {
        "n_parameters": model.n_parameters(),
        "dtype": generator.precision
        if generator.precision != "float32"
        else str(next(model.parameters()).dtype).removeprefix("torch."),
        "mflop_per_shower": generate_flops(model, sum(generator.e_inc_range) / 2) / 1e6,
        "block": generator.block,
        "network": None if network is None else asdict(network),
    }


def measure_peer(
    *,
    library: str,
    network: Mapping[str, Any],
    batch: int,
    threads: int,
    device: str,
    repeats: int,
    max_seconds: float,
    seed: int,
    describe: bool,
) -> dict[str, Any]:
    """Time the same network in another library; latent variables and context are given, not made."""
    import torch

    from caloforge.benchmark.flops import count_flops
    from caloforge.benchmark.peers import PeerNetwork, build_peer
    from caloforge.benchmark.timing import time_calls

    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    sizes = PeerNetwork(**network)
    begin = time.perf_counter()
    draw = build_peer(library, sizes, device=device)
    load_s = time.perf_counter() - begin
    generator = torch.Generator().manual_seed(seed)
    z, context = (
        torch.randn(batch, width, generator=generator).to(device) for width in (sizes.features, sizes.context)
    )
    watch = _Watch(device)

    def call(number: int) -> object:
        with torch.inference_mode():
            return draw(z, context).cpu()

    timing = time_calls(call, repeats=repeats, max_seconds=max_seconds, synchronize=watch.synchronize)
    result = _row(timing, batch) | watch.memory() | {"load_s": load_s, "path": sizes.direction}
    result |= {"version": metadata.version(library), "torch_threads": torch.get_num_threads()}
    if describe:
        one = z[:1], context[:1]
        result["model"] = {"mflop_per_shower": count_flops(lambda: draw(*one)) / 1e6, "dtype": "float32"}
    torch.set_num_threads(before)
    return result


def measure_matmul(*, device: str, dtype: str, threads: int) -> dict[str, Any]:
    """The fastest matrix product of this machine."""
    import torch

    from caloforge.benchmark.flops import matmul_peak

    gflops, size = matmul_peak(device=device, dtype=getattr(torch, dtype), threads=threads)
    return {"gflops": gflops, "size": size}


def measure_geant4(
    *,
    geometry: Mapping[str, Any],
    particle: str,
    e_inc_range: tuple[float, float],
    n_showers: int,
    seed: int,
    physics: str,
    production_cut: float,
    geant4_data: str | None,
    folder: str,
) -> dict[str, Any]:
    """Simulate showers with Geant4: processor seconds per shower as its records say, and by the clock."""
    from caloforge.geometry import Geometry
    from caloforge.io import read
    from caloforge.simulation import run_job

    job = geant4_job(
        geometry=Geometry.from_dict(dict(geometry)),
        particle=particle,
        e_inc_range=e_inc_range,
        n_showers=n_showers,
        seed=seed,
        physics=physics,
        production_cut=production_cut,
        geant4_data=geant4_data,
        output=Path(folder) / "geant4.h5",
    )
    begin = time.perf_counter()
    path = run_job(job)
    wall = time.perf_counter() - begin
    known = read(path, geometry=job.geometry).provenance
    children = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss
    return {
        "cpu_s_per_shower": known["cpu_seconds"] / n_showers,
        "wall_s_per_shower": wall / n_showers,
        "peak_MB": children * (1 if sys.platform == "darwin" else 1024) / _MB,
        "geant4": known["geant4"],
        "geant4_data": known["geant4_data"],
    }


def geant4_job(
    *,
    geometry: Any,
    particle: str,
    e_inc_range: tuple[float, float],
    n_showers: int,
    seed: int,
    physics: str,
    production_cut: float,
    geant4_data: str | None,
    output: Path,
) -> Any:
    """The sample of a Geant4 row."""
    from caloforge.benchmark.subjects import spread_energies
    from caloforge.energies import GivenEnergies
    from caloforge.simulation import SimulationJob

    return SimulationJob(
        geometry=geometry,
        particle=particle,
        n_showers=n_showers,
        energies=GivenEnergies(spread_energies(e_inc_range, n_showers)),
        seed=seed,
        output=output,
        physics=physics,
        production_cut=production_cut,
        geant4_data=None if geant4_data is None else Path(geant4_data),
    )


CELLS: Final[dict[str, Callable[..., dict[str, Any]]]] = {
    "model": measure_model,
    "peer": measure_peer,
    "matmul": measure_matmul,
    "geant4": measure_geant4,
}


def _row(timing: "Timing", batch: int) -> dict[str, Any]:
    return {
        "batch": batch,
        "seconds": list(timing.seconds),
        "calls_per_repeat": timing.calls_per_repeat,
        "first_call_s": timing.first_call,
        "warmed_up": timing.warmed_up,
        "processors": timing.processors,
    }


@final
class _Watch:
    """Waits for a device, and knows the greatest memory since it was made."""

    def __init__(self, device: str) -> None:
        import torch

        self._device = torch.device(device)
        self._cuda = self._device.type == "cuda"
        if self._cuda:
            torch.cuda.reset_peak_memory_stats(self._device)

    def synchronize(self) -> None:
        import torch

        if self._cuda:
            torch.cuda.synchronize(self._device)

    def memory(self) -> dict[str, float]:
        import torch

        found = {"peak_MB": peak_memory() / _MB}
        if self._cuda:
            found["device_peak_MB"] = torch.cuda.max_memory_allocated(self._device) / _MB
        return found
