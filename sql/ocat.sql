-- The observing catalog (Ocat).

-- A row per target, with the columns that the archive's file has; null where a number is blank. A text that is blank is '0' or ' '.
--     SELECT obsid, target_name, exp_time FROM ocat WHERE instr = 'ACIS-S' AND status = 'archived' ORDER BY obsid
CREATE OR REPLACE TEMP VIEW ocat AS
    SELECT * FROM read_parquet(files_of('ocat'), hive_partitioning = false);

-- A row per column of the archive's file: its unit and type.
CREATE OR REPLACE TEMP VIEW ocat_column AS
    SELECT * FROM read_parquet(files_of('ocat_column'), hive_partitioning = false);

CREATE OR REPLACE TEMP MACRO ocat_files(start, stop) AS
    if_in_order(start, stop, files_of('ocat'));

CREATE OR REPLACE TEMP MACRO ocat_column_files(start, stop) AS
    if_in_order(start, stop, files_of('ocat_column'));

-- The angle between two directions, all in degrees, by haversines, which are exact for small angles.
--     SELECT angle_between(187.28, 2.05, 187.3, 2.1) * 60 AS arcmin
CREATE OR REPLACE TEMP MACRO angle_between(ra1, dec1, ra2, dec2) AS
    degrees(
        2 * asin(
            least(
                1::DOUBLE,
                sqrt(
                    sin(radians((dec1) - (dec2)) / 2) ** 2
                    + cos(radians(dec1)) * cos(radians(dec2)) * sin(radians((ra1) - (ra2)) / 2) ** 2
                )
            )
        )
    );

-- The targets less than radius arcminutes from a direction in degrees, nearest first; separation is in arcminutes.
--     SELECT obsid, target_name, separation FROM ocat_cone(187.28, 2.05, 30)
CREATE OR REPLACE TEMP MACRO ocat_cone(ra_center, dec_center, radius) AS TABLE
    SELECT *
    FROM (SELECT ocat.*, 60 * angle_between(ra, dec, ra_center, dec_center) AS separation FROM ocat) AS target
    WHERE separation < radius
    ORDER BY separation, position;
