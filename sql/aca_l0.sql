-- ACA L0: the readouts of the eight image slots.

-- The files as files_by_day has them: a list for each slot, and one of all slots, whose elements are the files of a day, one
-- a line. All come from one pass over the partitions, as opening a lake should not take nine.
CREATE OR REPLACE TEMP TABLE aca_l0_by_day AS
    SELECT day.number, file.*
    FROM (
        SELECT unnest(range(0, max(day_number) + 1)) AS number FROM partition WHERE table_name = 'aca_l0'
    ) AS day
    LEFT JOIN (
        PIVOT (
            SELECT day_number, slot, getvariable('mica_lake') || '/' || path AS path
            FROM partition
            WHERE table_name = 'aca_l0'
        )
        ON slot IN (0, 1, 2, 3, 4, 5, 6, 7)
        USING max(path)
        GROUP BY day_number
    ) AS file ON file.day_number = day.number;
SET VARIABLE mica_lake_aca_l0_0 = (SELECT list("0" ORDER BY number) FROM aca_l0_by_day);
SET VARIABLE mica_lake_aca_l0_1 = (SELECT list("1" ORDER BY number) FROM aca_l0_by_day);
SET VARIABLE mica_lake_aca_l0_2 = (SELECT list("2" ORDER BY number) FROM aca_l0_by_day);
SET VARIABLE mica_lake_aca_l0_3 = (SELECT list("3" ORDER BY number) FROM aca_l0_by_day);
SET VARIABLE mica_lake_aca_l0_4 = (SELECT list("4" ORDER BY number) FROM aca_l0_by_day);
SET VARIABLE mica_lake_aca_l0_5 = (SELECT list("5" ORDER BY number) FROM aca_l0_by_day);
SET VARIABLE mica_lake_aca_l0_6 = (SELECT list("6" ORDER BY number) FROM aca_l0_by_day);
SET VARIABLE mica_lake_aca_l0_7 = (SELECT list("7" ORDER BY number) FROM aca_l0_by_day);
SET VARIABLE mica_lake_aca_l0_all = (
    SELECT list(nullif(concat_ws(chr(10), "0", "1", "2", "3", "4", "5", "6", "7"), '') ORDER BY number)
    FROM aca_l0_by_day
);
DROP TABLE aca_l0_by_day;

-- The files that can have rows of one slot from start to stop, and those of all slots.
CREATE OR REPLACE TEMP MACRO aca_l0_files
    (start, stop, slot) AS if_a_slot(
        slot,
        files_between('aca_l0', getvariable('mica_lake_aca_l0_' || slot), start, stop)
    ),
    (start, stop) AS flatten(
        list_transform(
            files_between('aca_l0', getvariable('mica_lake_aca_l0_all'), start, stop),
            LAMBDA files: string_split(files, chr(10))
        )
    );

-- The readouts of one slot with start <= TIME <= stop, in time order.
-- start, stop: CXC seconds, a text (see cxcsec.sql) or a timestamp.
--     FROM slot_data('2012:001', '2012:002', 3)
CREATE OR REPLACE TEMP MACRO slot_data(start, stop, slot) AS TABLE
    SELECT *
    FROM read_parquet(aca_l0_files(cxcsec(start), cxcsec(stop), slot), hive_partitioning = false)
    WHERE TIME BETWEEN cxcsec_or_null(start) AND cxcsec_or_null(stop);

-- A flag of a status byte, 0 the least significant.
--     SELECT TIME, status_flag(IMGSTAT, 1) AS multi_star FROM slot_data('2012:001', '2012:002', 3)
CREATE OR REPLACE TEMP MACRO status_flag(status, n) AS (status::INTEGER >> n) & 1 = 1;

-- An image of 16, 36 or 64 pixels in the middle of a square of 8 x 8, as 64 pixels; null outside.
--     SELECT TIME, image_8x8(IMGRAW) FROM slot_data('2012:001', '2012:002', 3)
CREATE OR REPLACE TEMP MACRO image_8x8(pixels) AS
    CASE array_length(pixels)
        WHEN 64 THEN pixels
        WHEN 36 THEN list_transform(
            range(64),
            LAMBDA i: CASE
                WHEN i // 8 BETWEEN 1 AND 6 AND i % 8 BETWEEN 1 AND 6 THEN pixels[(i // 8 - 1) * 6 + i % 8]
            END
        )
        WHEN 16 THEN list_transform(
            range(64),
            LAMBDA i: CASE
                WHEN i // 8 BETWEEN 2 AND 5 AND i % 8 BETWEEN 2 AND 5 THEN pixels[(i // 8 - 2) * 4 + i % 8 - 1]
            END
        )
    END;

