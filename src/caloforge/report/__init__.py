"""The judgement of a sample on one page: runs the metrics, draws the pictures, writes JSON and HTML."""
