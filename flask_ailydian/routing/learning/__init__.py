"""Routers that learn from a deployment's own outcomes; offline work, never on a query's way."""