-- The readouts of good quality of all slots with start <= TIME <= stop, in the format of the MAUDE decommutation,
-- sorted by TIME and image number. IMG is the image in a square of 8 x 8 (null outside), IMGRAW the pixels themselves.
--     FROM aca_images('2012:001:00:00', '2012:001:01:00')
CREATE OR REPLACE TEMP MACRO aca_images(start, stop) AS TABLE
    SELECT
        TIME,
        MJF,
        MNF,
        END_INTEG_TIME,
        INTEG,
        PIXTLM AS AAPIXTLM,
        BGDTYP AS AABGDTYP,
        GLBSTAT,
        (COMMCNT >> 2)::UTINYINT AS COMMCNT,
        (COMMPROG >> 2)::UTINYINT AS COMMPROG,
        IMGSTAT,
        IMGROW0,
        IMGCOL0,
        IMGSCALE,
        BGDAVG,
        BGDRMS,
        TEMPCCD,
        TEMPHOUS,
        TEMPPRIM,
        TEMPSEC,
        BGDSTAT,
        image_8x8(IMGRAW) AS IMG,
        HD3TLM62,
        HD3TLM63,
        HD3TLM64,
        HD3TLM65,
        HD3TLM66,
        HD3TLM67,
        HD3TLM72,
        HD3TLM73,
        HD3TLM74,
        HD3TLM75,
        HD3TLM76,
        HD3TLM77,
        IMGSIZE,
        IMGFID1 AS IMGFID,
        IMGFUNC1 AS IMGFUNC,
        IMGNUM1 AS IMGNUM,
        (IMGROW0 + (IMGSIZE = 6)::SMALLINT)::SMALLINT AS IMGROW_A1,
        (IMGROW0 - CASE IMGSIZE WHEN 6 THEN 1 WHEN 4 THEN 2 ELSE 0 END)::SMALLINT AS IMGROW0_8X8,
        (IMGCOL0 + (IMGSIZE = 6)::SMALLINT)::SMALLINT AS IMGCOL_A1,
        (IMGCOL0 - CASE IMGSIZE WHEN 6 THEN 1 WHEN 4 THEN 2 ELSE 0 END)::SMALLINT AS IMGCOL0_8X8,
        CASE IMGSIZE WHEN 8 THEN 4 WHEN 6 THEN 1 WHEN 4 THEN 0 END::BIGINT AS IMGTYPE,
        MJF * 128 + MNF AS VCDUCTR,
        MJF * 128 + MNF AS IMG_VCDUCTR,
        status_flag(GLBSTAT, 0) AS SYNTAX_ERROR,
        status_flag(GLBSTAT, 1) AS RESET,
        status_flag(GLBSTAT, 2) AS COMM_CHECKSUM_FAIL,
        status_flag(GLBSTAT, 3) AS CAL_FAIL,
        status_flag(GLBSTAT, 4) AS POWER_FAIL,
        status_flag(GLBSTAT, 5) AS ROM_FAIL,
        status_flag(GLBSTAT, 6) AS RAM_FAIL,
        status_flag(GLBSTAT, 7) AS HIGH_BGD,
        status_flag(IMGSTAT, 0) AS ION_RAD,
        status_flag(IMGSTAT, 1) AS MULTI_STAR,
        status_flag(IMGSTAT, 2) AS COMMON_COL,
        status_flag(IMGSTAT, 3) AS QUAD_BOUND,
        status_flag(IMGSTAT, 4) AS DEF_PIXEL,
        status_flag(IMGSTAT, 5) AS SAT_PIXEL,
        status_flag(COMMCNT, 0) AS COMMCNT_CHECKSUM_FAIL,
        status_flag(COMMCNT, 1) AS COMMCNT_SYNTAX_ERROR,
        (COMMPROG & 3)::UTINYINT AS COMMPROG_REPEAT,
        IMGRAW
    FROM read_parquet(aca_l0_files(cxcsec(start), cxcsec(stop)), hive_partitioning = false)
    WHERE TIME BETWEEN cxcsec_or_null(start) AND cxcsec_or_null(stop) AND QUALITY = 0
    ORDER BY TIME, IMGNUM1;

