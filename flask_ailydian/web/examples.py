"""Requests that work as they stand on a host with the demo models; a test sends each of them.

What they need beside `flask ailydian models demo` is named in ``NEEDS``.
"""

from __future__ import annotations

import copy
import typing as t

from ..demo import help_desk
from ..demo import NAME as CHEST
from ..demo import VERSION

#: A grey square of 8 by 8 pixels.
PICTURE = (
    "data:image/png;base64,iVBORw0KGgoAAAANSUhEUgAAAAgAAAAICAIAAABLbSncAAAAD0lEQVR42mNowAEYhpYE"
    "AILzYAEllbNjAAAAAElFTkSuQmCC"
)
DESK = help_desk.NAME
JSON, FORM = "application/json", "multipart/form-data"

#: What has to be there first: an answer's id, a job's id, a second version, a storage, an A/B test.
NEEDS = {
    "feedback": "answer",
    "job": "job",
    "cancel_job": "job",
    "create_ab_test": "second version",
    "ab_test": "test",
    "split_ab_test": "test",
    "stop_ab_test": "test",
    "submit_job": "storage",
}
SOME_ID = "01a20d79-2885-765b-b0b5-9f0821f3afde"

BODIES: dict[str, dict[str, t.Any]] = {
    "infer": {
        JSON: {"model_name": CHEST, "image": PICTURE, "top_k": 3, "user_id": "u-42"},
        FORM: {"model_name": CHEST, "top_k": 3},
    },
    "infer_batch": {
        JSON: {"model_name": CHEST, "items": [{"image": PICTURE}, {"image": PICTURE}]},
        FORM: {"model_name": CHEST},
    },
    "upload_model": {FORM: {"model_name": "photo", "model_version": "v1", "domain": "civic"}},
    "change_model": {JSON: {"description": "For lessons only."}},
    "create_ab_test": {
        JSON: {
            "test_name": "first-test",
            "model_a": f"{CHEST}:{VERSION}",
            "model_b": f"{CHEST}:v1.0.1",
            "traffic_split_percent": 50,
        }
    },
    "split_ab_test": {JSON: {"traffic_split_percent": 20}},
    "feedback": {JSON: {"id": SOME_ID, "rating": 5}},
    "route": {JSON: {"query": "Randevu almak istiyorum", "domain": "chat"}},
    "query": {JSON: {"query": "Randevu almak istiyorum", "domain": "chat", "backend": "onnx"}},
    "submit_job": {
        JSON: {"model_name": CHEST, "manifest": [{"storage": "archive", "path": "one.png"}]},
        FORM: {"model_name": CHEST},
    },
    "oip_infer": {
        JSON: {"inputs": [{"name": "text", "datatype": "BYTES", "shape": [1], "data": ["otopark"]}]}
    },
}
BODIES["oip_infer_version"] = BODIES["oip_infer"]

_DAYS = {"from": "2026-01-01", "to": "2026-12-31"}
QUERIES: dict[str, dict[str, t.Any]] = {
    "daily_metrics": {"model": CHEST, **_DAYS},
    "costs": _DAYS,
    "audit_logs": {"kind": "inference"},
}


def path_of(endpoint: str, name: str) -> str:
    """Return the example of a parameter in an address."""
    if name == "user_id":
        return "u-42"
    if name == "id":
        return SOME_ID
    if name == "version":
        return help_desk.VERSION if endpoint.startswith("oip") else VERSION
    if "ab_test" in endpoint:
        return "first-test"
    return DESK if endpoint.startswith("oip") else CHEST


def added(document: dict[str, t.Any]) -> dict[str, t.Any]:
    """Put the examples into a description, and return it."""
    for operation in (o for path in document["paths"].values() for o in path.values()):
        endpoint = operation["operationId"]
        for media_type, value in BODIES.get(endpoint, {}).items():
            operation["requestBody"]["content"][media_type]["example"] = copy.deepcopy(value)
        for parameter in operation.get("parameters", []):
            if parameter["in"] == "path":
                parameter["example"] = path_of(endpoint, parameter["name"])
            elif parameter["name"] in QUERIES.get(endpoint, {}):
                parameter["example"] = QUERIES[endpoint][parameter["name"]]
    return document
