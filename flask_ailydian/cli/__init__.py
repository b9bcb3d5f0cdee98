"""The command-line door: ``flask ailydian …``."""

from .group import ailydian as ailydian
