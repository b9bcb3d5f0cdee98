"""What an auditor asks: is the trail whole, and is this event in it."""

from __future__ import annotations

import collections.abc as c
import hashlib
import hmac
import json
import os
import typing as t
from pathlib import Path

from ..database import Database
from ..errors import NotFound
from ..tables import Tables
from . import canonical
from . import merkle
from .checkpoints import Checkpoint
from .checkpoints import Checkpoints
from .checkpoints import Head
from .checkpoints import leaves
from .checkpoints import of_line
from .checkpoints import rows
from .evidence import Evidence
from .evidence import Signed
from .signing import Signer
from .trimming import CHAIN
from .trimming import Trimmed
from .verify import Report
from .verify import Verifier

CONTENT = ("id", "kind", "created_us", "domain", "actor_ref", "subject_ref", "sealed_ref")


class Inspection:
    """Answers about the trail of one app.

    :param files: Where sinks put exported checkpoints on this machine.
    :param state: Where the heads of the last good verification are kept, signed.
    """

    def __init__(
        self,
        database: Database,
        tables: Tables,
        checkpoints: Checkpoints,
        signer: Signer,
        files: list[Path],
        state: Path,
    ) -> None:
        self._database = database
        self._tables = tables
        self._checkpoints = checkpoints
        self.signer = signer
        self._files = files
        self._state = state

    def verify(
        self,
        *,
        incremental: bool = False,
        exported: c.Iterable[Path] = (),
        public_keys: c.Iterable[str] = (),
    ) -> Report:
        """Walk the whole trail, or what was added since the last time it was found whole.

        :param exported: Further files of exported checkpoints.
        :param public_keys: Of master keys that are gone, in hexadecimal.
        """
        signer = Signer(self.signer.keys, public_keys) if public_keys else self.signer
        lines = _lines([*(f for f in self._files if f.exists()), *exported])
        evidence = Evidence(signer, self._checkpoints.read(), lines, self._purges())
        since = self._verified() if incremental else None
        try:
            report = Verifier(self._database, self._tables, evidence).run(since)
        finally:
            evidence.close()
        if report.ok:
            self._remember(report)
        return report

    def _purges(self) -> t.Iterator[Signed]:
        table = self._tables.AuditPurge.__table__
        query = table.select().order_by(table.c.created_us, table.c.id)
        with self._database.walk() as walk:
            for row in walk.steps(lambda connection: rows(connection, query)):
                yield row.body, row.key_id, bytes(row.signature)

    def _remember(self, report: Report) -> None:
        body = json.dumps(report.heads, sort_keys=True)
        draft = self._state.with_name(f".{self._state.name}.{os.getpid()}")
        self._state.parent.mkdir(parents=True, exist_ok=True)
        draft.write_text(json.dumps({"heads": body, "mac": self._mac(body)}))
        os.replace(draft, self._state)

    def _verified(self) -> dict[str, tuple[int, str]] | None:
        try:
            said = json.loads(self._state.read_text())
            if not hmac.compare_digest(said["mac"], self._mac(said["heads"])):
                return None
            return {chain: (seq, head) for chain, (seq, head) in json.loads(said["heads"]).items()}
        except (OSError, ValueError, KeyError, TypeError):
            # Without a note that can be trusted everything is verified.
            return None

    def _mac(self, body: str) -> str:
        keys = self.signer.keys
        secret = keys.secret(keys.ids()[0], "verified")
        return hmac.new(secret, body.encode(), hashlib.sha256).hexdigest()

    def prove(self, id: str) -> dict[str, t.Any]:
        """Return the proof that an event is in the trail that was signed.

        :raises NotFound: when there is no such event, or no checkpoint reaches it yet.
        """
        table = self._tables.AuditEvent.__table__
        with self._database.connect() as connection:
            event = connection.execute(table.select().where(table.c.id == id)).first()
            if event is None:
                raise NotFound("The trail has no event with this id.")
            found = self._covering(event.chain_id, event.seq)
            if found is None:
                raise NotFound("No signed checkpoint reaches this event yet.")
            checkpoint, key_id, signature, heads = found
            head = heads[event.chain_id]
            query = (
                table.select()
                .where(table.c.chain_id == event.chain_id)
                .where(table.c.seq > event.seq, table.c.seq <= head.seq)
                .order_by(table.c.seq)
            )
            links = [_content(row).hex() for row in connection.execute(query)]
        ordered = sorted(heads)
        tree = leaves(heads.values())
        index = ordered.index(event.chain_id)
        return {
            "event": {name: getattr(event, name) for name in CONTENT}
            | {"payload": _hex(event.payload), "record_hash": _hex(event.record_hash)},
            "chain_id": event.chain_id,
            "seq": event.seq,
            "prev_hash": _hex(event.prev_hash),
            "links": links,
            "index": index,
            "path": [node.hex() for node in merkle.proof(tree, index)],
            "checkpoint": checkpoint.body,
            "key_id": key_id,
            "signature": signature.hex(),
            "public_keys": [key.hex() for key in self.signer.public_keys()],
        }

    def _covering(
        self, chain_id: str, seq: int
    ) -> tuple[Checkpoint, str, bytes, dict[str, Head]] | None:
        """Return the first checkpoint that reaches a link, with the heads its tree is over."""
        heads: dict[str, Head] = {}
        purged: list[tuple[int, str, int]] = []
        for body, _, _ in self._purges():
            said = json.loads(body)
            if said["chain_id"] == CHAIN:
                heads |= {head.chain_id: head for head in Trimmed.of(said).heads}
            else:
                purged.append((said["created_us"], said["chain_id"], said["last_seq"]))
        for body, key_id, signature in self._checkpoints.read():
            checkpoint = Checkpoint.of(body)
            heads |= {head.chain_id: head for head in checkpoint.heads}
            # A tree is over the chains that there were: not over those that retention had ended.
            gone = {
                chain
                for moment, chain, last in purged
                if moment <= checkpoint.created_us and chain in heads and last >= heads[chain].seq
            }
            there = {chain: head for chain, head in heads.items() if chain not in gone}
            if chain_id in there and there[chain_id].seq >= seq:
                if merkle.root(leaves(there.values())) == checkpoint.root:
                    return checkpoint, key_id, signature, there
        return None


