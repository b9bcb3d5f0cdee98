"""The local model as the router sees it: sure or not, on record before its first word."""

from __future__ import annotations

import contextlib
import typing as t

from ..recipes import WRITES
from .backends.base import BackendFailure
from .backends.local import LocalBackend
from .backends.writing import Draft
from .egress import Note
from .money import to_nano
from .third_party import Pieces
from .third_party import ThirdParty
from .turn import Turn

#: The event that says that a text is about to be shown while it is written.
BEGUN = "local_answer_begun"


class InHouse:
    """Asks the local model, and gives its answer up when somebody better can be asked."""

    def __init__(self, local: LocalBackend, third_party: ThirdParty, note: Note) -> None:
        self._local = local
        self._third_party = third_party
        self._note = note

    def ask(self, turn: Turn, deadline: float, *, escalate: bool, held: bool) -> Pieces:
        """Yield the answer; what is thought of it stands in ``turn.local``.

        :param escalate: Somebody better may be asked: an answer that is not sure is not given.
        :param held: Nobody reads along. Else a model that writes is read while it does, once it
            is sure and an event and the cost are on record.
        :raises BackendFailure: when there is none to give.
        """
        assert turn.asked is not None
        record = self._local.model(turn.asked.domain)
        if record is None:
            raise BackendFailure("no_model")
        turn.record = record
        day = turn.moment.date()
        turn.local_nano = to_nano(self._third_party.costs.local_price(day).guess("", 1))
        escalate = escalate and self._third_party.absence() is None
        if record.task != WRITES:
            turn.local = self._local.answer(record, turn.asked.query, deadline)
            self._escalate(turn, escalate)
            yield turn.local.text
            return
        draft = self._local.draft(
            record,
            turn.asked.query,
            deadline,
            most=turn.asked.max_tokens,
            gone=turn.gone,
            aside=not held,
        )
        with contextlib.closing(draft):
            turn.local = draft.begin()
            self._escalate(turn, escalate)
            yield from self._read(turn, draft, held)

    def _escalate(self, turn: Turn, escalate: bool) -> None:
        assert turn.local is not None
        if escalate and not turn.local.sure:
            raise BackendFailure("low_confidence")

    def _read(self, turn: Turn, draft: Draft, held: bool) -> Pieces:
        if not held:
            self._begin(turn)
        try:
            for text in draft.text():
                turn.written = not held
                yield text
        finally:
            turn.local = draft.answer()

    def _begin(self, turn: Turn) -> None:
        """Put on record that an answer is about to be shown before anybody has seen all of it."""
        assert turn.record is not None and turn.asked is not None
        detail: dict[str, t.Any] = {
            "query_id": turn.id,
            "model": turn.record.name,
            "version": turn.record.version,
            "domain": turn.asked.domain,
            "input_hash": turn.input_hash or "",
        }
        self._note(BEGUN, actor=turn.actor, subject=turn.user, detail=detail)
        self._third_party.reserve(turn, turn.local_nano)
