-- How many flights should have left in each hour of a day? They come in the order they left, so some come after their hour is closed: those are late rows.
WITH marked AS (
  SELECT *, coalesce(max(sched_dep) OVER (ORDER BY i ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING), 0) - 2 * 3600000 AS watermark,
    sched_dep - sched_dep % 3600000 AS hour
  FROM flights)
SELECT origin, count(*) AS flights, hour AS window_start, hour + 3600000 AS window_end
FROM marked WHERE hour + 3600000 > watermark AND sched_dep >= 1366329600000 AND sched_dep < 1366416000000
GROUP BY 3, 1 ORDER BY 3, 1;