def proven(proof: dict[str, t.Any], public_key: str) -> bool:
    """Whether a proof holds, told from the proof and a public key alone."""
    event, checkpoint = proof["event"], Checkpoint.of(proof["checkpoint"])
    fields = [event[name] for name in CONTENT]
    fields += [_bytes(event["payload"]), _bytes(event["record_hash"])]
    content = canonical.content_hash(*fields)
    chain_id, seq, head = proof["chain_id"], proof["seq"], bytes.fromhex(proof["prev_hash"])
    for step in (content, *map(bytes.fromhex, proof["links"])):
        head = canonical.link_hash(chain_id, seq, head, step)
        seq += 1
    leaf = Head(chain_id, seq - 1, head).leaf()
    path = [bytes.fromhex(node) for node in proof["path"]]
    signer = Signer(_Nobody(), [public_key])
    signature = bytes.fromhex(proof["signature"])
    return signer.signed(checkpoint.body, proof["key_id"], signature) and merkle.included(
        leaf, proof["index"], checkpoint.chains, path, checkpoint.root
    )


class _Nobody:
    """Has no keys: what is checked is checked with the public key that was given."""

    def ids(self) -> t.Sequence[str]:
        return ()

    def wrap(self, key_id: str, key: bytes, context: bytes) -> bytes:
        raise NotImplementedError

    unwrap = wrap

    def secret(self, key_id: str, purpose: str) -> bytes:
        raise NotImplementedError


def _content(row: t.Any) -> bytes:
    values = [getattr(row, name) for name in CONTENT]
    values += [_raw(row.payload), _raw(row.record_hash)]
    return canonical.content_hash(*values)


def _raw(value: t.Any) -> bytes | None:
    return None if value is None else bytes(value)


def _hex(value: t.Any) -> str | None:
    return None if value is None else bytes(value).hex()


def _bytes(value: str | None) -> bytes | None:
    return None if value is None else bytes.fromhex(value)


def _lines(files: c.Iterable[Path]) -> t.Iterator[Signed]:
    for file in files:
        with file.open("r", encoding="utf-8") as stream:
            for line in stream:
                if line.strip():
                    yield of_line(line)
