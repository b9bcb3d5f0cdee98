"""The tables, bound once to the host's ``SQLAlchemy``."""

from .models import bind_tables as bind_tables
from .models import Tables as Tables
