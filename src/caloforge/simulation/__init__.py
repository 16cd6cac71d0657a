"""Real Geant4: showers of any calorimeter that has a material stack."""

from caloforge.production import run_job
from caloforge.simulation.budget import MaterialBudget, material_budget, why_not_simulatable
from caloforge.simulation.data import DataSets, Geant4DataError, find_data
from caloforge.simulation.job import SimulationJob
from caloforge.simulation.materials import MaterialFacts
from caloforge.simulation.particles import PARTICLES
from caloforge.simulation.physics import PHYSICS_LISTS

__all__ = [
    "PARTICLES",
    "PHYSICS_LISTS",
    "DataSets",
    "Geant4DataError",
    "MaterialBudget",
    "MaterialFacts",
    "SimulationJob",
    "find_data",
    "material_budget",
    "run_job",
    "why_not_simulatable",
]
