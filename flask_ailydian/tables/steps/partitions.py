"""Monthly partitions of the two tables that grow for ever, on PostgreSQL; an option of the host's.

The inference logs are parted by their id and the trail by the id of its chain: both begin with
their moment (UUIDv7), and a chain holds the events of one UTC month, so that a month's partitions
belong together. PostgreSQL wants the partition key in every unique constraint: that of a chain's
links stays on the table, that of the events' own ids is on each partition.

Partitions lie in a schema of their own, where Alembic's autogenerate does not look. The table as
it was becomes the first of them, by attaching it: no row is copied. Everything is read from the
catalogue when it runs, so that it holds at any later step, and in ``flask db upgrade --sql``.
"""

from __future__ import annotations

import typing as t

#: What remembers a table's own constraints, indexes, triggers and grants as SQL, in ``defs``.
REMEMBER = """
    home := quote_ident(part.schema) || '.' || quote_ident(part.name);
    SELECT pg_get_userbyid(relowner) INTO owner FROM pg_class WHERE oid = part.old;
    SELECT array_agg(made ORDER BY place) INTO defs FROM (
      SELECT 1 AS place, 'ALTER TABLE ' || home || ' ADD CONSTRAINT ' || quote_ident(conname)
        || ' ' || pg_get_constraintdef(oid) AS made
      FROM pg_constraint WHERE conrelid = part.old
        AND (contype IN ('u', 'f', 'c') OR contype = 'p' AND part.key = 'id')
      UNION ALL
      SELECT 2, pg_get_indexdef(indexrelid) FROM pg_index WHERE indrelid = part.old
        AND NOT EXISTS (SELECT 1 FROM pg_constraint WHERE conindid = indexrelid
          AND conrelid = part.old)
      UNION ALL
      SELECT 3, pg_get_triggerdef(oid) FROM pg_trigger
      WHERE tgrelid = part.old AND NOT tgisinternal
      UNION ALL
      SELECT 4, 'GRANT ' || a.privilege_type || ' ON ' || home || ' TO '
        || CASE a.grantee WHEN 0 THEN 'PUBLIC' ELSE quote_ident(pg_get_userbyid(a.grantee)) END
        || CASE WHEN a.is_grantable THEN ' WITH GRANT OPTION' ELSE '' END
      FROM pg_class, aclexplode(relacl) a WHERE pg_class.oid = part.old
      UNION ALL
      SELECT 4, 'GRANT ' || a.privilege_type || ' (' || quote_ident(attname) || ') ON ' || home
        || ' TO '
        || CASE a.grantee WHEN 0 THEN 'PUBLIC' ELSE quote_ident(pg_get_userbyid(a.grantee)) END
        || CASE WHEN a.is_grantable THEN ' WITH GRANT OPTION' ELSE '' END
      FROM pg_attribute, aclexplode(attacl) a WHERE attrelid = part.old
    ) AS remembered;
"""

#: What makes the table that took the old one's place like it.
REPLAY = """
    EXECUTE 'ALTER TABLE ' || home || ' OWNER TO ' || quote_ident(owner);
    -- What default privileges gave to a new table, the old one may have refused.
    FOR todo IN SELECT 'REVOKE ALL ON ' || home || ' FROM '
      || CASE a.grantee WHEN 0 THEN 'PUBLIC' ELSE quote_ident(pg_get_userbyid(a.grantee)) END
      FROM pg_class, aclexplode(relacl) a
      WHERE pg_class.oid = home::regclass AND a.grantee <> relowner
    LOOP EXECUTE todo; END LOOP;
    FOREACH todo IN ARRAY coalesce(defs, ARRAY[]::text[]) LOOP EXECUTE todo; END LOOP;
"""

#: The two tables, the logs first: that is the order in which an answer's rows are written.
PARTS = """
  FOR part IN
    SELECT c.oid AS old, n.nspname AS schema, c.relname AS name, v.key AS key
    FROM (VALUES (1, 'pytorch_inference_logs', 'id'), (2, 'pytorch_audit_events', 'chain_id'))
      AS v(place, name, key)
    JOIN pg_class c ON c.oid = to_regclass(v.name) AND c.relkind = '{kind}'
    JOIN pg_namespace n ON n.oid = c.relnamespace
    ORDER BY v.place
"""

DECLARE = """
DECLARE
  part record; defs text[]; todo text; home text; owner text; away text; leaf text; others text;
  latest text; border text; following text; moment timestamp; month timestamp;
"""

#: The lowest UUIDv7 of a moment; what it sorts like is the same in every collation.
LOWEST = """lpad(to_hex((extract(epoch FROM {0}) * 1000)::bigint), 12, '0')"""
BORDER = f"substr({LOWEST}, 1, 8) || '-' || substr({LOWEST}, 9, 4) || '-7000-8000-000000000000'"

