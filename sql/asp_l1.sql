-- Aspect level 1: aspect solutions and centroids.

SET VARIABLE mica_lake_asp_sol = files_by_day('asp_sol');
SET VARIABLE mica_lake_aca_cent = files_by_day('aca_cent');

-- A row per product file: obsid, revision, content, tstart, tstop, where it is.
--     SELECT directory || '/' || filename FROM asp_l1_file WHERE obsid = 16505 AND isdefault AND content = 'GSPROPS'
CREATE OR REPLACE TEMP VIEW asp_l1_file AS
    SELECT * FROM read_parquet(files_of('asp_l1_file'), hive_partitioning = false);

CREATE OR REPLACE TEMP MACRO asp_l1_file_files(start, stop) AS
    if_in_order(start, stop, files_of('asp_l1_file'));

-- A row per processing: obsid, obi, revision, isdefault, aspect_1_id, ap_date, and obspar_version, the revision of the obspar
-- that it used.
--     SELECT revision, ap_date FROM asp_l1_proc WHERE obsid = 16505 AND isdefault
CREATE OR REPLACE TEMP VIEW asp_l1_proc AS
    SELECT * FROM read_parquet(files_of('asp_l1_proc'), hive_partitioning = false);

CREATE OR REPLACE TEMP MACRO asp_l1_proc_files(start, stop) AS
    if_in_order(start, stop, files_of('asp_l1_proc'));

-- The revisions of an observation's aspect products, newest processing last: as the processing table has them or, where it
-- does not know the observation, as their files have them.
--     SELECT revision FROM asp_l1_revisions(16505) WHERE isdefault
CREATE OR REPLACE TEMP MACRO asp_l1_revisions(of_obsid) AS TABLE
    SELECT revision, isdefault, aspect_1_id, ap_date
    FROM asp_l1_proc
    WHERE obsid = of_obsid
    UNION ALL
    SELECT DISTINCT revision, isdefault, NULL::INTEGER, NULL::VARCHAR
    FROM asp_l1_file
    WHERE obsid = of_obsid AND NOT EXISTS (SELECT 1 FROM asp_l1_proc WHERE obsid = of_obsid)
    ORDER BY revision, aspect_1_id;

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

-- The aspect solutions with start <= time <= stop, of all revisions: a time is there once for each.
--     SELECT revision, count(*) FROM asp_sol_revisions('2012:001', '2012:002') GROUP BY ALL
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

-- The centroids with start <= time <= stop, of all revisions.
--     SELECT revision, count(*) FROM aca_cent_revisions('2012:001', '2012:002') GROUP BY ALL
CREATE OR REPLACE TEMP MACRO aca_cent_revisions(start, stop) AS TABLE
    SELECT *
    FROM read_parquet(aca_cent_files(cxcsec(start), cxcsec(stop)), hive_partitioning = false)
    WHERE time BETWEEN cxcsec_or_null(start) AND cxcsec_or_null(stop);
