WITH read AS (
  SELECT i, CASE WHEN json_valid(line) THEN json_extract(line, '$.dep') END AS dep, CASE WHEN json_valid(line) THEN json_extract(line, '$.dep_delay') END AS dep_delay,
    CASE WHEN json_valid(line) THEN json_extract(line, '$.air_time') END AS air_time
  FROM input)
SELECT i AS offset FROM read WHERE dep IS NULL OR typeof(dep_delay) <> 'integer' OR air_time = 0 ORDER BY i;
