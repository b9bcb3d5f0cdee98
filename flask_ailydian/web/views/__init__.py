"""Thin views: each reads, calls one function and returns."""