UPGRADE = f"""
DO $do$
{DECLARE}
BEGIN
  IF current_setting('server_version_num')::int < 130000 THEN
    RAISE EXCEPTION USING MESSAGE = 'monthly partitions need PostgreSQL 13 or newer';
  END IF;
  -- The table as it is reaches to the end of this month, or of the last one that it holds.
  moment := date_trunc('month', now() AT TIME ZONE 'UTC') + interval '1 month';
  SELECT greatest((SELECT max(id) FROM pytorch_inference_logs),
    (SELECT max(chain_id) FROM pytorch_audit_events)) INTO latest;
  border := {BORDER.format("moment")};
  WHILE latest >= border LOOP
    moment := moment + interval '1 month';
    border := {BORDER.format("moment")};
    IF moment > now() + interval '2 years' THEN
      RAISE EXCEPTION USING MESSAGE =
        'the row ' || latest || ' has an id that does not begin with its moment; '
        'monthly partitions need UUIDv7';
    END IF;
  END LOOP;
  {PARTS.format(kind="r")} LOOP
    SELECT string_agg(DISTINCT name, ', ') INTO others FROM (
      SELECT conrelid::regclass::text AS name FROM pg_constraint
      WHERE contype = 'f' AND confrelid = part.old
      UNION ALL
      SELECT r.ev_class::regclass::text FROM pg_depend d JOIN pg_rewrite r ON r.oid = d.objid
      WHERE d.classid = 'pg_rewrite'::regclass AND d.refobjid = part.old
    ) AS referring;
    IF others IS NOT NULL THEN
      RAISE EXCEPTION USING MESSAGE = others || ' refers to ' || part.name
        || '; take that away first: partitions end as a whole';
    END IF;
    away := quote_ident(part.schema || '_pytorch_partitions');
    EXECUTE 'CREATE SCHEMA IF NOT EXISTS ' || away;
    leaf := part.name || '_before_' || to_char(moment, 'YYYY_MM');
    {REMEMBER}
    FOR todo IN SELECT 'DROP TRIGGER ' || quote_ident(tgname) || ' ON ' || home FROM pg_trigger
      WHERE tgrelid = part.old AND NOT tgisinternal AND tgtype & 1 = 1
    LOOP EXECUTE todo; END LOOP;
    EXECUTE 'ALTER TABLE ' || home || ' SET SCHEMA ' || away;
    EXECUTE 'ALTER TABLE ' || away || '.' || quote_ident(part.name) || ' RENAME TO '
      || quote_ident(leaf);
    EXECUTE 'CREATE TABLE ' || home || ' (LIKE ' || away || '.' || quote_ident(leaf)
      || ' INCLUDING DEFAULTS INCLUDING STORAGE) PARTITION BY RANGE (' || part.key || ')';
    {REPLAY}
    EXECUTE 'ALTER TABLE ' || home || ' ATTACH PARTITION ' || away || '.' || quote_ident(leaf)
      || ' FOR VALUES FROM (MINVALUE) TO (' || quote_literal(border) || ')';
    FOR n IN 0..3 LOOP
      month := moment + (n - 1) * interval '1 month';
      following := {BORDER.format("(month + interval '1 month')")};
      leaf := part.name || CASE n WHEN 0 THEN '_default' ELSE to_char(month, '_YYYY_MM') END;
      EXECUTE 'CREATE TABLE ' || away || '.' || quote_ident(leaf) || ' PARTITION OF ' || home
        || CASE part.key WHEN 'id' THEN '' ELSE ' (PRIMARY KEY (id))' END
        || CASE n WHEN 0 THEN ' DEFAULT' ELSE ' FOR VALUES FROM ('
          || quote_literal({BORDER.format("month")}) || ') TO ('
          || quote_literal(following) || ')' END;
      FOR todo IN SELECT replace(pg_get_triggerdef(oid), ' ON ' || home || ' ',
          ' ON ' || away || '.' || quote_ident(leaf) || ' ')
        FROM pg_trigger WHERE tgrelid = home::regclass AND NOT tgisinternal AND tgtype & 33 = 32
      LOOP EXECUTE todo; END LOOP;
    END LOOP;
  END LOOP;
END $do$
"""

DOWNGRADE = f"""
DO $do$
{DECLARE}
BEGIN
  {PARTS.format(kind="p")} LOOP
    away := quote_ident(part.schema || '_pytorch_partitions');
    {REMEMBER}
    leaf := quote_ident(part.schema) || '.' || quote_ident(part.name || '_whole');
    EXECUTE 'CREATE TABLE ' || leaf || ' (LIKE ' || home
      || ' INCLUDING DEFAULTS INCLUDING STORAGE)';
    EXECUTE 'INSERT INTO ' || leaf || ' SELECT * FROM ' || home;
    EXECUTE 'DROP TABLE ' || home;
    EXECUTE 'ALTER TABLE ' || leaf || ' RENAME TO ' || quote_ident(part.name);
    {REPLAY}
  END LOOP;
  IF away IS NOT NULL AND NOT EXISTS (SELECT 1 FROM pg_class c JOIN pg_namespace n
      ON n.oid = c.relnamespace WHERE quote_ident(n.nspname) = away) THEN
    EXECUTE 'DROP SCHEMA ' || away;
  END IF;
END $do$
"""


def upgrade(op: t.Any) -> None:
    """Part the tables by month; nothing happens on a database that is not PostgreSQL."""
    if op.get_context().dialect.name == "postgresql":
        op.execute(UPGRADE)


def downgrade(op: t.Any) -> None:
    """Make each table whole again; its rows are copied."""
    if op.get_context().dialect.name == "postgresql":
        op.execute(DOWNGRADE)
        op.create_primary_key(None, "pytorch_audit_events", ["id"])
