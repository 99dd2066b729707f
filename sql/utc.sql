-- The UTC dates of times in CXC seconds.

-- The UTC day of CXC seconds, found by comparison with the days' starts, so that rounding never moves a row.
CREATE OR REPLACE TEMP MACRO utc_day_number(secs) AS
    list_transform(
        [floor((secs::DOUBLE - 63.184) / 86400)::BIGINT],
        LAMBDA day: day + (secs >= day_start(day + 1))::BIGINT - (secs < day_start(day))::BIGINT
    )[1];

-- The UTC date of CXC seconds, whose partition they are in.
--     SELECT utc_day(TIME) AS day, count(*) FROM slot_data('2012:001', '2012:005', 3) GROUP BY ALL ORDER BY ALL
CREATE OR REPLACE TEMP MACRO utc_day(secs) AS DATE '1998-01-01' + utc_day_number(secs)::INTEGER;

-- The UTC date of CXC seconds, to a millisecond: 'YYYY:DDD:hh:mm:ss.sss'.
--     SELECT utc(441763266.184)
CREATE OR REPLACE TEMP MACRO utc(secs) AS
    list_transform(
        [utc_day_number(floor(secs::DOUBLE * 1000 + 0.5) / 1000)],
        LAMBDA day: list_transform(
            [round((floor(secs::DOUBLE * 1000 + 0.5) / 1000 - day_start(day)) * 1000)::BIGINT],
            -- Spark's printf writes a null.
            LAMBDA ms: CASE
                WHEN ms IS NOT NULL
                    THEN printf(
                        '%04d:%03d:%02d:%02d:%02d.%03d',
                        year(DATE '1998-01-01' + day::INTEGER),
                        dayofyear(DATE '1998-01-01' + day::INTEGER),
                        least(ms // 3600000, 23),
                        CASE WHEN ms < 86400000 THEN ms // 60000 % 60 ELSE 59 END,
                        ms // 1000 - CASE WHEN ms < 86400000 THEN ms // 60000 * 60 ELSE 86340 END,
                        ms % 1000
                    )
            END
        )[1]
    )[1];

-- The timestamp (UTC) of CXC seconds, to a microsecond: within a leap second 23:59:59.999999, as a timestamp has no second 60.
-- cxcsec is the way back.
--     SELECT utc_timestamp(TIME) AS time, TEMPCCD FROM slot_data('2012:001', '2012:002', 3)
CREATE OR REPLACE TEMP MACRO utc_timestamp(secs) AS
    list_transform(
        [round(secs::DOUBLE * 1e6)::BIGINT],
        LAMBDA us: list_transform(
            [utc_day_number(us / 1e6)],
            LAMBDA day: make_timestamp(
                883612800000000 + day * 86400000000
                + least(us - day * 86400000000 - tai_utc(day) * 1000000 - 32184000, 86399999999)
            )
        )[1]
    )[1];
