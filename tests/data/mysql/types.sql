-- Every column type of MariaDB 10.11 with the values that are lost easily.
SET NAMES utf8mb4;
SET SESSION sql_mode = 'NO_AUTO_VALUE_ON_ZERO', time_zone = '+00:00';

CREATE TABLE numbers (
  id INT NOT NULL AUTO_INCREMENT PRIMARY KEY,
  t TINYINT, tu TINYINT UNSIGNED, s SMALLINT, m MEDIUMINT, i INT(5) UNSIGNED ZEROFILL, b BIGINT, bu BIGINT UNSIGNED,
  d DECIMAL(65, 30), f FLOAT, f2 FLOAT(7, 3), db DOUBLE, db2 DOUBLE(20, 5), bi BIT(1), bi9 BIT(9), bi64 BIT(64), y YEAR, bo BOOLEAN
) ENGINE=InnoDB;
INSERT INTO numbers VALUES
  (-1, -128, 0, -32768, -8388608, 42, -9223372036854775808, 0, -99999999999999999999999999999999999.999999999999999999999999999999,
   16777216, 1.5, 1.7976931348623157e308, 123456789012345.12345, b'0', b'0', b'0', 0, 0),
  (0, 127, 255, 32767, 8388607, 99999, 9223372036854775807, 18446744073709551615, 0.000000000000000000000000000001,
   1.1234567, -0.001, 2.2250738585072014e-308, -0.00001, b'1', b'101010101', 0xFFFFFFFFFFFFFFFF, 1901, 1),
  (1, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, 3.4028235e38, 9999.999, 5e-324, NULL, NULL, NULL, NULL, 2155, NULL),
  (2, 0, 0, 0, 0, 0, 0, 0, 0, 1.17549435e-38, 0.1, 0.1, 0.1, b'1', 0x0A, 0x0A5C270D00, 2000, 2),
  (3, 0, 0, 0, 0, 0, 0, 0, 0, -1.4e-45, 0.1, 1e15, 0.1, b'1', 0x5C, 0x27, 2024, 2),
  (4, 0, 0, 0, 0, 0, 0, 0, 0, 0.1, 0.1, 12345678901234567890, 0.1, b'1', 0x5C, 0x27, 2024, 2),
  (5, 0, 0, 0, 0, 0, 0, 0, 0, 0e0 * -1, 0, 0e0 * -1, 0, b'1', 0x5C, 0x27, 2024, 2);

CREATE TABLE times (
  id INT PRIMARY KEY, d DATE, t TIME, t6 TIME(6), dt DATETIME, dt6 DATETIME(6), ts TIMESTAMP NULL, ts6 TIMESTAMP(6) NULL
) ENGINE=InnoDB;
INSERT INTO times VALUES
  (1, '0000-00-00', '-838:59:59', '838:59:59.000000', '0000-00-00 00:00:00', '0000-00-00 00:00:00.000000', '0000-00-00 00:00:00', '0000-00-00 00:00:00.000000'),
  (2, '2024-00-15', '00:00:00', '-00:00:00.000001', '2024-00-00 10:00:00', '9999-12-31 23:59:59.999999', '1970-01-01 00:00:01', '2038-01-19 03:14:07.999999'),
  (3, '0001-01-01', NULL, NULL, '2024-10-27 02:30:00', NULL, '2024-10-27 00:30:00', '2024-10-27 01:30:00'),
  (4, '9999-12-31', '12:34:56', '12:34:56.5', '2024-03-31 02:30:00', NULL, '2024-03-31 01:30:00', '2024-03-31 00:59:59.999999');

