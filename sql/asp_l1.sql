-- Aspect level 1: aspect solutions and centroids.

SET VARIABLE mica_lake_asp_l1_file = files_of('asp_l1_file');
SET VARIABLE mica_lake_asp_sol = files_by_day('asp_sol', NULL, NULL);
SET VARIABLE mica_lake_aca_cent = files_by_day('aca_cent', NULL, NULL);

-- A row per product file: obsid, revision, content, tstart, tstop, where it is.
--     SELECT directory || '/' || filename FROM asp_l1_file WHERE obsid = 16505 AND isdefault AND content = 'GSPROPS'
CREATE OR REPLACE TEMP VIEW asp_l1_file AS
    SELECT * FROM read_parquet(getvariable('mica_lake_asp_l1_file'), hive_partitioning = false);

CREATE OR REPLACE TEMP MACRO asp_l1_file_files(start, stop) AS
    if_in_order(start, stop, getvariable('mica_lake_asp_l1_file'));

CREATE OR REPLACE TEMP MACRO asp_sol_files(start, stop) AS
    files_between('asp_sol', getvariable('mica_lake_asp_sol'), start, stop);

CREATE OR REPLACE TEMP MACRO aca_cent_files(start, stop) AS
    files_between('aca_cent', getvariable('mica_lake_aca_cent'), start, stop);

-- The aspect solutions with start <= time <= stop, of the default revisions: time, ra, dec, roll, dy, dz, dtheta, q_att,
-- asp_sol_status (0 is good), obsid, revision.
--     SELECT time, ra, dec, roll FROM asp_sol('2012:001', '2012:002') WHERE asp_sol_status = 0
CREATE OR REPLACE TEMP MACRO asp_sol(start, stop) AS TABLE
    SELECT *
    FROM read_parquet(asp_sol_files(cxcsec(start), cxcsec(stop)), hive_partitioning = false)
    WHERE time BETWEEN cxcsec_or_null(start) AND cxcsec_or_null(stop) AND isdefault;

-- The same of all revisions: a time is there once for each.
CREATE OR REPLACE TEMP MACRO asp_sol_revisions(start, stop) AS TABLE
    SELECT *
    FROM read_parquet(asp_sol_files(cxcsec(start), cxcsec(stop)), hive_partitioning = false)
    WHERE time BETWEEN cxcsec_or_null(start) AND cxcsec_or_null(stop);

-- The centroids with start <= time <= stop, of the default revisions: slot, alg (1 or 8), ang_y, ang_z, counts, …
--     SELECT slot, stddev(ang_y) FROM aca_cent('2012:001', '2012:002') WHERE alg = 8 AND status = 0 GROUP BY ALL
CREATE OR REPLACE TEMP MACRO aca_cent(start, stop) AS TABLE
    SELECT *
    FROM read_parquet(aca_cent_files(cxcsec(start), cxcsec(stop)), hive_partitioning = false)
    WHERE time BETWEEN cxcsec_or_null(start) AND cxcsec_or_null(stop) AND isdefault;

-- The same of all revisions.
CREATE OR REPLACE TEMP MACRO aca_cent_revisions(start, stop) AS TABLE
    SELECT *
    FROM read_parquet(aca_cent_files(cxcsec(start), cxcsec(stop)), hive_partitioning = false)
    WHERE time BETWEEN cxcsec_or_null(start) AND cxcsec_or_null(stop);
