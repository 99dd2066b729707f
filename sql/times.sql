-- Times. CXC seconds are seconds of TT since 1998-01-01T00:00:00 TT, the unit of every TIME in the lake.
-- Days are numbered from 1998-01-01 (day 0). The leap seconds are those of IERS Bulletin C.

-- TAI-UTC in seconds on a UTC day; before 1972, when it was not a whole number, that of 1972.
CREATE OR REPLACE TEMP MACRO tai_utc(day) AS
    CASE
        WHEN day >= 6940 THEN 37   -- 2017-01-01
        WHEN day >= 6390 THEN 36   -- 2015-07-01
        WHEN day >= 5295 THEN 35   -- 2012-07-01
        WHEN day >= 4018 THEN 34   -- 2009-01-01
        WHEN day >= 2922 THEN 33   -- 2006-01-01
        WHEN day >= 365 THEN 32    -- 1999-01-01
        WHEN day >= -184 THEN 31   -- 1997-07-01
        WHEN day >= -731 THEN 30   -- 1996-01-01
        WHEN day < -731
            THEN 10
                + (day >= -9315)::INTEGER + (day >= -9131)::INTEGER + (day >= -8766)::INTEGER + (day >= -8401)::INTEGER
                + (day >= -8036)::INTEGER + (day >= -7670)::INTEGER + (day >= -7305)::INTEGER + (day >= -6940)::INTEGER
                + (day >= -6575)::INTEGER + (day >= -6028)::INTEGER + (day >= -5663)::INTEGER + (day >= -5298)::INTEGER
                + (day >= -4567)::INTEGER + (day >= -3653)::INTEGER + (day >= -2922)::INTEGER + (day >= -2557)::INTEGER
                + (day >= -2010)::INTEGER + (day >= -1645)::INTEGER + (day >= -1280)::INTEGER
    END;

-- CXC seconds at which a UTC day begins, given as days since 1998-01-01.
--     SELECT day_start(9496)
CREATE OR REPLACE TEMP MACRO day_start(day) AS
    (day::BIGINT * 86400000000 + tai_utc(day) * 1000000 + 32184000) / 1e6;

-- CXC seconds of CXC seconds; null if it is not a time. The macros that call these are checked when they are made, when their
-- arguments have no type yet and only one form may be there; cxcsec.sql, read last, puts all forms in their place.
CREATE OR REPLACE TEMP MACRO cxcsec(t) AS t::DOUBLE;
CREATE OR REPLACE TEMP MACRO cxcsec_or_null(t) AS t::DOUBLE;
