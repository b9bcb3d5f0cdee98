"""Models that another server runs, called by the Open Inference Protocol."""
