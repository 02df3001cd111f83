-- How late did the flights of a carrier arrive: the median, and the 90th and 99th percentile, by day, in three days of July?
WITH ranked AS (
  SELECT carrier, dep - dep % 86400000 AS day, arr_delay,
    row_number() OVER (PARTITION BY carrier, dep - dep % 86400000 ORDER BY arr_delay) AS place,
    count(*) OVER (PARTITION BY carrier, dep - dep % 86400000) AS flights
  FROM flights WHERE dep >= 1373241600000 and dep < 1373500800000)
SELECT carrier, max(flights) AS flights,
  min(arr_delay) FILTER (WHERE place * 100 >= flights * 50) AS p50,
  min(arr_delay) FILTER (WHERE place * 100 >= flights * 90) AS p90,
  min(arr_delay) FILTER (WHERE place * 100 >= flights * 99) AS p99,
  day AS window_start, day + 86400000 AS window_end
FROM ranked GROUP BY day, carrier ORDER BY day, carrier;
