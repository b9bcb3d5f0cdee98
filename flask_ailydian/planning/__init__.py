"""How many machines a load needs: measured here, then reckoned by a model of the queue."""
