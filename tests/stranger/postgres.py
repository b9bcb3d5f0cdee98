"""Make and drop an empty PostgreSQL database: `create` prints its URL, `drop URL` removes it."""

import os
import sys
import uuid

import sqlalchemy as sa

SERVER = os.environ.get(
    "AILYDIAN_TEST_POSTGRES", "postgresql+psycopg://postgres@127.0.0.1:5432/postgres"
)

server = sa.create_engine(SERVER, isolation_level="AUTOCOMMIT")
try:
    with server.connect() as connection:
        if sys.argv[1] == "create":
            name = f"ailydian_stranger_{uuid.uuid4().hex}"
            connection.execute(sa.text(f"CREATE DATABASE {name}"))
            print(server.url.set(database=name).render_as_string(hide_password=False))
        else:
            name = sa.make_url(sys.argv[2]).database
            connection.execute(sa.text(f"DROP DATABASE {name} WITH (FORCE)"))
except sa.exc.OperationalError as error:
    sys.exit(f"no PostgreSQL at {SERVER}: {type(error).__name__}")
