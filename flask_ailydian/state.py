"""What the extension keeps per app, behind ``app.extensions["ailydian"]``."""

from __future__ import annotations

import dataclasses
import typing as t

from flask import current_app
from werkzeug.local import LocalProxy

from .access import Gate
from .api_keys import ApiKeys
from .audit.fingerprint import Fingerprint
from .audit.ledger import Ledger
from .audit.privacy import Privacy
from .experiments.feedback import Feedback
from .experiments.service import Experiments
from .inference import Inference
from .jobs.service import Jobs
from .lifecycle import Lifecycle
from .metrics.service import Metrics
from .prediction import Given
from .prediction import Patience
from .prediction import Prediction
from .redis_link import RedisLink
from .registry import Registry
from .routing.costs import Costs
from .routing.router import Router
from .routing.turn import Asked
from .serving import Serving
from .settings import Settings
from .tables import Tables


@dataclasses.dataclass(frozen=True)
class State:
    """Everything one app has of this extension; ``current_ailydian`` stands for it."""

    settings: Settings
    db: t.Any
    tables: Tables
    gate: Gate
    api_keys: ApiKeys
    registry: Registry
    serving: Serving
    prediction: Prediction
    inference: Inference
    audit: Ledger
    fingerprint: Fingerprint
    lifecycle: Lifecycle
    privacy: Privacy
    experiments: Experiments
    feedback: Feedback
    metrics: Metrics
    router: Router
    costs: Costs
    jobs: Jobs
    redis: RedisLink | None

    def predict(
        self,
        model_name: str,
        *,
        image: bytes | None = None,
        text: str | None = None,
        inputs: dict[str, t.Any] | None = None,
        model_version: str | None = None,
        user_id: str | None = None,
        top_k: int | None = None,
        explain: bool = False,
        timeout: float | None = None,
    ) -> dict[str, t.Any]:
        """Answer one input in process, recorded like any other answer.

        :param image: An encoded image file (JPEG, PNG, WebP, TIFF, DICOM).
        :param timeout: Seconds, at most those of the setting.
        :returns: The body of ``POST /inference``.
        """
        given = Given(
            model_name,
            image=image,
            text=text,
            inputs=inputs,
            model_version=model_version,
            user_id=user_id,
            top_k=top_k,
            explain=explain,
        )
        return self.inference.answer(lambda: given, patience=Patience(timeout))

    def answer(
        self,
        query: str,
        *,
        domain: str = "chat",
        user_id: str | None = None,
        backend: str = "auto",
        max_tokens: int | None = None,
    ) -> dict[str, t.Any]:
        """Route and answer a query in process, recorded like any other answer.

        :param backend: ``auto``, ``onnx`` or ``3rdparty``.
        :param max_tokens: Of the answer, where it is written; at most what the settings allow.
        :returns: The body of ``POST /query``.
        """
        asked = Asked(query, domain, user_id, backend, max_tokens)
        return self.router.answer(lambda: asked)


def _current() -> State:
    state = current_app.extensions.get("ailydian")
    if state is None:
        raise RuntimeError("This app has no FlaskAilydian: call FlaskAilydian(app) first.")
    return t.cast(State, state)


current_ailydian: State = t.cast(State, LocalProxy(_current))
