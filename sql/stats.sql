-- Acquisition and guide star statistics.

-- A row per star of an acquisition; position is its row in the source table.
--     SELECT obsid, slot, mag, acqid FROM acq_stats WHERE agasc_id = 839386400 AND NOT known_bad ORDER BY position
CREATE OR REPLACE TEMP VIEW acq_stats AS
    SELECT * FROM read_parquet(files_of('acq_stats'), hive_partitioning = false);

CREATE OR REPLACE TEMP MACRO acq_stats_files(start, stop) AS
    if_in_order(start, stop, files_of('acq_stats'));

-- A row per star or fid light tracked in an observation; position is its row in the source table.
--     SELECT type, avg(f_track) FROM guide_stats WHERE NOT known_bad GROUP BY ALL
CREATE OR REPLACE TEMP VIEW guide_stats AS
    SELECT * FROM read_parquet(files_of('guide_stats'), hive_partitioning = false);

CREATE OR REPLACE TEMP MACRO guide_stats_files(start, stop) AS
    if_in_order(start, stop, files_of('guide_stats'));

-- How many stars were acquired, by catalog magnitude: bins of half a magnitude, each named by its brightest.
CREATE OR REPLACE TEMP VIEW acq_success_by_mag AS
    SELECT
        floor(acq_stats.mag * 2) / 2 AS mag,
        count(*) AS n,
        count(*) FILTER (acqid) AS n_acquired,
        count(*) FILTER (acqid) / count(*) AS fraction
    FROM acq_stats
    WHERE NOT known_bad AND NOT isnan(acq_stats.mag)
    GROUP BY ALL
    ORDER BY mag;

-- How many stars were acquired, by temperature of the CCD: bins of 1 °C, each named by its coldest.
CREATE OR REPLACE TEMP VIEW acq_success_by_ccd_temp AS
    SELECT
        floor(acq_stats.ccd_temp) AS ccd_temp,
        count(*) AS n,
        count(*) FILTER (acqid) AS n_acquired,
        count(*) FILTER (acqid) / count(*) AS fraction
    FROM acq_stats
    WHERE NOT known_bad AND NOT isnan(acq_stats.ccd_temp)
    GROUP BY ALL
    ORDER BY ccd_temp;

-- Models of acquisition: binomial regressions, a row for each set of quantities that one depends on. Empty if the lake has too few
-- stars. mica_lake.stats.predict computes with them.
--     SELECT model, terms, coefficients, n FROM acq_model
CREATE OR REPLACE TEMP VIEW acq_model AS
    SELECT * FROM read_parquet(files_of('acq_model'), hive_partitioning = false);

-- Models of tracking, as acq_model.
--     SELECT model, terms, coefficients, n FROM guide_model
CREATE OR REPLACE TEMP VIEW guide_model AS
    SELECT * FROM read_parquet(files_of('guide_model'), hive_partitioning = false);

CREATE OR REPLACE TEMP MACRO acq_model_files(start, stop) AS
    if_in_order(start, stop, files_of('acq_model'));

CREATE OR REPLACE TEMP MACRO guide_model_files(start, stop) AS
    if_in_order(start, stop, files_of('guide_model'));

-- Probability that a star is acquired, by its magnitude and the fraction of pixels above 100 e-/s; null outside what the model was
-- fitted to.
--     SELECT acq_probability(10.3, warm_fraction(100, '2027:001', -8))
CREATE OR REPLACE TEMP MACRO acq_probability(magnitude, warm) AS (
    SELECT
        1 / (
            1 + exp(-(
                coefficients[1]
                + coefficients[2] * (magnitude - 10)
                + coefficients[3] * pow(magnitude - 10, 2)
                + coefficients[4] * (warm - 0.1) / 0.1
                + coefficients[5] * (warm - 0.1) / 0.1 * (magnitude - 10)
            ))
        )
    FROM acq_model
    WHERE model = 'warm_fraction'
        AND magnitude BETWEEN low[1] AND high[1]
        AND warm BETWEEN low[2] AND high[2]
);
