"""The command-line door: ``flask ailydian …``."""

from . import costs as costs
from . import doctor as doctor
from . import infer as infer
from . import models as models
from . import router as router
from . import schema as schema
from . import settings as settings
from .group import ailydian as ailydian
