"""Real Geant4: showers of any calorimeter that has a material stack."""
