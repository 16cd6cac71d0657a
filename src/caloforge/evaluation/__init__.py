"""Comparing showers with showers: features, histograms, distances. Knows no models, so any two files can be compared."""
