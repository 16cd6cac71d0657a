"""The classifier test: a network is told to tell generated showers from reference ones."""
