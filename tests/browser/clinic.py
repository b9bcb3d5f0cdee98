"""The example host as the browser meets it: with a paid backend that stays on this machine."""

from __future__ import annotations

import collections.abc as c

from flask import Flask

from example_app import create_app as create_example
from flask_ailydian.routing.backends.base import Event
from flask_ailydian.routing.backends.base import Finished
from flask_ailydian.routing.backends.base import Question
from flask_ailydian.routing.backends.base import Text
from flask_ailydian.routing.backends.base import Used
from flask_ailydian.routing.money import Usage

#: Of everybody in it.
PASSWORD = "a long password"
#: The settings of the example host in these tests, as its environment.
SETTINGS = {
    "FLASK_RATE_LIMIT_OF_THE_API": "100000/minute",
    "FLASK_AILYDIAN_THIRD_PARTY": "twin",
    "FLASK_AILYDIAN_THIRD_PARTY_MODEL": "twin-1",
    "FLASK_AILYDIAN_BUDGET_DAY": "0.75",
    "FLASK_AILYDIAN_BUDGET_DOMAINS": '{"medical": 0.2}',
    "FLASK_AILYDIAN_CAPACITY_PER_DAY": "2000",
}


class Twin:
    """A paid backend of the host's own: says the question back, word by word."""

    name, model = "twin", "twin-1"

    def attempt(self, question: Question, deadline: float) -> c.Iterator[Event]:
        """Answer once; nothing here can fail."""
        words = question.text.split()
        for word in words:
            yield Text(word + " ")
        yield Used(Usage(10 + 2 * len(words), 4 * len(words)))
        yield Finished("stop")


def create_app() -> Flask:
    """Return the example host with its paid backend."""
    app = create_example()
    app.extensions["ailydian"].router.third_party.register("twin", Twin)
    return app
