"""The command-line door: ``flask ailydian …``."""

from . import ab as ab
from . import audit as audit
from . import costs as costs
from . import deploy as deploy
from . import doctor as doctor
from . import infer as infer
from . import key as key
from . import metrics as metrics
from . import models as models
from . import optimize as optimize
from . import privacy as privacy
from . import router as router
from . import schema as schema
from . import settings as settings
from .group import ailydian as ailydian
