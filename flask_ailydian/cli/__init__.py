"""The command-line door: ``flask ailydian …``."""

from . import ab as ab
from . import doctor as doctor
from . import infer as infer
from . import metrics as metrics
from . import models as models
from . import schema as schema
from . import settings as settings
from .group import ailydian as ailydian
