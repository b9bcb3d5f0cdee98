"""What is kept of an answer, for whom, and why: decided per domain from the settings."""

from __future__ import annotations

import dataclasses
import typing as t

from ..settings import Settings

DETAILS = ("off", "summary", "full")
#: Domains whose fingerprints die with the person's key.
SENSITIVE = frozenset({"medical", "legal"})
DAY = 86_400
#: Logs of high-risk systems are kept at least this many days.
FLOOR_DAYS = 183


def pairs(key: str, entries: t.Iterable[str]) -> dict[str, str]:
    """Read ``domain=value`` entries."""
    found = {}
    for entry in entries:
        name, equals, value = entry.partition("=")
        if not equals or not name or not value:
            raise RuntimeError(f"{key} takes entries of the form domain=value, not {entry!r}.")
        found[name] = value
    return found


@dataclasses.dataclass(frozen=True)
class Policy:
    """The rules of one app."""

    results: dict[str, str]
    purposes: dict[str, str]
    retention_days: dict[str, int]
    sealed_identity: bool

    @classmethod
    def of(cls, settings: Settings) -> Policy:
        """Read and check the settings; raise ``RuntimeError`` naming the key."""
        results = pairs("AILYDIAN_AUDIT_RESULT", settings.audit_result)
        for value in results.values():
            if value not in DETAILS:
                raise RuntimeError(f"AILYDIAN_AUDIT_RESULT knows {', '.join(DETAILS)}.")
        purposes = pairs("AILYDIAN_PURPOSE", settings.purpose)
        if any(len(value) > 64 for value in purposes.values()):
            raise RuntimeError("AILYDIAN_PURPOSE takes at most 64 characters each.")
        kept = {}
        for domain, value in pairs("AILYDIAN_RETENTION_DAYS", settings.retention_days).items():
            if not value.isdecimal() or int(value) < FLOOR_DAYS:
                raise RuntimeError(f"AILYDIAN_RETENTION_DAYS takes whole days from {FLOOR_DAYS}.")
            kept[domain] = int(value)
        return cls(results, purposes, kept, settings.audit_identity == "sealed")

    def result(self, domain: str | None, value: t.Any) -> t.Any:
        """Return what is kept of a result."""
        detail = self.results.get(domain or "*", self.results.get("*", "full"))
        if detail == "off" or value is None:
            return None
        if detail == "summary" and isinstance(value, dict) and "prediction" in value:
            return {"prediction": value["prediction"]}
        return value

    def purpose(self, domain: str | None) -> str | None:
        """Return the purpose that a row of *domain* stands under."""
        return self.purposes.get(domain or "*", self.purposes.get("*"))

    def keeps_days(self, domain: str | None) -> int:
        """Return for how many days rows of *domain* are kept; never under the floor."""
        default = 6 * 365 + 2 if domain in ("medical", None) else FLOOR_DAYS
        return self.retention_days.get(domain or "*", self.retention_days.get("*", default))
