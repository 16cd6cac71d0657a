"""Long runs as shards: each a pure function of its index, on processes or a cluster, resumable."""
