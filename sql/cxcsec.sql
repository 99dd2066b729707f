-- The forms of a time that every macro takes; read after them, see times.sql.

-- A text without the blanks around it; dates without the Z, those with a blank or in GRETA's form as the others are written.
CREATE OR REPLACE TEMP MACRO cxcsec_written_out(t) AS
    list_transform(
        [trim(t, ' ' || chr(9) || chr(10) || chr(11) || chr(12) || chr(13))],
        LAMBDA it: CASE
            WHEN regexp_full_match(it, '\d{7}(\.?\d{4}(\d\d+)?)?')
                THEN regexp_replace(
                    regexp_replace(
                        it, '^(\d{4})(\d{3})\.?(\d\d)?(\d\d)?(\d\d)?(\d*)$', '\1:\2:\3:\4:\5.\6'
                    ),
                    '[:.]+$', ''
                )
            ELSE regexp_replace(regexp_replace(it, '([T :]\d\d:\d\d(:\d\d(\.\d*)?)?)Z$', '\1'), '^(\d{4}-\d\d-\d\d) ', '\1T')
        END
    )[1];

-- CXC seconds of a date; null if it is not a date.
CREATE OR REPLACE TEMP MACRO cxcsec_of_date(t) AS
    list_transform(
        [{
            'timestamp': CASE
                -- try_strptime is lenient: it takes 2015:1 and 2015:366.
                WHEN regexp_full_match(
                    t,
                    '\d{4}:\d{3}(:\d\d:\d\d(:\d\d(\.\d*)?)?)?'
                    || '|\d{4}-\d\d-\d\d(T\d\d:\d\d(:\d\d(\.\d*)?)?)?'
                )
                    THEN try_strptime(
                        -- A leap second is the second before it, and one second.
                        regexp_replace(split_part(t, '.', 1), '([:T])23:59:60$', '\123:59:59'),
                        [
                            '%Y:%j', '%Y:%j:%H:%M', '%Y:%j:%H:%M:%S',
                            '%Y-%m-%d', '%Y-%m-%dT%H:%M', '%Y-%m-%dT%H:%M:%S'
                        ]
                    )
            END,
            'us': (try_cast(rpad(split_part(t, '.', 2), 7, '0')[1:7] AS BIGINT) + 5) // 10,
            'leap': (regexp_matches(t, '[:T]23:59:60'))::BIGINT
        }],
        LAMBDA time: list_transform(
            [time['timestamp']::DATE - DATE '1998-01-01'],
            LAMBDA day: CASE
                WHEN strftime(time['timestamp'], '%Y') = t[1:4]
                    AND t[1:4] > '0000'
                    -- The last days before TAI-UTC changes, see tai_utc.
                    AND (
                        time['leap'] = 0
                        OR day IN (
                            -9316, -9132, -8767, -8402, -8037, -7671, -7306, -6941, -6576, -6029, -5664, -5299, -4568,
                            -3654, -2923, -2558, -2011, -1646, -1281, -732, -185, 364, 2921, 4017, 5294, 6389, 6939
                        )
                    )
                    THEN (
                        epoch_us(time['timestamp']) - 883612800000000 + time['us']
                        + (time['leap'] + tai_utc(day)) * 1000000 + 32184000
                    ) / 1e6
            END
        )[1]
    )[1];

-- A number of CXC seconds; null if it is not one, or if it means relative days, which cheta accepts.
CREATE OR REPLACE TEMP MACRO cxcsec_of_number(t) AS
    CASE WHEN isfinite(t) AND NOT (t < 0 AND t >= -36525) THEN t END;

-- CXC seconds of a text, null if it is not a time. A year alone, and a day of the year with something behind it, are no numbers.
CREATE OR REPLACE TEMP MACRO cxcsec_of_text(t) AS
    list_transform(
        [cxcsec_written_out(t)],
        LAMBDA it: CASE
            WHEN regexp_full_match(it, '[+-]?(\d+(\.\d*)?|\.\d+)([eE][+-]?\d+)?')
                THEN CASE
                    WHEN NOT regexp_full_match(it, '\d{4}|\d{7}(\.\d*)?') THEN cxcsec_of_number(try_cast(it AS DOUBLE))
                END
            ELSE cxcsec_of_date(it)
        END
    )[1];

-- CXC seconds of a number (itself), a timestamp (UTC) or a text; null if it is not a time.
-- Without errors in it, DuckDB computes it once and not for every row, and skips what cannot match.
--     SELECT cxcsec_or_null('tomorrow')
CREATE OR REPLACE TEMP MACRO cxcsec_or_null
    (t DOUBLE) AS cxcsec_of_number(t),
    (t TIMESTAMP) AS cxcsec_of_date(strftime(t, '%Y-%m-%dT%H:%M:%S.%f')),
    (t TIMESTAMP WITH TIME ZONE) AS cxcsec_of_date(strftime(make_timestamp(epoch_us(t)), '%Y-%m-%dT%H:%M:%S.%f')),
    (t VARCHAR) AS cxcsec_of_text(t);

-- CXC seconds of a number (itself), a timestamp (UTC) or a text, as Python's mica_lake.times.cxcsec has them:
-- 'YYYY:DDD[:hh:mm[:ss[.sss]]]', 'YYYY-MM-DD[Thh:mm[:ss[.sss]]]' (or a blank for the T), GRETA's 'YYYYDDD[.hhmm[ss[sss]]]', in
-- UTC, to a microsecond, or a number in text. Second 60 is valid in a leap second. Anything else is an error that shows the
-- value.
--     SELECT cxcsec('2012:001:00:00:01.5'), cxcsec('2012-01-01T00:00:00'), cxcsec(TIMESTAMP '2012-01-01 12:00')
CREATE OR REPLACE TEMP MACRO cxcsec(t) AS
    CASE
        WHEN t IS NULL THEN NULL
        ELSE coalesce(
            cxcsec_or_null(t),
            error(
                '''' || t || ''' is not a time: '
                || CASE
                    WHEN try_cast(t::VARCHAR AS DOUBLE) < 0 AND isfinite(try_cast(t::VARCHAR AS DOUBLE))
                        THEN 'relative days, which cheta accepts, are not taken. '
                    ELSE ''
                END
                || 'Give CXC seconds, ''YYYY:DDD[:hh:mm[:ss[.sss]]]'' or ''YYYY-MM-DD[Thh:mm[:ss[.sss]]]'''
            )
        )
    END;

-- CXC seconds of now: the date in the environment's CXOTIME_NOW if Python found it set, else the clock. In any other client,
-- SET VARIABLE cxotime_now = '2024:001'.
--     SELECT count(*) FROM slot_data(cxcsec_now() - 86400, cxcsec_now(), 3)
CREATE OR REPLACE TEMP MACRO cxcsec_now() AS
    coalesce(cxcsec(getvariable('cxotime_now')::VARCHAR), cxcsec(now()));
