"""Every command of ``flask ailydian``: importing this registers them."""

from . import ab as ab
from . import audit as audit
from . import costs as costs
from . import deploy as deploy
from . import doctor as doctor
from . import infer as infer
from . import jobs as jobs
from . import key as key
from . import metrics as metrics
from . import models as models
from . import optimize as optimize
from . import plan as plan
from . import privacy as privacy
from . import router as router
from . import schema as schema
from . import settings as settings
