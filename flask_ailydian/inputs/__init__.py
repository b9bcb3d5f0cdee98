"""Untrusted bytes become arrays here: no Flask, no database."""
