"""A/B tests: who meets which arm, what may be concluded, and when."""
