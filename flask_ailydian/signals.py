"""What a host may listen to."""

from __future__ import annotations

import blinker

_signals = blinker.Namespace()

#: Sent by the app after an inference was answered and recorded, with ``record``: the audit row
#: as a dict, without any input.
inference_done = _signals.signal("inference-done")

#: Sent by the app when an audit row could not be written, with ``error``: the exception.
audit_failed = _signals.signal("audit-failed")

#: Sent by the app after every inference, answered or not: ``record``, the audit row as a dict;
#: ``model``, the record of the model or ``None``; ``stages``, seconds by name;
#: ``outcome``: success, rejected (the request's fault) or failed (ours).
inference_finished = _signals.signal("inference-finished")

#: Sent by the app once it is decided who should answer a query, with ``id`` and ``decision``:
#: backend, reason, arm, propensity and classification as a dict, without the query.
query_routed = _signals.signal("query-routed")

#: Sent by the app when another backend stands in, with ``id``, ``failed``, ``used`` and ``why``.
fallback_used = _signals.signal("fallback-used")
