-- Every built-in type with the values that are easy to lose.
CREATE TABLE numbers (i2 smallint, i4 integer, i8 bigint, n numeric, n2 numeric(20, 5), f4 real, f8 double precision, m money, b boolean, o oid);
INSERT INTO numbers VALUES
    (-32768, -2147483648, -9223372036854775808, 'NaN', 0.00001, 'NaN', 'NaN', '-92233720368547758.08', true, 0),
    (32767, 2147483647, 9223372036854775807, 'Infinity', -1, 'Infinity', '-Infinity', '92233720368547758.07', false, 4294967295),
    (0, 0, 0, '-Infinity', 0, '-0', '-0', 0, NULL, 1),
    (1, 1, 1, ('1' || repeat('0', 200) || '.' || repeat('9', 200))::numeric, 1, 1.17549435e-38, 5e-324, 1.5, true, 1),
    (1, 1, 1, 0.30000000000000004, 1, 16777216, 0.30000000000000004, 1234567.89, true, 1),
    (1, 1, 1, 1e-100, 1, 1.1234567, 1.7976931348623157e308, 0.01, true, 1),
    (NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL);

CREATE TABLE texts (n integer, t text, v varchar(300), c char(5), "char" "char", name name, b bytea);
INSERT INTO texts VALUES
    (1, '', '', '', '', '', ''), (2, NULL, NULL, NULL, NULL, NULL, NULL), (3, '\.', '\N', '\\', '\', '\.', '\x5c2e'),
    (4, E'\\.\n\\.', E'a\tb\r\nc', E'\x08\x0b\x0c', E'\x01', E'\n', '\x00ff0a0d5c'), (5, 'NULL', 'null', ' a ', 'é', 'é', decode(repeat('00', 300), 'hex')),
    (6, E'\u2028\U0001F600é\u0301', repeat('ü', 300), 'ααααα', ' ', repeat('n', 63), '\x'), (7, E'\x7f\x1b[31m', '''"`$$', '--', '''', '"', '\x27');
INSERT INTO texts (n, t) SELECT 1000 + n, chr(n) || 'x' || chr(n) FROM generate_series(1, 300) n;

CREATE TABLE moments (d date, t time, t3 time(3), ttz timetz, ts timestamp, tz timestamptz, i interval, i2 interval year to month);
INSERT INTO moments VALUES
    ('infinity', '24:00', '23:59:59.9996', '00:00+15:59', 'infinity', '-infinity', '-1 mons +2 days -03:04:05.678', '1 year 2 months'),
    ('-infinity', '00:00', '0:0', '23:59:59.999999-15:59', '-infinity', 'infinity', '178000000 years', '-1 month'),
    ('4713-01-01 BC', '12:34:56.789012', '12:34:56.789', '12:00+05:45:15', '4713-01-01 00:00 BC', '0001-12-31 23:59:59.999999+00 BC', '-00:00:00.000001', '0'),
    ('5874897-12-31', '1:2:3', '1:2:3', '1:2:3+00', '294276-12-31 23:59:59.999999', '2024-03-31 02:30 Europe/Berlin', '1 day -1 microsecond', '1 year'),
    ('0001-01-01', NULL, NULL, NULL, '1999-12-31 23:59:60', '1900-01-01 00:00 Europe/Amsterdam', '-1 year +1 day', NULL), (NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL);

CREATE TABLE structures (j json, jb jsonb, x xml, u uuid, ip inet, c cidr, m macaddr, m8 macaddr8, bits bit(5), vb bit varying,
    tsv tsvector, tsq tsquery, jp jsonpath, lsn pg_lsn, snap pg_snapshot, tid tid, xid xid, reg regclass, regt regtype);
INSERT INTO structures VALUES
    ('{"a" : 1, "a":2, "b":"\u0041\n\\"}', '{"a": [1, 2.50, null, "x\\\"\n"], "é": 1e400}', '<a b="1">&lt;x</a>', 'a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11',
     '::ffff:1.2.3.4/128', '10.0.0.0/8', '08:00:2b:01:02:03', '08:00:2b:01:02:03:04:05', B'10101', B'', $$'a\b''c':1A,2B d$$, $$'x' & !'y\z':*A <2> 'q'$$,
     '$."a"[*] ? (@ > 1)', '16/B374D848', '10:20:10,14,15', '(5,6)', '99', 'pg_catalog.pg_class', 'integer[]'),
    ('null', 'null', 'text', NULL, '1.2.3.4/24', '::/0', NULL, NULL, NULL, B'1', '', '', '$', NULL, NULL, NULL, NULL, NULL, NULL);

CREATE TABLE shapes (p point, l line, s lseg, b box, pa path, po polygon, c circle);
INSERT INTO shapes VALUES ('(0.1,-0)', '{1,-1,0.3}', '[(1,2),(3,4)]', '(3,4),(1,2)', '[(0,0),(1e300,1)]', '((0,0),(1,1),(2,0))', '<(0,0),1.1>'),
    ('(Infinity,NaN)', NULL, NULL, NULL, '((0,0),(1,1))', NULL, NULL);

CREATE TABLE lists (i integer[], t text[], n numeric[][], b bytea[], j jsonb[], u uuid[], d date[], bounds integer[], r int4range[]);
INSERT INTO lists VALUES
    ('{}', '{}', '{}', '{}', '{}', '{}', '{}', '[0:2]={1,2,3}', '{}'),
    ('{1,NULL,3}', ARRAY['', NULL, 'NULL', 'a,b', '{"}', E'\\', E'\n', ' '], '{{1.5,NaN},{Infinity,NULL}}', ARRAY['\x'::bytea, '\x5c22'], ARRAY['{"a":"\""}'::jsonb],
     '{a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11}', '{infinity,"0044-03-15 BC"}', '[-2:-1][5:6]={{1,2},{3,4}}', '{"[1,5)",empty,NULL}');

CREATE TABLE ranges (i int4range, b int8range, n numrange, t tsrange, z tstzrange, d daterange, m int4multirange, nm nummultirange, dm datemultirange);
INSERT INTO ranges VALUES ('empty', '(,)', '[1.5,)', '[infinity,)', '(,2024-01-01 00:00+02]', '[2024-01-01,2024-01-31]', '{}', '{(,1),(2,)}', '{[2024-01-01,2024-01-03)}'),
    ('[1,1]', '[1,2)', '(NaN,)', '["2024-01-01 00:00","2024-01-02 00:00")', 'empty', '(,infinity)', '{[1,3),[5,7)}', '{}', '{}');