-- The sum of an image's pixels.
--     SELECT TIME, image_sum(IMGRAW) FROM slot_data('2012:001', '2012:002', 3)
CREATE OR REPLACE TEMP MACRO image_sum(pixels) AS list_sum(pixels);

-- The brightest of an image's pixels.
--     SELECT TIME, image_max(IMGRAW) FROM slot_data('2012:001', '2012:002', 3)
CREATE OR REPLACE TEMP MACRO image_max(pixels) AS list_max(pixels);

-- A weight for each pixel of an image of n x n, which counts as 0 where a first moment leaves it out: at the edge of
-- 8 x 8, and at the corners of 6 x 6 and of the inner 6 x 6.
CREATE OR REPLACE TEMP MACRO moment_weights(n, weight_of) AS
    list_transform(
        range(n * n),
        LAMBDA i: CASE
            WHEN n = 8 AND (i % 8 IN (0, 7) OR i // 8 IN (0, 7)) THEN 0.0
            WHEN n = 8 AND i % 8 IN (1, 6) AND i // 8 IN (1, 6) THEN 0.0
            WHEN n = 6 AND i % 6 IN (0, 5) AND i // 6 IN (0, 5) THEN 0.0
            WHEN weight_of = 'row' THEN (i // n)::DOUBLE
            WHEN weight_of = 'col' THEN (i % n)::DOUBLE
            ELSE 1.0
        END
    );

-- The sum of some pixels, each multiplied by its weight after a background was subtracted from it.
CREATE OR REPLACE TEMP MACRO weighted(pixels, bgd, weights) AS
    list_dot_product(pixels, weights) - bgd * list_sum(weights);

-- The sum of an image's pixels without background, and of the pixels times their row and column.
CREATE OR REPLACE TEMP MACRO moments(pixels, bgd, n) AS {
    'norm': weighted(pixels, bgd, moment_weights(n, 'one')),
    'row': weighted(pixels, bgd, moment_weights(n, 'row')),
    'col': weighted(pixels, bgd, moment_weights(n, 'col'))
};

-- The centroid of the moments of an image whose first pixel is at row0 and col0; null where norm is not positive.
CREATE OR REPLACE TEMP MACRO centroid_of(m, norm, row0, col0, zero) AS {
    'row': CASE WHEN norm > 0 THEN row0 + m.row / norm + zero END,
    'col': CASE WHEN norm > 0 THEN col0 + m.col / norm + zero END,
    'norm': norm
};

-- The first moment centroid of an image of 16, 36 or 64 pixels in CCD coordinates, as ACAImage.centroid_fm computes it:
-- a struct of row, col and norm, the sum of the pixels that count. row and col are null where norm is not positive.
-- bgd is subtracted from each pixel, norm is at least norm_clip, and pixel 0 is at 0.5 if pix_zero_loc is 'edge'.
--     SELECT TIME, unnest(centroid_fm(IMGRAW, IMGROW0, IMGCOL0, bgd := 30)) FROM slot_data('2012:001', '2012:002', 3)
CREATE OR REPLACE TEMP MACRO centroid_fm(pixels, row0, col0, bgd := 0.0, norm_clip := NULL, pix_zero_loc := 'center') AS
    list_transform(
        [CASE len(pixels)
            WHEN 64 THEN moments(pixels::DOUBLE[], bgd, 8)
            WHEN 36 THEN moments(pixels::DOUBLE[], bgd, 6)
            WHEN 16 THEN moments(pixels::DOUBLE[], bgd, 4)
        END],
        LAMBDA m: centroid_of(m, greatest(m.norm, norm_clip), row0, col0, if(pix_zero_loc = 'edge', 0.5, 0.0))
    )[1];

-- The ACA L0 source files whose header interval meets start to stop, by file time and name.
--     SELECT filename, slot, utc(tstart) FROM aca_l0_source_files('2012:001', '2012:002')
CREATE OR REPLACE TEMP MACRO aca_l0_source_files(start, stop) AS TABLE
    SELECT *
    FROM read_parquet(
        if_in_order(cxcsec(start), cxcsec(stop), table_file('source_file')),
        hive_partitioning = false
    )
    WHERE product = 'aca_l0'
        AND status IN ('current', 'incomplete')
        AND tstart < cxcsec_or_null(stop)
        AND tstop > cxcsec_or_null(start)
    ORDER BY regexp_extract(filename, '\d+')::BIGINT, filename;
