-- What becomes of records that are cut off, have no time or are of another kind? They are dead letters, each with the reason; the others count.
WITH read AS (
  SELECT i, json_extract(line, '$.origin') AS origin, json_extract(line, '$.dep') AS dep, json_extract(line, '$.dep_delay') AS dep_delay,
    json_extract(line, '$.distance') AS distance, json_extract(line, '$.air_time') AS air_time
  FROM input WHERE json_valid(line))
SELECT origin, count(*) AS flights, sum(dep_delay) AS delay, max(distance * 1.0 / air_time) AS speed,
  dep - dep % 3600000 AS window_start, dep - dep % 3600000 + 3600000 AS window_end
FROM read WHERE typeof(dep) = 'integer' AND typeof(dep_delay) = 'integer' AND air_time <> 0 GROUP BY 5, 1 ORDER BY 5, 1;