CREATE TABLE texts (
  id INT PRIMARY KEY,
  c CHAR(20), v VARCHAR(100), tt TINYTEXT, t TEXT, mt MEDIUMTEXT, lt LONGTEXT,
  l1 VARCHAR(100) CHARACTER SET latin1, u3 VARCHAR(100) CHARACTER SET utf8mb3, u2 VARCHAR(50) CHARACTER SET ucs2,
  u16 VARCHAR(50) CHARACTER SET utf16, u32 VARCHAR(50) CHARACTER SET utf32, g VARCHAR(50) CHARACTER SET gbk,
  sj VARCHAR(50) CHARACTER SET sjis, sw VARCHAR(50) CHARACTER SET swe7, k8 VARCHAR(50) CHARACTER SET koi8r,
  e ENUM('a', '', 'ü', 'with ''quote'''), e2 ENUM('x', 'y'), st SET('a', 'b', 'ö'), st2 SET('', 'p', 'q'), j JSON
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4;
INSERT INTO texts VALUES
  (1, 'é😀', 'quote '' double " back \\ tick ` end', '\n', '\r\n', '\0', '\Z', 'Müller €', '日本', 'ab é', 'a😀', 'a😀', '中文', 'ア\\', '[]{}', 'Привет', '', 'x', 'a,ö', '', '{"a": [1, 1.0, 12345678901234567890, "😀\\"\\n"]}'),
  (2, '', '', '', '', '', '', '', '', '', '', '', '', '', '', '', 'ü', 'y', '', 'p,q', 'null'),
  (3, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL),
  (4, 'trailing  ', 'trailing  ', '\n-- x', 'DELIMITER ;;\n\nDELIMITER ;;\n', '\\! touch x', '/*! */ \\', 0x4DC3BC6C6C6572, 'x', 'x', 'x', 'x', 0xB0A1, 0x815C, 'x', 'x', 'a', 'x', 'b', 'q', '""'),
  (5, ';;', '\\\\''', '%_\\%\\_', REPEAT('long ', 500), REPEAT('é', 1000), REPEAT('😀', 1000), 0x808182838485868788898A8B8C8D8E8F909192939495969798999A9B9C9D9E9FFF, 'x', 0xD800, 'x', 'x', 'x', 'x', 'x', 'x', 'with ''quote''', 'x', 'a,b,ö', 'p', '[]');
-- The error value of an ENUM, beside a member that looks the same.
INSERT INTO texts (id, e, e2, st2) VALUES (6, 'no such', 'no such', 1), (7, 2, 1, 0);
-- Converted to UTF-8 and back, the backslash of sjis becomes another character.
INSERT INTO texts (id, sj, g, k8, sw) VALUES (8, _sjis 0x5C7E41, _gbk 0x5C7E27, _koi8r 0x5C7E27, _swe7 0x5B5C5D7E40);

CREATE TABLE bytes (
  id INT PRIMARY KEY, b BINARY(4), vb VARBINARY(300), tb TINYBLOB, bl BLOB, mb MEDIUMBLOB, lb LONGBLOB, u UUID, i4 INET4, i6 INET6,
  p POINT, g GEOMETRY, ls LINESTRING, po POLYGON, mp MULTIPOINT, gc GEOMETRYCOLLECTION, z TEXT COMPRESSED
) ENGINE=InnoDB;
INSERT INTO bytes VALUES
  (1, 0x00, 0x00, '', '\nDELIMITER ;;\n', 0x000A0D1A5C2722, REPEAT(0xFF, 1000), '123e4567-e89b-12d3-a456-426655440000', '10.0.0.1', '::ffff:1.2.3.4',
   ST_GeomFromText('POINT(1 2.5)', 4326), ST_GeomFromText('POINT(-0.1 1e-300)', 3857), ST_GeomFromText('LINESTRING(0 0,1 1)'),
   ST_GeomFromText('POLYGON((0 0,10 0,10 10,0 0))'), ST_GeomFromText('MULTIPOINT(1 1,2 2)'), ST_GeomFromText('GEOMETRYCOLLECTION(POINT(1 1),LINESTRING(0 0,1 1))'), REPEAT('z', 500)),
  (2, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL);
INSERT INTO bytes (id, vb) SELECT 3, GROUP_CONCAT(CHAR(seq) ORDER BY seq SEPARATOR '') FROM seq_0_to_255;

-- No key at all, a key of several columns, one of text, and a covering index that must not decide what is read.
CREATE TABLE no_key (a INT, b VARCHAR(10), KEY (b, a)) ENGINE=InnoDB;
INSERT INTO no_key VALUES (3, 'c'), (1, 'z'), (2, 'a'), (1, 'z'), (NULL, NULL);
CREATE TABLE wide_key (b VARCHAR(10), a INT, c INT, PRIMARY KEY (b(3), a), KEY (c, a, b)) ENGINE=InnoDB;
INSERT INTO wide_key VALUES ('b', 2, 9), ('a', 2, 1), ('a', 1, 5);
CREATE TABLE `empty` (a INT) ENGINE=InnoDB;
CREATE TABLE `order` (`select` INT PRIMARY KEY, `a``b` INT, `c"d` INT, `é` INT, `x,y` INT) ENGINE=InnoDB;
INSERT INTO `order` VALUES (1, 2, 3, 4, 5);
