"""The trail: events, checkpoints, purges, and the keys of persons."""

from __future__ import annotations

import typing as t

import sqlalchemy as sa
from sqlalchemy.orm import declared_attr
from sqlalchemy.orm import Mapped
from sqlalchemy.orm import mapped_column


class AuditEventMixin:
    """One event of the trail, a link in the chain of one writer; never updated."""

    __tablename__ = "pytorch_audit_events"

    id: Mapped[str] = mapped_column(sa.String(36), primary_key=True)
    chain_id: Mapped[str] = mapped_column(sa.String(36))
    seq: Mapped[int] = mapped_column(sa.BigInteger)
    kind: Mapped[str] = mapped_column(sa.String(32))
    created_us: Mapped[int] = mapped_column(sa.BigInteger, index=True)
    domain: Mapped[str | None] = mapped_column(sa.String(16))
    actor_ref: Mapped[str | None] = mapped_column(sa.String(36))
    subject_ref: Mapped[str | None] = mapped_column(sa.String(36), index=True)
    # Whose key the payload is sealed under.
    sealed_ref: Mapped[str | None] = mapped_column(sa.String(36))
    payload: Mapped[bytes | None] = mapped_column(sa.LargeBinary)
    # Over the inference row of the same id, where there is one.
    record_hash: Mapped[bytes | None] = mapped_column(sa.LargeBinary(32))
    prev_hash: Mapped[bytes] = mapped_column(sa.LargeBinary(32))
    row_hash: Mapped[bytes] = mapped_column(sa.LargeBinary(32))

    @declared_attr.directive
    def __table_args__(cls) -> tuple[t.Any, ...]:
        return (sa.UniqueConstraint("chain_id", "seq"),)


class AuditCheckpointMixin:
    """A signed statement of where every chain stood."""

    __tablename__ = "pytorch_audit_checkpoints"

    number: Mapped[int] = mapped_column(sa.BigInteger, primary_key=True, autoincrement=False)
    created_us: Mapped[int] = mapped_column(sa.BigInteger)
    # The very text that is signed.
    body: Mapped[str] = mapped_column(sa.Text)
    key_id: Mapped[str] = mapped_column(sa.String(32))
    signature: Mapped[bytes] = mapped_column(sa.LargeBinary(64))


class AuditPurgeMixin:
    """A signed statement of which links of a chain retention took away."""

    __tablename__ = "pytorch_audit_purges"

    id: Mapped[str] = mapped_column(sa.String(36), primary_key=True)
    chain_id: Mapped[str] = mapped_column(sa.String(36), index=True)
    first_seq: Mapped[int] = mapped_column(sa.BigInteger)
    last_seq: Mapped[int] = mapped_column(sa.BigInteger)
    created_us: Mapped[int] = mapped_column(sa.BigInteger)
    body: Mapped[str] = mapped_column(sa.Text)
    key_id: Mapped[str] = mapped_column(sa.String(32))
    signature: Mapped[bytes] = mapped_column(sa.LargeBinary(64))


class SubjectMixin:
    """One person's key, wrapped; erasure empties the row and keeps its place."""

    __tablename__ = "pytorch_subjects"

    ref: Mapped[str] = mapped_column(sa.String(36), primary_key=True)
    # A keyed hash of the host's id: whoever has the key finds the row, nobody reads the id off it.
    blind: Mapped[str | None] = mapped_column(sa.String(64), unique=True)
    key_id: Mapped[str | None] = mapped_column(sa.String(32))
    wrapped: Mapped[bytes | None] = mapped_column(sa.LargeBinary)
    identity: Mapped[bytes | None] = mapped_column(sa.LargeBinary)
    created_us: Mapped[int] = mapped_column(sa.BigInteger)
    erased_us: Mapped[int | None] = mapped_column(sa.BigInteger)
