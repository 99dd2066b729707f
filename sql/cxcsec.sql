-- The forms of a time that every macro takes; read after them, see times.sql.

-- CXC seconds of a text, null if it is no time.
CREATE OR REPLACE TEMP MACRO cxcsec_of_text(t) AS
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
            [epoch_us(time['timestamp']) // 86400000000 - 10227],
            LAMBDA day: CASE
                WHEN day >= 0
                    AND strftime(time['timestamp'], '%Y') = t[1:4]
                    AND t[1:4] <= '2199'
                    AND time['leap'] <= tai_utc(day + 1) - tai_utc(day)
                    THEN (
                        epoch_us(time['timestamp']) - 883612800000000 + time['us']
                        + (time['leap'] + tai_utc(day)) * 1000000 + 32184000
                    ) / 1e6
            END
        )[1]
    )[1];

-- CXC seconds of a number (itself), a timestamp (UTC) or a text; null if it is no time.
-- Without errors in it, DuckDB computes it once and not for every row, and skips what cannot match.
CREATE OR REPLACE TEMP MACRO cxcsec_or_null
    (t DOUBLE) AS CASE WHEN isfinite(t) THEN t END,
    (t TIMESTAMP) AS cxcsec_of_text(strftime(t, '%Y-%m-%dT%H:%M:%S.%f')),
    (t TIMESTAMP WITH TIME ZONE) AS cxcsec_of_text(strftime(make_timestamp(epoch_us(t)), '%Y-%m-%dT%H:%M:%S.%f')),
    (t VARCHAR) AS cxcsec_of_text(t);

-- CXC seconds of a number (itself), a timestamp (UTC) or a text:
-- 'YYYY:DDD[:hh:mm[:ss[.sss]]]' or 'YYYY-MM-DD[Thh:mm[:ss[.sss]]]', UTC, from 1998 to 2199, to a microsecond.
-- Second 60 is valid in a leap second. Anything else is an error that shows the value.
CREATE OR REPLACE TEMP MACRO cxcsec(t) AS
    CASE
        WHEN t IS NULL THEN NULL
        ELSE coalesce(
            cxcsec_or_null(t),
            error(
                '''' || t || ''' is not a time: give CXC seconds, ''YYYY:DDD[:hh:mm[:ss[.sss]]]'' or '
                || '''YYYY-MM-DD[Thh:mm[:ss[.sss]]]'''
            )
        )
    END;
