"""Generation: one engine for every model, and long runs as resumable shards."""

from caloforge.energies import EnergySource, GivenEnergies, Spectrum
from caloforge.generation.engine import Precision, ShowerGenerator, block_size, load_model
from caloforge.generation.job import GenerationJob, run_job

__all__ = [
    "EnergySource",
    "GenerationJob",
    "GivenEnergies",
    "Precision",
    "ShowerGenerator",
    "Spectrum",
    "block_size",
    "load_model",
    "run_job",
]
